"""Jobs without a password: what an id_token opens, what it does not, and every token that opens nothing.

The rules are those of the example that is shipped; only the issuer's address is another one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.peers import forged
from tests.peers.clients import Skopeo
from tests.peers.engine import DockerEngine
from tests.peers.fixtures import StartOpenBao
from tests.peers.gitlab import GitLab, gitlab
from tests.peers.images import image, write_layout
from tests.peers.issuer import DISCOVERY, KEYS, Issuer, fails, hangs
from tests.peers.openbao import POLICY, OpenBao
from tests.peers.pierhead import Config, Pierhead, house
from tests.peers.processes import LOOPBACK, PeerFailed, free_port, wait_until
from tests.peers.wire import Answer, Wire
from tests.promises.houses import DEV, GROUP, UAT
from tests.promises.shop import pushed_digest, runnable

SHARED: dict[str, Any] = YAML(typ="safe", pure=True).load(
    (Path(__file__).parents[2] / "examples" / "cwiq" / "shared.yaml").read_text()
)
AUDIENCE = str(SHARED["trust"]["gitlab"]["audience"])
JOBS = gitlab()
SERVER = "orchestrator/server"
FROM_PRODUCTION = {
    "claims": {"project_id": 5, "environment": "production", "environment_protected": True},
    "rights": ["push"],
    "repositories": [DEV],
    "images": ["orchestrator/deployed"],
}


def trusting(issuer: str, **more: object) -> Config:
    """The example's services and rules, with this issuer. Clocks may not differ, since there is one only."""
    gitlab = {**SHARED["trust"]["gitlab"], "issuer": issuer, "leeway": "0s", **more}
    gitlab["rules"] = [*gitlab["rules"], FROM_PRODUCTION]
    return house(services=SHARED["services"], trust={"gitlab": gitlab})


@dataclass(frozen=True)
class Place:
    """A registry, and the issuer whose jobs it trusts."""

    server: Pierhead
    issuer: Issuer

    def token(self, project: int = 5, path: str = SERVER, *, lives: float = 3600, **more: object) -> str:
        """Of a job of this project, on `main` unless `more` says otherwise."""
        claims = self.issuer.signer.claims(project, path, lives=lives, aud=AUDIENCE)
        made = {name: value for name, value in {**claims, **more}.items() if value is not None}
        return self.issuer.signer.sign(made)

    def ping(self, token: str) -> Answer:
        """What a login gets."""
        with Wire(self.server.port(DEV), "oidc", token) as wire:
            return wire.request("GET", "/v2/")

    def push(self, token: str, tag: str, name: str = SERVER, *, seed: int = 1) -> Answer:
        """The answer to the manifest, or to the first request that is refused."""
        what = image(seed=seed)
        with Wire(self.server.port(DEV), "oidc", token) as wire:
            begun = wire.request("POST", f"/v2/{name}/blobs/uploads/", b"")
            if begun.status != 202:
                return begun
            for blob in what.blobs:
                wire.push_blob(name, blob)
            return wire.put_manifest(name, tag, what.manifest)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with Issuer() as issuer, Pierhead(trusting(issuer.url)) as server:
        yield Place(server, issuer)


def denied(answer: Answer) -> str:
    """The sentence of a 403."""
    assert (answer.status, answer.code) == (403, "DENIED"), answer.body
    return answer.message


# --- real clients ----------------------------------------------------------------------------------------------------


def test_docker_logs_in_with_an_id_token_and_pushes_its_own_image_only(
    docker_engine: DockerEngine, place: Place
) -> None:
    config = docker_engine.folder / "config-oidc"
    push, pull = place.server.address(DEV), place.server.address(GROUP)
    for address in (push, pull):
        docker_engine.login(address, "oidc", place.token(), config_dir=config)
    mine, other = f"{push}/{SERVER}:main-a1b2c3d", f"{push}/orchestrator/ui:main-a1b2c3d"
    docker_engine.load(runnable(40), mine)
    digest = pushed_digest(docker_engine.docker("push", mine, config_dir=config).stdout)
    docker_engine.docker("tag", mine, other)
    with pytest.raises(PeerFailed, match="gitlab:project/5 may not push to docker-hosted-dev/orchestrator/ui"):
        docker_engine.docker("push", other, config_dir=config)
    pulled = docker_engine.docker("pull", f"{pull}/{SERVER}:main-a1b2c3d", config_dir=config).stdout
    assert digest in pulled
    for name in (mine, other, f"{pull}/{SERVER}:main-a1b2c3d"):
        docker_engine.docker("image", "rm", name)


def test_docker_is_told_why_a_token_opens_nothing(docker_engine: DockerEngine, place: Place) -> None:
    for token in (place.token(aud="https://vault.example.com"), place.token(99), place.token(lives=-100)):
        with pytest.raises(PeerFailed, match=r"401|403|id_token") as refused:
            docker_engine.login(place.server.address(DEV), "oidc", token, config_dir=docker_engine.folder / "no")
        assert token not in str(refused.value)


def test_skopeo_copies_with_an_id_token(skopeo: Skopeo, place: Place, tmp_path: Path) -> None:
    skopeo.login(place.server.address(DEV), "oidc", place.token(ref="v2.0.0", ref_type="tag"))
    what = image(seed=41)
    write_layout(tmp_path / "layout", {"one": what})
    to = f"docker://{place.server.address(DEV)}/{SERVER}"
    skopeo("copy", f"oci:{tmp_path / 'layout'}:one", f"{to}:2.0.0")
    assert what.digest in skopeo("inspect", f"{to}:2.0.0").stdout
    with pytest.raises(PeerFailed, match=r"but not under the tag main-1"):
        skopeo("copy", f"oci:{tmp_path / 'layout'}:one", f"{to}:main-1")


def test_one_command_logs_a_job_in_and_says_why_it_cannot(skopeo: Skopeo, place: Place, tmp_path: Path) -> None:
    server = place.server
    said = {}
    for name, token in (("good", place.token()), ("other", place.token(99)), ("vault", place.token(aud="https://v"))):
        job = {
            "NEXUS_REGISTRY": server.address(DEV),
            "NEXUS_REGISTRY_PULL": server.address(GROUP),
            "PIERHEAD_ID_TOKEN": token,
            "DOCKER_CONFIG": str(tmp_path / name),
        }
        code, out, error = server.run_command("ci", "login", "--oidc", environment=job)
        assert token not in out + error
        said[name] = code, (out + error).replace("\n", " ")
    assert said["good"][0] == 0, said["good"]
    assert said["other"][0] == said["vault"][0] == 1
    assert "`project_id` is `99`, which fits no rule" in said["other"][1]
    assert "it is for https://v (`aud`)" in said["vault"][1]
    write_layout(tmp_path / "layout", {"one": image(seed=42)})
    skopeo.auth_file.write_bytes((tmp_path / "good" / "config.json").read_bytes())
    skopeo("copy", f"oci:{tmp_path / 'layout'}:one", f"docker://{server.address(DEV)}/{SERVER}:branch-helper")


# --- what a job may --------------------------------------------------------------------------------------------------


def test_a_job_pushes_the_tags_that_belong_to_what_happened_in_git(place: Place) -> None:
    main = place.token()
    branch = place.token(ref="feature/x", ref_protected="false")
    tag = place.token(ref="v1.4.0", ref_type="tag")
    unprotected = place.token(ref="v1.4.0", ref_type="tag", ref_protected="false")
    for token, tags in (
        (main, ["main-a1b2c3d", "latest", "branch-x-a1b2c3d"]),
        (branch, ["branch-x-a1b2c3d"]),
        (tag, ["1.4.0", "stable"]),
    ):
        for one in tags:
            place.push(token, one).expect(201)
    for token, tags in (
        (main, ["1.4.0", "stable", "v1"]),
        (branch, ["latest", "main-a1b2c3d", "1.4.0", "stable"]),
        (tag, ["latest", "main-a1b2c3d", "v1.4.0", "1"]),
        (unprotected, ["1.4.0", "stable", "latest"]),
    ):
        for one in tags:
            assert "but not under the tag" in denied(place.push(token, one)), (one, token)


def test_each_project_of_the_catalogue_pushes_its_own_image_and_no_other(place: Place) -> None:
    services = SHARED["services"].values()
    assert len(services) == 14
    for service in services:
        token = place.token(service["project_id"])
        place.push(token, "latest", service["image"], seed=50).expect(201)
        other = next(one["image"] for one in services if one is not service)
        assert f"gitlab:project/{service['project_id']} may not push to" in denied(place.push(token, "latest", other))


def test_a_token_that_names_two_hundred_groups_is_not_too_long(place: Place) -> None:
    """GitLab names no more than that."""
    token = place.token(groups_direct=[f"platform/team-{number}/services" for number in range(200)])
    assert len(token) > 8_192
    place.ping(token).expect(200)


def test_a_job_pulls_and_neither_deletes_nor_fills_a_later_stage(place: Place) -> None:
    token = place.token()
    place.push(token, "latest").expect(201)
    with Wire(place.server.port(GROUP), "oidc", token) as wire:
        wire.get_manifest(SERVER, "latest").expect(200)
    with Wire(place.server.port(DEV), "oidc", token) as wire:
        denied(wire.request("DELETE", f"/v2/{SERVER}/manifests/latest"))
    with Wire(place.server.port(), "oidc", token) as wire:
        denied(wire.request("POST", f"/v2/{UAT}/{SERVER}/blobs/uploads/", b""))
        assert wire.request("GET", "/api/v1/storage").status == 403


def test_row_96_a_token_opens_no_more_than_its_claims_do(place: Place) -> None:
    other = denied(place.ping(place.token(99)))
    assert other == (
        "The id_token is genuine, but no rule of trust.gitlab fits it: `project_id` is `99`, which fits no rule."
    )
    fork = place.token(7001, "mallory/server", ref="main", job_project_id="5", job_project_path="orchestrator/server")
    denied(place.push(fork, "branch-x"))
    taken = place.token(99, "orchestrator/server")  # the path of project 5, after that was renamed
    denied(place.push(taken, "latest"))
    denied(place.push(place.token(ref_protected="false"), "latest"))
    deployed = "orchestrator/deployed"
    less: list[dict[str, Any]] = [
        {"environment": None},
        {"environment": "production"},
        {"environment": "shared", "environment_protected": "true"},
    ]
    for missing in less:
        denied(place.push(place.token(**missing), "1", deployed))
    place.push(place.token(environment="production", environment_protected="true"), "1", deployed).expect(201)


# --- what opens nothing ----------------------------------------------------------------------------------------------


def tokens(place: Place) -> Iterator[tuple[str, str]]:
    """Rows 83 to 90."""
    signer = place.issuer.signer
    yield from forged.none_algorithms(signer, AUDIENCE)
    yield from forged.public_key_as_secret(signer, AUDIENCE)
    yield from forged.own_keys(signer, AUDIENCE, f"{place.issuer.url}/evil")
    yield from forged.key_ids(signer, AUDIENCE)
    yield from forged.extensions(signer, AUDIENCE)
    yield from forged.wrong_parties(signer, AUDIENCE)
    yield from forged.wrong_times(signer, AUDIENCE)
    yield from forged.monsters(signer, AUDIENCE)


def test_rows_83_to_90_no_forged_token_opens_anything_or_makes_anybody_be_asked(place: Place) -> None:
    place.ping(place.token()).expect(200)
    before = place.issuer.asked.copy()
    tried = 0
    for name, token in tokens(place):
        answer = place.ping(token)
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED"), (name, answer.body)
        assert token not in answer.body.decode(), name
        tried += 1
    assert tried > 100
    more = {path: count - before[path] for path, count in place.issuer.asked.items() if count > before[path]}
    assert set(more) <= {DISCOVERY, KEYS}
    assert all(count == 1 for count in more.values()), "for an unknown key, once a minute"
    with Wire(place.server.port(DEV), "oidc", "x" * (1 << 20)) as wire:
        assert wire.request("GET", "/v2/").status in (400, 401, 431)
    place.ping(place.token()).expect(200)


def test_row_97_a_token_for_vault_is_none_for_the_registry(place: Place) -> None:
    answer = place.ping(place.token(aud=SHARED["trust"]["gitlab"]["issuer"]))
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    assert f"this is {AUDIENCE}" in answer.message


def test_row_98_a_token_opens_nothing_once_it_ended_though_it_did_a_moment_ago(place: Place) -> None:
    token = place.token(exp=int(time.time()) + 3)
    with Wire(place.server.port(DEV), "oidc", token) as wire:
        wire.request("GET", "/v2/").expect(200)
        wait_until(lambda: wire.request("GET", "/v2/").status == 401, 15, "the end of the token")
        assert "it ended" in wire.request("GET", "/v2/").message


def test_no_token_is_written_down_anywhere(place: Place) -> None:
    """Neither those that were good nor those that were not."""
    good, bad = place.token(), place.token(aud="x")
    place.push(good, "latest").expect(201)
    place.ping(bad).expect(401)
    kept = place.server.log + "".join(path.read_text(errors="ignore") for path in place.server.data.glob("*.db*"))
    for token in (good, bad):
        assert token.rpartition(".")[2] not in kept
        assert token.split(".")[1] not in kept
    assert "gitlab:project/5" in place.server.log


# --- issuers ---------------------------------------------------------------------------------------------------------


def test_row_99_and_100_an_issuer_that_is_down_or_lies_closes_its_own_door_and_no_other() -> None:
    port = free_port()
    with Pierhead(trusting(f"http://{LOOPBACK}:{port}")) as server:
        token = GitLab(f"http://{LOOPBACK}:{port}").id_token(aud=AUDIENCE)
        with Wire(server.port(DEV), "oidc", token) as wire:
            for path in ("/v2/", f"/v2/{SERVER}/manifests/latest"):
                answer = wire.request("GET", path)
                assert (answer.status, answer.code) == (503, "UNAVAILABLE")
                assert int(answer.headers["Retry-After"]) > 0
                assert "connection refused" in answer.message
        with Wire(server.port(), "oidc", token) as wire:
            assert wire.request("GET", "/api/v1/repositories").status == 503
            metrics = wire.request("GET", "/metrics", headers={"X-Forwarded-For": "192.0.2.1"})
            assert metrics.status == 503
        with server.wire(DEV, "svc-orchestrator") as wire:
            wire.request("GET", "/v2/").expect(200)


def test_while_an_issuer_hangs_everybody_else_goes_in_and_out() -> None:
    with Issuer() as issuer, Pierhead(trusting(issuer.url)) as server, ThreadPoolExecutor(8) as jobs:
        place = Place(server, issuer)
        issuer.play(hangs)
        asked = [jobs.submit(place.ping, place.token(jti=str(number))) for number in range(8)]
        wait_until(lambda: issuer.asked[KEYS] > 0, 10, "the question")
        with server.wire(DEV, "svc-orchestrator") as wire:
            wire.push("other/image", "1", image(seed=60))
            wire.get_manifest("other/image", "1").expect(200)
        assert not any(one.done() for one in asked), "a push went through meanwhile"
        assert {one.result(30).status for one in asked} == {503}
        assert issuer.asked[KEYS] == 1


def test_keys_that_an_issuer_rotates_are_known_after_a_reread_at_once_and_its_outage_does_no_harm() -> None:
    with Issuer() as issuer, Pierhead(trusting(issuer.url)) as server:
        place = Place(server, issuer)
        place.ping(place.token()).expect(200)
        issuer.play(fails())
        for _ in range(3):
            place.ping(place.token()).expect(200)
        issuer.play(None)
        before = issuer.rotate()
        assert "If it is new, it is known here in" in place.ping(place.token()).expect(401).message
        server.reload(trusting(issuer.url, fresh_for="1m"))
        wait_until(lambda: place.ping(place.token()).status == 200, 20, "the new key")
        place.ping(before.id_token(aud=AUDIENCE)).expect(401)
        assert issuer.asked == {DISCOVERY: 2, KEYS: 2}


@pytest.fixture
def vault(start_openbao: StartOpenBao) -> OpenBao:
    """An issuer that nobody here wrote: its tokens carry what it knows of who asks for them."""
    server = start_openbao()
    server.furnish(JOBS, {})
    server.policy(POLICY, "identity/oidc/token/*")
    server.call("POST", "identity/oidc/config", {"issuer": server.url}).expect(200, 204)
    for algorithm in ("RS256", "ES256", "EdDSA"):
        key = {"algorithm": algorithm, "allowed_client_ids": ["*"]}
        server.call("POST", f"identity/oidc/key/{algorithm}", key).expect(200, 204)
        role = {
            "key": algorithm,
            "client_id": AUDIENCE,
            "ttl": "10m",
            "template": '{"project_id": {{identity.entity.metadata.project_id}}}',
        }
        server.call("POST", f"identity/oidc/role/{algorithm}", role).expect(200, 204)
    return server


def entity(vault: OpenBao, name: str, project: int) -> str:
    """A Vault token of somebody who belongs to this project."""
    made = vault.call("POST", f"identity/entity/name/{name}", {"metadata": {"project_id": str(project)}})
    accessor = vault.call("GET", "sys/auth").expect(200).body["data"]["jwt/"]["accessor"]
    alias = {"name": name, "canonical_id": made.expect(200).body["data"]["id"], "mount_accessor": accessor}
    vault.call("POST", "identity/entity-alias", alias).expect(200, 204)
    job = JOBS.id_token(5, name)
    return str(vault.log_in(job).expect(200).body["auth"]["client_token"])


def issued(vault: OpenBao, token: str, algorithm: str) -> str:
    return str(vault.call("GET", f"identity/oidc/token/{algorithm}", token=token).expect(200).body["data"]["token"])


def test_tokens_of_a_real_issuer_are_taken_with_each_algorithm_and_after_its_key_rotates(vault: OpenBao) -> None:
    mine, other = entity(vault, "server", 5), entity(vault, "elsewhere", 99)
    issuer = f"{vault.url}/v1/identity/oidc"
    config = trusting(issuer)
    with Pierhead(config) as server, Issuer() as nobody:
        place = Place(server, nobody)
        for algorithm in ("RS256", "ES256", "EdDSA"):
            answer = place.push(issued(vault, mine, algorithm), "branch-x")
            assert answer.status == 201, (algorithm, answer.body)
            assert "`project_id` is `99`, which fits no rule" in denied(place.ping(issued(vault, other, algorithm)))
        before = issued(vault, mine, "RS256")
        vault.call("POST", "identity/oidc/key/RS256/rotate", {"verification_ttl": "10m"}).expect(200, 204)
        server.reload(trusting(issuer, fresh_for="1m"))
        after = issued(vault, mine, "RS256")
        wait_until(lambda: place.ping(after).status == 200, 20, "the new key")
        place.ping(before).expect(200)
        vault.seal()
        place.ping(after).expect(200)
