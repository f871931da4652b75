"""Jobs without a password: what an id_token opens, what it does not, and every token that opens nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.peers import forged
from tests.peers.clients import Skopeo
from tests.peers.engine import DockerEngine
from tests.peers.images import image, write_layout
from tests.peers.issuer import DISCOVERY, KEYS, Issuer
from tests.peers.pierhead import Pierhead
from tests.peers.processes import PeerFailed, wait_until
from tests.peers.wire import Answer, Wire
from tests.promises.houses import DEV, GROUP, UAT
from tests.promises.jobs import AUDIENCE, SERVER, SHARED, Place, denied, trusting
from tests.promises.shop import pushed_digest, runnable


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with Issuer() as issuer, Pierhead(trusting(issuer.url)) as server:
        yield Place(server, issuer)


@pytest.fixture
def quiet(place: Place) -> Iterator[Place]:
    """Whose record tells of no failed login yet: like ones of a minute are told once."""
    with Pierhead(trusting(place.issuer.url)) as server:
        yield Place(server, place.issuer)


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


def test_a_job_is_told_what_it_may_and_why_it_may_not_do_something_else(place: Place) -> None:
    job = {"PIERHEAD_USER": "oidc", "PIERHEAD_PASSWORD": place.token()}

    def typed(*args: str, status: int = 0) -> str:
        code, out, error = place.server.run_command(*args, environment=job)
        assert code == status, error
        assert job["PIERHEAD_PASSWORD"] not in out + error
        return out or error

    who, *may = typed("whoami").splitlines()
    assert who.startswith("gitlab:project/5 at ")
    assert who.endswith(f", signed in with an id_token of {place.issuer.url}.")
    assert may[0].startswith(f"trust.gitlab: pull on every image; push on {SERVER} in {DEV}, under tags branch-*; ")
    pushed = typed("explain", "push", f"{DEV}/{SERVER}:branch-x")
    assert pushed.startswith(f"Yes: gitlab:project/5 may push {SERVER}:branch-x to {DEV}.")
    assert "is a job, known by its id_token. Rules that fit it: trust.gitlab.rules[0] (server), " in pushed
    other = typed("explain", "push", f"{DEV}/orchestrator/ui:branch-x")
    assert other.startswith(f"No: gitlab:project/5 may not push to {DEV}/orchestrator/ui.")
    assert f"orchestrator/ui: trust.gitlab gives push on {SERVER} in {DEV}, under tags branch-*; trust.gitlab" in other
    assert typed("explain", "promote", SERVER).startswith("No: gitlab:project/5 may not promote ")
    refused = typed("tokens", "make", "more", status=1)
    assert refused.startswith("gitlab:project/5 may not make an access token as a job. It has no account")
    for others in ("svc-deploy", "gitlab:project/4"):
        told = typed("explain", "pull", f"{SERVER}:1", "--account", others, status=1)
        assert told.startswith("gitlab:project/5 may not ask about others here.")
    code, _, error = place.server.run_command("explain", "pull", f"{SERVER}:1", "--account", "gitlab:project/5")
    assert code == 1
    assert "a job has none. Let the job itself ask, signed in as `oidc` with its id_token." in error


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


# --- what is told of them --------------------------------------------------------------------------------------------


def failed(place: Place) -> list[dict[str, Any]]:
    """Failed logins in the record, newest first."""
    with place.server.wire("main") as wire:
        found: list[dict[str, Any]] = wire.request("GET", "/api/v1/audit?kind=login%20failed&limit=100").json()["items"]
    return found


def told(place: Place, words: str) -> dict[str, Any]:
    """The newest failed login whose reason holds these words, once there is one."""
    wait_until(lambda: any(words in str(event["reason"]) for event in failed(place)), 20, words)
    return next(one for one in failed(place) if words in str(one["reason"]))


def to_token_endpoint(place: Place, token: str) -> Answer:
    with Wire(place.server.port(DEV), "oidc", token) as wire:
        return wire.request("GET", "/token?service=x")


def by_form(place: Place, token: str) -> Answer:
    form = urlencode({"grant_type": "password", "username": "oidc", "password": token})
    with Wire(place.server.port(DEV)) as wire:
        return wire.request("POST", "/token", form.encode())


def to_rest(place: Place, token: str) -> Answer:
    with Wire(place.server.port(), "oidc", token) as wire:
        return wire.request("GET", "/api/v1/status")


def to_metrics(place: Place, token: str) -> Answer:
    with Wire(place.server.port(), "oidc", token) as wire:
        return wire.request("GET", "/metrics", headers={"X-Forwarded-For": "192.0.2.9"})


@pytest.mark.parametrize(
    ("project", "way"),
    list(enumerate([Place.ping, to_token_endpoint, by_form, to_rest, to_metrics], 3_001)),
    ids=["images", "token", "form", "rest", "metrics"],
)
def test_each_way_in_tells_the_record_of_a_token_that_no_rule_trusts(
    place: Place, project: int, way: Callable[[Place, str], Answer]
) -> None:
    token = place.token(project)
    assert way(place, token).status == 403
    event = told(place, f"`project_id` is `{project}`, which fits no rule")
    assert (event["account"], event["known"], event["address"]) == (None, False, "127.0.0.1")
    through = event["through"]
    assert (through["how"], through["issuer"], through["rules"]) == ("id_token", place.issuer.url, [])
    assert through["name"] == f"gitlab:project/{project}"
    assert not any(part in str(event) for part in token.split("."))


def test_a_token_that_does_not_hold_is_told_with_its_issuer_and_without_itself(quiet: Place) -> None:
    token = quiet.token(lives=-100)
    quiet.ping(token).expect(401)
    event = told(quiet, "it ended")
    assert (event["account"], event["known"], event["address"]) == (None, False, "127.0.0.1")
    assert event["through"] == {"how": "id_token", "issuer": quiet.issuer.url}
    assert not any(part in str(event) for part in token.split("."))


def test_forged_tokens_that_all_say_something_else_are_a_few_rows(quiet: Place) -> None:
    for number in range(60):
        quiet.ping(quiet.token(iss=f"https://issuer-{number}.example.com")).expect(401)
    quiet.ping(quiet.token(exp=1, nbf=2, iat="flood")).expect(401)
    told(quiet, "`iat`")
    assert len(failed(quiet)) < 10
    event = told(quiet, "issuer-0.example.com")
    assert "issuer" not in event["through"], "what it says of itself is proved by nothing"


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
