"""Clients with tokens: real ones, and the requests of those that are not here, in the order in which they send them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.clients import Buildah, Podman, Skopeo
from tests.peers.engine import DockerEngine
from tests.peers.images import OCI_MANIFEST, Image, image, random_layer, write_layout
from tests.peers.pierhead import Pierhead, house
from tests.peers.processes import wait_until
from tests.peers.wire import Answer
from tests.promises.bearers import Bearer, challenge_of, claims_of
from tests.promises.houses import DEV, GROUP
from tests.promises.shop import runnable

OCTETS = {"Content-Type": "application/octet-stream"}
ACCEPT = {"Accept": f"{OCI_MANIFEST}, */*"}
BASE_LAYER = random_layer(50_000, 3)
BASE = image([BASE_LAYER], seed=3)


@pytest.fixture(scope="module")
def open_house() -> Iterator[Pierhead]:
    with Pierhead(house(anonymous="pull")) as started:
        with started.wire(DEV) as wire:
            wire.push("team/base", "1", BASE)
        yield started


@pytest.fixture(scope="module")
def keeping_house() -> Iterator[Pierhead]:
    with Pierhead(house(tokens={"refresh": True, "lifetime": "60s"})) as started:
        yield started


def wait_for_tokens(server: Pierhead, method: str, count: int) -> None:
    """The log is written a moment later than the answer."""
    wait_until(lambda: len(re.findall(rf'"{method} /token\S* HTTP/1.1" 200', server.log)) >= count, 10, "tokens")


# --- real ones -------------------------------------------------------------------------------------------------------


def test_docker_pulls_without_any_login(docker_engine: DockerEngine, open_house: Pierhead, tmp_path: Path) -> None:
    with open_house.wire(DEV) as wire:
        wire.push("open/one", "1", runnable(5))
    for name in (f"{open_house.address(GROUP)}/open/one:1", f"{open_house.address()}/{GROUP}/open/one:1"):
        docker_engine.docker("pull", name, config_dir=tmp_path)
        docker_engine.docker("image", "rm", name, config_dir=tmp_path)
    refused = docker_engine.docker("pull", f"{open_house.address(GROUP)}/open/none:1", config_dir=tmp_path, check=False)
    assert "open/none:1 is not in docker-group" in refused.stderr or "not found" in refused.stderr
    docker_engine.load(runnable(6), f"{open_house.address(DEV)}/open/two:1")
    refused = docker_engine.docker("push", f"{open_house.address(DEV)}/open/two:1", config_dir=tmp_path, check=False)
    assert refused.returncode != 0
    assert "denied" in (refused.stdout + refused.stderr).lower()


def test_skopeo_and_podman_pull_without_any_login(skopeo: Skopeo, podman: Podman, open_house: Pierhead) -> None:
    seen = skopeo("inspect", f"docker://{open_house.address(GROUP)}/team/base:1")
    assert json.loads(seen.stdout)["Digest"] == BASE.digest
    podman("pull", f"{open_house.address()}/{GROUP}/team/base:1")
    wait_for_tokens(open_house, "GET", 2)


def test_docker_keeps_a_refresh_token_and_pushes_and_pulls_with_it(
    docker_engine: DockerEngine, keeping_house: Pierhead, tmp_path: Path
) -> None:
    server = keeping_house
    address = server.address(DEV)
    docker_engine.login(address, "svc-orchestrator", "orchestrator-secret-1", config_dir=tmp_path)
    entry = json.loads((tmp_path / "config.json").read_text())["auths"][address]
    assert entry["identitytoken"].startswith("phr_")
    name = f"{address}/team/kept:1"
    docker_engine.load(runnable(7), name)
    docker_engine.docker("push", name, config_dir=tmp_path)
    docker_engine.docker("image", "rm", name)
    docker_engine.docker("pull", name, config_dir=tmp_path)
    wait_for_tokens(server, "POST", 2)
    code, out, _ = server.run_command("admin", "refresh-tokens", "svc-orchestrator", "--data", str(server.data))
    assert (code, "docker" in out) == (0, True)
    of_it = ("admin", "refresh-tokens", "svc-orchestrator", "--data", str(server.data))
    (kept,) = json.loads(server.run_command(*of_it, "-o", "json")[1])["items"]
    assert (kept["client"] in out, kept["made"][:10] in out, kept["until"].endswith("Z")) == (True, True, True)
    assert json.loads(server.run_command(*of_it, "--revoke-all", "-o", "json")[1])["revoked"] == 1
    assert server.run_command(*of_it) == (0, "", "No client keeps a refresh token of svc-orchestrator.\n")
    refused = docker_engine.docker("pull", name, config_dir=tmp_path, check=False)
    assert refused.returncode != 0
    assert entry["identitytoken"] not in server.log


def test_docker_and_skopeo_push_through_a_group_that_takes_pushes(
    docker_engine: DockerEngine, skopeo: Skopeo, tmp_path: Path
) -> None:
    config = house()
    config["repositories"][GROUP]["writable"] = DEV
    with Pierhead(config) as server:
        for address, group in ((server.address(GROUP), ""), (server.address(), f"{GROUP}/")):
            docker_engine.login(address, "svc-orchestrator", "orchestrator-secret-1", config_dir=tmp_path / "docker")
            name = f"{address}/{group}team/through:1"
            docker_engine.load(runnable(8), name)
            docker_engine.docker("push", name, config_dir=tmp_path / "docker")
            skopeo.login(address, "svc-orchestrator", "orchestrator-secret-1")
            write_layout(tmp_path / "in", {"1": image(seed=9)})
            skopeo("copy", f"oci:{tmp_path}/in:1", f"docker://{address}/{group}team/copied:1")
            assert json.loads(skopeo("inspect", f"docker://{address}/{group}team/copied:1").stdout)["Digest"]
        with Bearer(server, GROUP, "svc-orchestrator") as publisher:
            publisher.take("repository:team/x:pull,push")
            names = {entry["name"]: entry["actions"] for entry in claims_of(publisher.token)["access"]}
            assert names[f"{DEV}/team/x"] == ["pull", "push"]
            assert names["docker-hosted-prod/team/x"] == ["pull"]


def test_skopeo_takes_layers_from_an_image_that_it_pushed_before(
    skopeo: Skopeo, buildah: Buildah, open_house: Pierhead, tmp_path: Path
) -> None:
    """containers/image asks one token for two images then."""
    address = open_house.address(DEV)
    pushed = image([random_layer(90_000, 31)], seed=31)
    write_layout(tmp_path / "in", {"1": pushed})
    skopeo.login(address, "svc-orchestrator", "orchestrator-secret-1")
    for name in ("mounts/first", "mounts/second", "mounts/third"):
        skopeo("copy", f"oci:{tmp_path}/in:1", f"docker://{address}/{name}:1")
        seen = skopeo("inspect", f"docker://{address}/{name}:1").stdout
        assert json.loads(seen)["Digest"] == pushed.digest
    buildah.login(address, "svc-orchestrator", "orchestrator-secret-1")
    buildah.make_image("localhost/tokens:1", {"a.txt": b"a"})
    buildah("push", "localhost/tokens:1", f"docker://{address}/mounts/built:1")


# --- in their order --------------------------------------------------------------------------------------------------


def pushed_whole(client: Bearer, name: str, pushed: Image) -> None:
    """HEAD, POST, PUT with all bytes: containerd, ORAS, Helm."""
    for blob in pushed.blobs:
        if client.request("HEAD", f"/v2/{name}/blobs/{blob.digest}").status == 200:
            continue
        location = client.request("POST", f"/v2/{name}/blobs/uploads/", b"").expect(202).headers["Location"]
        client.request("PUT", f"{location}?digest={blob.digest}", blob.data, OCTETS).expect(201)
    put(client, name, "1", pushed).expect(201)


def put(client: Bearer, name: str, reference: str, pushed: Image) -> Answer:
    sent = {"Content-Type": pushed.manifest.media_type}
    return client.insist("PUT", f"/v2/{name}/manifests/{reference}", pushed.manifest.data, sent)


def test_containerd_posts_first_and_falls_back_to_get(open_house: Pierhead) -> None:
    with Bearer(open_house, DEV, "svc-orchestrator") as client:
        target = "/v2/cri/app/manifests/1"
        challenge = challenge_of(client.request("HEAD", target, headers=ACCEPT).expect(401))
        scope = f"{challenge['scope']} repository:team/base:pull"
        form = {"grant_type": "password", "username": client.account, "scope": scope}
        wrong = client.post_token(**form, password="wrong").expect(400)
        assert wrong.status in (400, 401, 404, 405), "what makes containerd try GET"
        answer = client.post_token(**form, password=client.password).expect(200).json()
        assert answer["expires_in"] > 0, "absent or 0 would be kept for ever"
        client.token = answer["access_token"]
        client.request("HEAD", target, headers=ACCEPT).expect(404)
        pushed = image([random_layer(20_000, 41)], seed=41)
        refused = challenge_of(client.request("POST", "/v2/cri/app/blobs/uploads/", b"").expect(401))
        assert refused["error"] == "insufficient_scope"
        client.token = client.post_token(
            grant_type="password", username=client.account, password=client.password, scope=refused["scope"]
        ).json()["access_token"]
        pushed_whole(client, "cri/app", pushed)
        head = client.request("HEAD", target, headers=ACCEPT).expect(200)
        assert head.headers["Docker-Content-Digest"] == pushed.digest


def test_go_containerregistry_and_kaniko_ask_for_more_when_they_need_it(open_house: Pierhead) -> None:
    with Bearer(open_house, DEV, "svc-orchestrator") as client:
        client.take("repository:ko/app:push,pull")
        location = client.request("POST", "/v2/ko/app/blobs/uploads/", b"").expect(202).headers["Location"]
        client.request("DELETE", location).expect(204)  # kaniko: "may I push?"
        layer = BASE_LAYER
        mounting = f"/v2/ko/app/blobs/uploads/?mount={layer.digest}&from=team/base&origin=registry.example"
        location = client.request("POST", mounting, b"").expect(202).headers["Location"]
        client.request("PATCH", location, layer.data).expect(202)
        client.request("DELETE", location).expect(204)
        client.take("repository:ko/app:push,pull", "repository:team/base:pull")
        client.request("POST", mounting, b"").expect(201)
        pushed_whole(client, "ko/app", image([layer], seed=42))
    with Bearer(open_house, GROUP, "svc-deploy") as puller:
        puller.take()
        puller.insist("GET", "/v2/ko/app/manifests/1").expect(200)


def test_a_mount_whose_source_may_not_be_pulled_is_an_upload_and_not_an_error() -> None:
    config = house()
    config["roles"] = {"team": [{"rights": ["pull", "push"], "images": ["team/*"]}]}
    config["accounts"]["svc-orchestrator"]["roles"] = ["team"]
    with Pierhead(config) as server, Bearer(server, DEV, "svc-orchestrator") as client:
        with server.wire(DEV) as admin:
            admin.push("secret/base", "1", BASE)
        layer = BASE_LAYER
        given = client.ask_token("repository:team/app:pull,push", "repository:secret/base:pull").expect(200).json()
        assert given["scope"] == "repository:team/app:pull,push"
        client.token = given["token"]
        mount = client.request("POST", f"/v2/team/app/blobs/uploads/?mount={layer.digest}&from=secret/base", b"")
        mount.expect(202)
        assert client.request("GET", "/v2/secret/base/manifests/1").status == 404, "what one may not pull is not there"


def test_oras_and_helm_log_in_by_form_and_push_whole(open_house: Pierhead) -> None:
    with Bearer(open_house, DEV, "svc-orchestrator") as client:
        challenge_of(client.request("GET", "/v2/").expect(401))
        answer = client.post_token(grant_type="password", username=client.account, password=client.password, scope="")
        client.token = answer.expect(200).json()["access_token"]
        client.request("GET", "/v2/").expect(200)
        chart = image([random_layer(3_000, 51)], seed=51)
        client.insist("HEAD", f"/v2/charts/web/blobs/{chart.config.digest}").expect(404)
        client.insist("POST", "/v2/charts/web/blobs/uploads/", b"").expect(202)
        pushed_whole(client, "charts/web", chart)
        tags = client.insist("GET", "/v2/charts/web/tags/list").expect(200)
        assert tags.json()["tags"] == ["1"]


def test_containers_image_asks_once_more_where_the_scope_was_too_small(open_house: Pierhead) -> None:
    with Bearer(open_house, GROUP, "svc-deploy") as client:
        client.take("repository:other/image:pull")
        for target in ("/v2/team/base/manifests/1", f"/v2/team/base/blobs/{BASE.config.digest}"):
            client.insist("GET", target).expect(200)
        missing = client.insist("GET", "/v2/team/none/manifests/1")
        assert (missing.status, missing.code) == (404, "MANIFEST_UNKNOWN")


def test_the_wrong_port_is_still_named_with_a_token(open_house: Pierhead) -> None:
    with Bearer(open_house, GROUP, "svc-orchestrator") as client:
        client.take("repository:team/app:pull,push")
        refused = client.request("POST", "/v2/team/app/blobs/uploads/", b"").expect(405)
        port = open_house.port(GROUP)
        assert refused.message == f"This port ({port}) is for pulling. Push to {open_house.address(DEV)}/team/app."
        named = client.request("PUT", "/v2/team/app/manifests/1", b"{}").expect(405)
        assert named.code == "UNSUPPORTED"
    with Bearer(open_house, "main", "svc-orchestrator") as client:
        client.take("repository:docker-hosted-uat/team/app:pull,push")
        refused = client.request("POST", "/v2/docker-hosted-uat/team/app/blobs/uploads/", b"").expect(403)
        assert "is filled by promotion only" in refused.message


def test_a_push_that_outlives_its_token_ends_well_and_goes_on_with_another(keeping_house: Pierhead) -> None:
    """A token is looked at when a request begins. Here it is made to end while a chunk is under way."""
    server, layer = keeping_house, random_layer(400_000, 61)
    with Bearer(server, DEV, "svc-orchestrator") as client, Bearer(server, DEV, "svc-orchestrator") as other:
        other.token = client.take("repository:long/push:pull,push")
        location = client.request("POST", "/v2/long/push/blobs/uploads/", b"").expect(202).headers["Location"]
        line = client.wire._connection
        line.putrequest("PATCH", location)
        for name, value in {**client.bearer, **OCTETS, "Content-Length": str(layer.size)}.items():
            line.putheader(name, value)
        line.endheaders()
        line.send(layer.data[: layer.size // 2])
        server.run_command("admin", "rotate-keys", "--drop-old", "--data", str(server.data))
        wait_until(lambda: other.request("GET", "/v2/").status == 401, 20, "the end of the token")
        line.send(layer.data[layer.size // 2 :])
        answer = line.getresponse()
        answer.read()
        assert answer.status == 202
        put_target = f"{answer.headers['Location']}?digest={layer.digest}"
        assert challenge_of(client.request("PUT", put_target, b"").expect(401)) == {
            "realm": f"http://{server.address(DEV)}/token",
            "service": challenge_of(other.request("GET", "/v2/"))["service"],
            "scope": "repository:long/push:pull,push",
            "error": "invalid_token",
        }
        client.insist("PUT", put_target, b"").expect(201)
        assert client.request("HEAD", f"/v2/long/push/blobs/{layer.digest}").status == 200


def test_a_refresh_token_gives_tokens_without_a_password_until_it_is_taken_back(keeping_house: Pierhead) -> None:
    server = keeping_house
    with Bearer(server, DEV, "svc-deploy") as client, Bearer(server, DEV, "") as nobody:
        assert "refresh_token" not in client.ask_token("repository:a:pull").expect(200).json()
        form = {"grant_type": "password", "username": client.account, "password": client.password}
        kept = client.post_token(**form, access_type="offline").expect(200).json()["refresh_token"]
        another = client.ask_token(offline_token="true").expect(200).json()["refresh_token"]
        assert kept != another
        again = nobody.post_token(grant_type="refresh_token", refresh_token=kept, scope="repository:team/a:pull")
        assert claims_of(again.expect(200).json()["access_token"])["sub"] == "svc-deploy"
        assert "refresh_token" not in again.json()
        for wrong in ("", "x", kept[:-1], kept + "x", kept[:-1] + ("A" if kept[-1] != "A" else "B"), kept.upper()):
            refused = nobody.post_token(grant_type="refresh_token", refresh_token=wrong).expect(400)
            assert refused.json()["error"] == "invalid_grant"
        server.restart()
        nobody.wire.close()
        nobody.post_token(grant_type="refresh_token", refresh_token=kept).expect(200)
        database = b"".join(path.read_bytes() for path in server.data.glob("pierhead.db*"))
        assert kept.encode() not in database
        server.run_command("admin", "refresh-tokens", "svc-deploy", "--revoke-all", "--data", str(server.data))
        for one in (kept, another):
            nobody.post_token(grant_type="refresh_token", refresh_token=one).expect(400)
