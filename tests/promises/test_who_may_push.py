"""Who may push where, and what is said to who may not: the sentence names the right port, or the way there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers.images import image
from tests.peers.pierhead import Pierhead, house
from tests.peers.processes import LOOPBACK, free_port


@pytest.fixture(scope="module")
def staged() -> Iterator[Pierhead]:
    """A house with stages, and a proxy whose upstream nobody answers for: no sentence here may need it."""
    with Pierhead(house(upstream=f"http://{LOOPBACK}:{free_port()}")) as started:
        yield started


def test_row_124_later_stages_are_filled_by_promotion(staged: Pierhead) -> None:
    pushed = image(seed=1)
    with staged.wire("main", "svc-orchestrator") as publisher:
        publisher.push("docker-hosted-dev/orchestrator/server", "1.4.1", pushed)
        for repository, stage in (("docker-hosted-prod", "prod"), ("docker-hosted-uat", "uat")):
            refused = publisher.put_manifest(f"{repository}/orchestrator/server", "1.4.1", pushed.manifest)
            assert (refused.status, refused.code) == (403, "DENIED")
            assert refused.message == (
                f"{repository} is filled by promotion only: `pierhead promote orchestrator/server:1.4.1 --to {stage}`."
            )
            begun = publisher.request("POST", f"/v2/{repository}/orchestrator/server/blobs/uploads/", b"")
            assert (begun.status, begun.code) == (403, "DENIED")
            assert f"--to {stage}" in begun.message


def test_admin_may_push_to_a_later_stage(staged: Pierhead) -> None:
    with staged.wire("main") as admin:
        admin.push("docker-hosted-prod/orchestrator/server", "9.9.9", image(seed=9))


@pytest.mark.parametrize("account", ["svc-deploy", "svc-promoter", "svc-auditor"])
def test_who_does_not_push_is_told_so_everywhere(account: str, staged: Pierhead) -> None:
    with staged.wire("docker-hosted-dev", account) as wire:
        for method, path in (("POST", "blobs/uploads/"), ("PUT", "manifests/1")):
            refused = wire.request(method, f"/v2/orchestrator/server/{path}", image().manifest.data)
            assert (refused.status, refused.code) == (403, "DENIED")
            assert refused.message.startswith(f"{account} may not push to docker-hosted-dev/orchestrator/server.")


@pytest.mark.parametrize("account", ["svc-orchestrator", "svc-deploy", "svc-promoter", "svc-auditor"])
def test_nobody_but_admin_deletes(account: str, staged: Pierhead) -> None:
    with staged.wire("docker-hosted-dev", "svc-orchestrator") as publisher:
        publisher.push("kept/image", "1", image(seed=5))
    with staged.wire("docker-hosted-dev", account) as wire:
        for path in ("manifests/1", f"manifests/{image(seed=5).digest}", f"blobs/{image(seed=5).config.digest}"):
            refused = wire.request("DELETE", f"/v2/kept/image/{path}")
            assert (refused.status, refused.code) == (403, "DENIED")
            assert "Deleting needs the role `admin`." in refused.message
    with staged.wire("docker-hosted-dev", "svc-deploy") as deployer:
        deployer.get_manifest("kept/image", "1").expect(200)


def test_a_push_to_the_pull_port_names_the_port_that_takes_it(staged: Pierhead) -> None:
    right = staged.address("docker-hosted-dev")
    with staged.wire("docker-group", "svc-orchestrator") as wire:
        for method, path in (("POST", "blobs/uploads/"), ("PUT", "manifests/1"), ("PATCH", "blobs/uploads/x")):
            refused = wire.request(method, f"/v2/orchestrator/server/{path}", image().manifest.data)
            assert (refused.status, refused.code) == (405, "UNSUPPORTED")
            assert refused.headers["Allow"] == "GET, HEAD"
            port = staged.port("docker-group")
            assert refused.message == f"This port ({port}) is for pulling. Push to {right}/orchestrator/server."
    with staged.wire("main", "svc-orchestrator") as wire:
        refused = wire.request("POST", "/v2/docker-group/orchestrator/server/blobs/uploads/", b"")
        assert refused.message == f"docker-group takes no pushes. Push to {right}/orchestrator/server."
    with staged.wire("docker-group", "svc-deploy") as wire:
        refused = wire.request("POST", "/v2/orchestrator/server/blobs/uploads/", b"")
        assert "There is no repository that you may push to." in refused.message
    with staged.wire("docker-group") as admin:
        refused = admin.request("DELETE", "/v2/orchestrator/server/manifests/1")
        assert (refused.status, refused.code) == (405, "UNSUPPORTED")


def test_a_base_image_asked_of_the_push_port_names_the_pull_port(staged: Pierhead) -> None:
    pull = staged.address("docker-group")
    with staged.wire("docker-hosted-dev", "svc-deploy") as wire:
        missing = wire.get_manifest("python", "3.12-slim")
        assert (missing.status, missing.code) == (404, "MANIFEST_UNKNOWN")
        assert missing.message == (
            f"python:3.12-slim is not in docker-hosted-dev. Docker Hub images come from {pull}/python:3.12-slim."
        )
        reserved = wire.get_manifest("orchestrator/nothing", "1").expect(404)
        assert reserved.message == "orchestrator/nothing:1 is not in docker-hosted-dev."


def test_row_9_and_136_a_proxy_takes_no_push_and_names_who_does(staged: Pierhead) -> None:
    right = staged.address("docker-hosted-dev")
    for account in ("svc-orchestrator", "admin"):
        with staged.wire("main", account) as wire:
            for method, path in (("POST", "blobs/uploads/"), ("PUT", "manifests/1")):
                refused = wire.request(method, f"/v2/docker-proxy-dockerhub/library/x/{path}", image().manifest.data)
                assert (refused.status, refused.code) == (405, "UNSUPPORTED")
                assert refused.message == f"docker-proxy-dockerhub takes no pushes. Push to {right}/library/x."
                assert refused.headers["Allow"] == "GET, HEAD"
