"""Logins over the wire: what clients are told, what is slowed down, what a reread changes, what is never shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pierhead.adapters.passwords import hash_password
from tests.peers.fixtures import StartPierhead
from tests.peers.pierhead import Config, Pierhead, house
from tests.peers.processes import free_port
from tests.peers.wire import Answer, Wire

pytestmark = pytest.mark.server

CANARY = "canary-7d1f"
UNKNOWN_UPSTREAM = {"UP_USER": f"{CANARY}-upstream-user", "UP_PASSWORD": f"{CANARY}-upstream-password"}


def furnished(folder: Path) -> Config:
    """Accounts of every kind, two of them disabled, and an upstream that nobody answers for."""
    (folder / "password").write_text(f"{CANARY}-file\n")
    config = house(f"http://127.0.0.1:{free_port()}")
    config["repositories"]["docker-proxy-dockerhub"] |= {"username_env": "UP_USER", "password_env": "UP_PASSWORD"}
    config["accounts"] |= {
        "by-env": {"password_env": "BY_ENV_PASSWORD", "roles": ["publisher"]},
        "by-file": {"password_file": str(folder / "password"), "roles": ["publisher"]},
        "by-hash": {"password_hash": hash_password(f"{CANARY}-hashed"), "roles": ["publisher"]},
        "no-variable": {"password_env": "NO_SUCH_VARIABLE", "roles": ["admin"]},
        "no-file": {"password_file": str(folder / "missing"), "roles": ["admin"]},
    }
    return config


PASSWORDS = {"by-env": f"{CANARY}-env", "by-file": f"{CANARY}-file", "by-hash": f"{CANARY}-hashed"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pierhead]:
    config = furnished(tmp_path_factory.mktemp("secrets"))
    environment = {**UNKNOWN_UPSTREAM, "BY_ENV_PASSWORD": PASSWORDS["by-env"]}
    with Pierhead(config, environment=environment) as started:
        # Known from here on, and so not held up by guesses that tests send from the same address.
        login(started, "admin", started.admin_password).expect(200)
        yield started


def ask(server: Pierhead, authorization: str | None, target: str = "/v2/", port: str = "main") -> Answer:
    headers = {} if authorization is None else {"Authorization": authorization}
    with Wire(server.port(port)) as wire:
        return wire.request("GET", target, headers=headers)


def login(server: Pierhead, name: str, password: str, target: str = "/v2/", port: str = "main") -> Answer:
    return ask(server, "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode(), target, port)


@pytest.mark.parametrize("name", PASSWORDS)
@pytest.mark.parametrize("port", ["main", "docker-hosted-dev", "docker-group"])
def test_every_kind_of_account_logs_in_on_every_port(server: Pierhead, name: str, port: str) -> None:
    login(server, name, PASSWORDS[name], port=port).expect(200)


WRONG = [
    None,
    "",
    "Bearer eyJhbGciOiJub25lIn0.e30.",
    "Basic",
    "Basic !!!",
    "Basic " + base64.b64encode(b"anna").decode(),
    "Basic " + base64.b64encode(b"by-env:wrong").decode(),
    "Basic " + base64.b64encode(b"by-env:" + PASSWORDS["by-env"].encode() + b"\0").decode(),
    "Basic " + base64.b64encode(b"nobody:wrong").decode(),
    "Basic " + base64.b64encode(b"admin:admin123").decode(),
    "Basic " + base64.b64encode(b"admin:").decode(),
    "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
    "Basic " + base64.b64encode(b"by-env:" + b"x" * 9_000).decode(),
]


@pytest.mark.parametrize("authorization", WRONG, ids=range(len(WRONG)))
@pytest.mark.parametrize("target", ["/v2/", "/v2/docker-hosted-dev/app/manifests/1", "/v2/_catalog", "/api/v1/status"])
def test_whatever_else_is_sent_gets_401_and_the_challenge(
    server: Pierhead, authorization: str | None, target: str
) -> None:
    answer = ask(server, authorization, target).expect(401, 429)
    if answer.status == 401:
        (challenge,) = answer.headers.get_all("WWW-Authenticate") or [""]
        assert challenge.startswith("Bearer realm=" if target.startswith("/v2") else 'Basic realm="Pierhead"')
        if target.startswith("/v2"):
            assert answer.code == "UNAUTHORIZED"


def test_a_password_of_a_mebibyte_is_refused_before_anybody_hashes_it(server: Pierhead) -> None:
    assert login(server, "by-env", "x" * (1 << 20)).status == 431


def test_ten_failures_a_minute_then_429_for_this_account_and_nobody_else(server: Pierhead) -> None:
    login(server, "svc-promoter", "promoter-secret-1").expect(200)
    refused = [login(server, "svc-promoter", f"guess {number}") for number in range(12)]
    assert [one.status for one in refused] == [401] * 10 + [429] * 2
    assert refused[-1].code == "TOOMANYREQUESTS"
    assert 1 <= int(refused[-1].headers["Retry-After"]) <= 60
    assert "failed logins" in refused[-1].message
    login(server, "svc-promoter", "promoter-secret-1").expect(200)
    login(server, "svc-deploy", "deploy-secret-1").expect(200)


@pytest.mark.parametrize("name", ["no-variable", "no-file"])
def test_a_disabled_account_is_told_to_the_log_and_not_to_the_client(server: Pierhead, name: str) -> None:
    unknown = login(server, "really-nobody", "x").expect(401)
    for password in ("x", "", "NO_SUCH_VARIABLE"):
        answer = login(server, name, password).expect(401)
        assert answer.message == unknown.message
        assert b"disabled" not in answer.body
    assert f"Account {name} is disabled" in server.log


def test_no_secret_is_ever_shown(server: Pierhead) -> None:
    bodies = []
    typed = f"{CANARY}-typed"
    for name, password in [*PASSWORDS.items(), ("by-env", typed), (typed, "x"), ("no-file", typed), ("admin", typed)]:
        for target in (
            "/v2/",
            "/v2/docker-proxy-dockerhub/library/x/manifests/1",
            "/v2/docker-group/library/x/tags/list",
            "/api/v1/status",
            "/api/v1/repositories",
            "/api/v1/no-such-thing",
            "/metrics",
            "/",
        ):
            answer = login(server, name, password, target)
            bodies.append(answer.body.decode("utf-8", "replace") + str(answer.headers))
    bodies += [ask(server, header).body.decode() for header in (f"Bearer {typed}", f"Basic {typed}", typed)]
    bodies.append(ask(server, None, "/metrics").body.decode())
    with server.wire("main") as wire:
        bodies += [
            wire.request("GET", f"/api/v1/{one}").body.decode() for one in ("status", "upstreams", "repositories")
        ]
    code, out, err = server.run_command("status")
    assert code == 0, err
    shown = [*bodies, out, err, server.log]
    admin = server.admin_password
    hashes = [
        account["password_hash"]
        for account in json.loads(server.config_path.read_text())["accounts"].values()
        if "password_hash" in account
    ]
    for secret in (CANARY, admin, *hashes, base64.b64encode(f"admin:{admin}".encode()).decode(), "$argon2"):
        assert not [one for one in shown if secret in one], f"{secret[:8]}… is shown"
    assert "by-env" in server.log, "the log tells who asked"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_password_that_changed_is_refused_at_once_after_a_reread(
    start_pierhead: StartPierhead, tmp_path: Path, workers: int
) -> None:
    secret = tmp_path / "password"
    secret.write_text("old")
    config = house(workers=workers)
    config["accounts"] = {
        "anna": {"password_file": str(secret), "roles": ["publisher"]},
        "bob": {"password_hash": hash_password("bobs"), "roles": ["publisher"]},
    }
    server = start_pierhead(config)
    login(server, "anna", "old").expect(200)
    login(server, "bob", "bobs").expect(200)
    secret.write_text("new")
    config["accounts"].pop("bob")
    server.reload(config)
    server.wait_for_log("The configuration was read again.", 30)
    for _ in range(4):  # whichever worker answers
        login(server, "anna", "old").expect(401)
        login(server, "bob", "bobs").expect(401)
        login(server, "anna", "new").expect(200)


def test_the_first_password_is_nowhere_but_in_its_file(start_pierhead: StartPierhead) -> None:
    server = start_pierhead()
    password = server.admin_password.encode()
    login(server, "admin", password.decode()).expect(200)
    assert len(password) == 24
    assert password not in server.log.encode()
    holders = [path.name for path in server.data.rglob("*") if path.is_file() and password in path.read_bytes()]
    assert holders == ["admin.password"]
    assert (server.data / "admin.password").stat().st_mode & 0o777 == 0o600
