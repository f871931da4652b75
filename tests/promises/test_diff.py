"""What differs between two images and between two stages, asked of a real server by REST and by the commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.peers.images import (
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_MANIFEST,
    Blob,
    Image,
    Index,
    Layer,
    artifact,
    image,
    index,
    json_blob,
    random_layer,
)
from tests.peers.pierhead import Pierhead, house
from tests.promises.desk import PASSWORD, make, tell
from tests.promises.houses import DEV, GROUP, PROD

SERVER = "orchestrator/server"
SOURCE = "https://gitlab.example.org/platform/server"
BASE, OLD_CODE, NEW_CODE = random_layer(20_000, 1), random_layer(30_000, 2), random_layer(50_000, 3)


def built(layers: list[Layer], revision: str, env: list[str], **more: object) -> Image:
    made = image(layers)
    config = json.loads(made.config.data)
    labels = {"org.opencontainers.image.revision": revision, "org.opencontainers.image.source": SOURCE}
    config["config"] = {"Env": env, "Labels": labels, **more}
    config["history"] = [{"created_by": f"RUN step {number}"} for number in range(len(layers))]
    blob = json_blob(config, OCI_CONFIG)
    manifest = {**json.loads(made.manifest.data), "config": blob.descriptor()}
    return Image(json_blob(manifest, made.manifest.media_type), blob, made.layers)


OLD = built([BASE, OLD_CODE], "a" * 40, ["PORT=80", "DB_PASSWORD=old-secret"], User="root")
NEW = built([BASE, NEW_CODE], "b" * 40, ["PORT=8080", "DB_PASSWORD=new-secret", "TZ=UTC"], User="app")
BOTH: Index = index({"linux/amd64": NEW, "linux/arm64": image(seed=7, architecture="arm64")})


def bill(subject: Image | Index, document: object, media_type: str) -> Image:
    """An SBOM as `oras attach` leaves it."""
    made = artifact(subject, artifact_type=media_type)
    layer = Blob(json.dumps(document).encode(), media_type)
    manifest = {**json.loads(made.manifest.data), "layers": [layer.descriptor()]}
    return Image(json_blob(manifest, OCI_MANIFEST), Blob(b"{}", OCI_EMPTY), (layer,))


def spdx(**versions: str) -> dict[str, object]:
    return {"spdxVersion": "SPDX-2.3", "packages": [{"name": k, "versionInfo": v} for k, v in versions.items()]}


def cyclonedx(**versions: str) -> dict[str, object]:
    return {"bomFormat": "CycloneDX", "components": [{"name": k, "version": v} for k, v in versions.items()]}


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(house(services={"server": {"image": SERVER}, "ui": {"image": "orchestrator/ui"}})) as started:
        with started.wire(DEV) as dev, started.wire() as main:
            dev.push(SERVER, "1.4.0", OLD)
            main.push(f"{PROD}/{SERVER}", "1.4.0", OLD)
            dev.push(SERVER, "1.4.1", NEW)
            for one in BOTH.images:
                dev.push(SERVER, one.digest, one)
            dev.put_manifest(SERVER, "multi", BOTH.manifest).expect(201)
            dev.push("team/tool", "1", image(seed=9))
            for subject, document, kind in (
                (OLD, spdx(openssl="3.0.18", flask="3.0", gone="1"), "application/spdx+json"),
                (NEW, cyclonedx(openssl="3.0.19", flask="3.0", new="1"), "application/vnd.cyclonedx+json"),
            ):
                attached = bill(subject, document, kind)
                dev.push(SERVER, attached.digest, attached)
            dev.push(SERVER, "1.5.0", image(seed=11))
        tell(started, "PUT", "/roles/prod-only", {"rules": [{"rights": ["pull"], "repositories": [PROD]}]})
        make(started, "prod-only", "prod-only")
        yield started


def diff(server: Pierhead, before: str, after: str, more: str = "", **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = tell(server, "GET", f"/diff?from={before}&to={after}{more}", **options)
    return found


def in_dev(reference: str) -> str:
    return f"{DEV}/{SERVER}{'@' if reference.startswith('sha256:') else ':'}{reference}"


def test_layers_commits_and_configuration_are_compared_and_secrets_are_not_shown(server: Pierhead) -> None:
    found = diff(server, in_dev("1.4.0"), in_dev("1.4.1"))
    layers = found["layers"]
    assert [one["digest"] for one in layers["shared"]] == [BASE.digest]
    assert [(one["digest"], one["size"], one["step"]) for one in layers["added"]] == [
        (NEW_CODE.digest, NEW_CODE.size, "RUN step 1")
    ]
    assert [one["digest"] for one in layers["removed"]] == [OLD_CODE.digest]
    assert (layers["shared_bytes"], layers["added_bytes"]) == (BASE.size, NEW_CODE.size)
    assert found["commits"] == {
        "from": "a" * 40,
        "to": "b" * 40,
        "compare": f"{SOURCE}/-/compare/{'a' * 40}...{'b' * 40}",
    }
    env = {one["name"]: (one["change"], one["from"], one["to"], one["masked"]) for one in found["config"]["env"]}
    assert env == {
        "PORT": ("changed", "80", "8080", False),
        "TZ": ("added", None, "UTC", False),
        "DB_PASSWORD": ("changed", None, None, True),
    }
    assert [(one["name"], one["to"]) for one in found["config"]["settings"]] == [("user", "app")]
    assert "secret" not in json.dumps(found)
    assert (found["equal"], found["same_image"]) == (False, True)


def test_packages_of_two_forms_of_bills_are_compared(server: Pierhead) -> None:
    found = diff(server, in_dev("1.4.0"), in_dev(NEW.digest))
    assert [(one["name"], one["change"], one["from"], one["to"]) for one in found["packages"]] == [
        ("gone", "removed", ["1"], []),
        ("new", "added", [], ["1"]),
        ("openssl", "changed", ["3.0.18"], ["3.0.19"]),
    ]
    assert (found["from"]["packages"], found["to"]["sbom"]) == (3, True)


def test_without_a_bill_packages_are_not_compared_and_the_rest_is(server: Pierhead) -> None:
    found = diff(server, in_dev("1.4.0"), in_dev("1.5.0"))
    assert (found["packages"], found["from"]["sbom"], found["to"]["sbom"]) == (None, True, False)
    assert found["layers"]["shared"] == []


def test_an_index_is_compared_by_one_platform_with_the_bill_of_that(server: Pierhead) -> None:
    found = diff(server, in_dev("1.4.0"), in_dev("multi"))
    assert (found["to"]["platform"], found["to"]["manifest"]) == ("linux/amd64", NEW.digest)
    assert found["to"]["digest"] == BOTH.digest
    assert found["platforms"]["added"] == ["linux/amd64", "linux/arm64"]
    assert [one["name"] for one in found["packages"]] == ["gone", "new", "openssl"]
    arm = diff(server, in_dev("1.4.0"), in_dev("multi"), "&platform=linux/arm64")
    assert arm["to"]["manifest"] == BOTH.images[1].digest


def test_the_same_bytes_are_equal_wherever_they_stand(server: Pierhead) -> None:
    found = diff(server, f"{GROUP}/{SERVER}:1.4.0", in_dev(OLD.digest))
    assert (found["equal"], found["from"]["repository"], found["to"]["repository"]) == (True, PROD, DEV)
    other = diff(server, in_dev("1.4.0"), f"{DEV}/team/tool:1")
    assert other["same_image"] is False


def test_two_stages_of_a_service_are_compared_by_what_they_hold(server: Pierhead) -> None:
    found = tell(server, "GET", "/board/diff?service=server&from=prod&to=dev")
    assert (found["service"], found["from"]["tag"], found["to"]["tag"]) == ("server", "1.4.0", "1.5.0")
    refused = tell(server, "GET", "/board/diff?service=server&from=prod&to=uat", status=(404,))
    assert (refused["code"], "pierhead board" in refused["message"]) == ("stage_empty", True)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        (f"?from={in_dev('1.4.0')}", 400),
        (f"?from={in_dev('1.4.0')}&to={in_dev('no-such')}", 404),
        (f"?from={in_dev('1.4.0')}&to=nowhere/{SERVER}:1", 404),
        (f"?from={in_dev('1.4.0')}&to={DEV}/{SERVER}:-", 400),
        (f"?from={in_dev('1.4.0')}&to={DEV}/{SERVER}@sha256:12", 400),
        (f"?from={in_dev('1.4.0')}&to={DEV}", 400),
        (f"?from={in_dev('1.4.0')}&to={in_dev('1.4.1')}&platform=%00", 400),
    ],
)
def test_what_cannot_be_compared_is_refused_with_its_reason(server: Pierhead, query: str, status: int) -> None:
    refused = tell(server, "GET", f"/diff{query}", status=(status,))
    assert refused["status"] == status


def test_what_an_account_may_not_pull_is_not_compared_for_it(server: Pierhead) -> None:
    """It is told the same as of an image that is not there."""
    options = {"who": "prod-only", "password": PASSWORD}
    assert diff(server, f"{PROD}/{SERVER}:1.4.0", f"{GROUP}/{SERVER}:1.4.0", **options)["equal"]
    refused = diff(server, f"{PROD}/{SERVER}:1.4.0", f"{GROUP}/{SERVER}:1.4.1", status=(404,), **options)
    assert refused["code"] == "manifest_unknown"
    refused = diff(server, f"{PROD}/{SERVER}:1.4.0", in_dev("1.4.1"), status=(404,), **options)
    assert refused["code"] == "repository_unknown"
    told = tell(server, "GET", "/board/diff?service=server&from=prod&to=dev", status=(404,), **options)
    assert told["code"] == "stage_empty"


def test_the_commands_say_it_in_the_order_in_which_people_ask(server: Pierhead) -> None:
    code, out, err = server.run_command("diff", in_dev("1.4.0"), in_dev("1.4.1"))
    assert (code, err) == (0, "")
    at = [out.index(part) for part in ("\nCommits\n", "\nPackages\n", "\nConfiguration\n", "\nLayers\n")]
    assert at == sorted(at)
    for line in (
        "packages: 1 changed, 1 added, 1 removed",
        "~ openssl  3.0.18 -> 3.0.19",
        "~ user  root -> app",
        "~ env DB_PASSWORD  (looks secret: not shown)",
        f"{SOURCE}/-/compare/{'a' * 40}...{'b' * 40}",
        "RUN step 1",
    ):
        assert line in out
    assert "new-secret" not in out
    code, out, _ = server.run_command("board", "diff", "server", "--from", "prod", "--to", "dev", "-o", "json")
    assert (code, json.loads(out)["service"]) == (0, "server")
    code, out, _ = server.run_command("diff", f"{SERVER}:1.4.0", f"{PROD}/{SERVER}:1.4.0")
    assert (code, out.splitlines()[-1]) == (0, "Both are the same bytes.")
    code, out, err = server.run_command("board", "diff", "ui", "--from", "dev", "--to", "prod")
    assert (code, out) == (1, "")
    assert "Nothing of ui stands in dev" in err
