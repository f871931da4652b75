"""The routes of the board: what stands in the stages, and what clusters run."""

from __future__ import annotations

from typing import Final

from pierhead.faces.rest import board, diff, running
from pierhead.faces.rest.route import CURSOR, LIMIT, Need, Parameter, Route

_BOARD: Final = (
    Parameter("service", "only these services or images, with commas between them"),
    Parameter("stage", "only these stages, with commas between them"),
    Parameter("differs", "`true`: only rows whose stages do not all hold the same"),
    Parameter("strays", "`true`: only rows of which something runs that its stage does not hold now"),
)
_RUNNING: Final = (
    Parameter("cluster", "only this cluster"),
    Parameter("image", "only this image, without its repository"),
)
_REPORT: Final = (
    Parameter("cluster", "the cluster's name, unless the body says it"),
    Parameter("stage", "the stage that it runs for, unless the body says it; the last one without it"),
)
_REPORTED: Final = (
    Parameter("cluster", "as in the query"),
    Parameter("stage", "as in the query"),
    Parameter(
        "images",
        "a list of references, or of objects: `image`, `digest`, `namespace`, `workload`, `container`, `count`",
    ),
    Parameter("items", "in place of `images`: pods, as `kubectl get pods --all-namespaces --output json` prints them"),
    Parameter("kind", "taken with `items`"),
    Parameter("apiVersion", "taken with `items`"),
    Parameter("metadata", "taken with `items`"),
)

_DIFF: Final = (
    Parameter("from", "REPOSITORY/IMAGE:TAG or REPOSITORY/IMAGE@DIGEST"),
    Parameter("to", "the same"),
    Parameter("platform", "which platform of indexes is compared, such as `linux/arm64`; the first that both have"),
)
_STAGES: Final = (
    Parameter("service", "a service of the catalogue, or an image"),
    Parameter("from", "a stage"),
    Parameter("to", "a stage"),
    _DIFF[2],
)

ROUTES: Final = (
    Route(
        "GET",
        "/diff",
        Need.PULL,
        diff.images,
        "What differs between two images: commits, layers, configuration, platforms, packages. Secrets are masked.",
        _DIFF,
    ),
    Route("GET", "/board/diff", Need.PULL, diff.stages, "What differs between what two stages hold now.", _STAGES),
    Route(
        "GET",
        "/board",
        Need.SEEN,
        board.board,
        "What stands in each stage of each service: services in the catalogue's order, then other images by name.",
        (*_BOARD, LIMIT, CURSOR),
        pages=True,
    ),
    Route(
        "GET",
        "/running",
        Need.SEEN,
        running.running,
        "What clusters run, by cluster. Images that are not from here are shown to `operator` and `admin`.",
        (*_RUNNING, LIMIT, CURSOR),
        pages=True,
    ),
    Route(
        "POST",
        "/running",
        Need.REPORT,
        running.report,
        "Replaces the list of what a cluster runs, at once.",
        _REPORT,
        body=_REPORTED,
    ),
    Route("GET", "/running/clusters", Need.REPORT, running.clusters, "Clusters that report, and when they did last."),
    Route("DELETE", "/running/{cluster}", Need.REPORT, running.forget_cluster, "Forgets a cluster and its list."),
)
