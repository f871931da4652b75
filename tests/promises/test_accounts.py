"""Accounts, roles and access tokens from outside: what is made holds at once everywhere, what is taken away stops."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.peers.engine import DockerEngine
from tests.peers.images import image
from tests.peers.pierhead import Pierhead
from tests.peers.processes import PeerFailed, wait_until
from tests.peers.wire import Wire
from tests.promises.desk import PASSWORD, make, say, tell, token
from tests.promises.houses import DEV, hosted_only, worker_behind

TEAM = [{"rights": ["pull", "push"], "images": ["team/*"]}]
PUSHED = image(seed=1)
# Which worker takes a connection is the system's to say; on a busy machine one of them takes very many in a row.
CONNECTIONS_MAX = 500


@pytest.fixture(scope="module", params=[1, 3], ids=["one worker", "three workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Pierhead]:
    with Pierhead(hosted_only(), arguments=["--workers", str(request.param)]) as started:
        with started.wire(DEV) as wire:
            wire.push("team/app", "1", PUSHED)
            wire.push("other/app", "1", PUSHED)
        tell(started, "PUT", "/roles/team", {"rules": TEAM})
        yield started


@contextlib.contextmanager
def everywhere(server: Pierhead, name: str, secret: str) -> Iterator[list[Wire]]:
    """A kept connection to each worker, with these credentials."""
    workers = int(server.arguments[-1])
    found: dict[int, Wire] = {}
    spare: list[Wire] = []
    try:
        while len(found) < workers:
            if len(spare) > CONNECTIONS_MAX:
                raise PeerFailed("one of the workers gets no connection")
            wire = Wire(server.port(DEV), name, secret)
            spare.append(wire)
            wire.request("GET", "/livez")
            found.setdefault(worker_behind(server, wire) if workers > 1 else 0, wire)
        yield list(found.values())
    finally:
        for wire in spare:
            wire.close()


def statuses(wires: list[Wire], name: str = "team/app") -> set[int]:
    return {wire.get_manifest(name, "1").status for wire in wires}


def all_refuse(wires: list[Wire]) -> bool:
    return statuses(wires) == {401}


def test_an_account_and_its_role_that_rest_made_hold_in_every_worker_at_once(server: Pierhead) -> None:
    for number in range(5):
        name, role = f"new-{number}", f"new-{number}"
        tell(server, "PUT", f"/roles/{role}", {"rules": TEAM})
        make(server, name, role)
        with everywhere(server, name, PASSWORD) as wires:
            assert statuses(wires) == {200}
            assert statuses(wires, "other/app") == {404}, "what it may not pull does not exist for it"


def test_a_role_that_is_changed_changes_what_may_be_done_in_every_worker(server: Pierhead) -> None:
    tell(server, "PUT", "/roles/changing", {"rules": TEAM})
    make(server, "dora", "changing")
    made = token(server, "dora")
    with everywhere(server, "dora", PASSWORD) as known, everywhere(server, "dora", made["secret"]) as tokens:
        assert statuses(known) == statuses(tokens) == {200}
        tell(server, "PUT", "/roles/changing", {"rules": [{"rights": ["pull"], "images": ["other/*"]}]})
        assert statuses(tokens) == {404}, "with an access token, the next request"
        assert statuses(tokens, "other/app") == {200}
        wait_until(lambda: statuses(known) == {404}, 2, "with a password, within a moment")


def test_a_revoked_access_token_is_refused_by_the_next_request_to_any_worker(server: Pierhead) -> None:
    make(server, "erin", "team")
    for number in range(3):
        made = token(server, "erin", f"ci-{number}")
        with everywhere(server, "erin", made["secret"]) as wires:
            assert statuses(wires) == {200}
            tell(server, "DELETE", f"/account/tokens/{made['id']}", who="erin", password=PASSWORD)
            for wire in wires:
                refused = wire.get_manifest("team/app", "1")
                assert (refused.status, refused.code) == (401, "UNAUTHORIZED")
                assert "This access token was revoked on 20" in refused.message


def test_a_bearer_token_that_was_got_with_an_access_token_stops_with_it(server: Pierhead) -> None:
    make(server, "lena", "team")
    made, other = token(server, "lena", "ci"), token(server, "lena", "other")

    def bearer(secret: str) -> dict[str, str]:
        with Wire(server.port(DEV), "lena", secret) as wire:
            answer = wire.request("GET", "/token?scope=repository:team/app:pull").expect(200)
        return {"Authorization": f"Bearer {answer.json()['token']}"}

    ours, others = bearer(made["secret"]), bearer(other["secret"])
    with everywhere(server, "", "") as wires:

        def heard(headers: dict[str, str]) -> set[int]:
            return {wire.request("GET", "/v2/team/app/manifests/1", headers=headers).status for wire in wires}

        assert heard(ours) == heard(others) == {200}, "a worker that has not heard of the account asks"
        tell(server, "DELETE", f"/account/tokens/{made['id']}", who="lena", password=PASSWORD)
        wait_until(lambda: heard(ours) == {401}, 2, "in every worker, within a moment")
        assert heard(others) == {200}
        tell(server, "DELETE", "/accounts/lena")
        wait_until(lambda: heard(others) == {401}, 2, "in every worker, within a moment")


def test_a_bearer_token_is_of_the_account_that_it_was_made_for_and_of_no_later_one_of_the_name(
    server: Pierhead,
) -> None:
    def bearer() -> dict[str, str]:
        with Wire(server.port(DEV), "mona", PASSWORD) as wire:
            answer = wire.request("GET", "/token?scope=repository:team/app:pull").expect(200)
        return {"Authorization": f"Bearer {answer.json()['token']}"}

    make(server, "mona", "team")
    earlier = bearer()
    with everywhere(server, "", "") as wires:

        def heard(headers: dict[str, str]) -> set[int]:
            return {wire.request("GET", "/v2/team/app/manifests/1", headers=headers).status for wire in wires}

        assert heard(earlier) == {200}
        tell(server, "DELETE", "/accounts/mona")
        make(server, "mona", "team")
        # A worker that has yet to hear of it makes one more token of the former account, which opens nothing.
        wait_until(lambda: heard(bearer()) == {200}, 5, "in every worker, within a moment")
        wait_until(lambda: heard(earlier) == {401}, 5, "in every worker, within a moment")


def test_row_94_an_account_that_is_disabled_or_removed_stops_with_all_its_secrets(server: Pierhead) -> None:
    made: dict[str, str] = {}
    for verb, path, body in (("PATCH", "/accounts/finn", {"disabled": True}), ("DELETE", "/accounts/finn", None)):
        make(server, "finn", "team")
        made = token(server, "finn")
        with everywhere(server, "finn", PASSWORD) as known, everywhere(server, "finn", made["secret"]) as tokens:
            assert statuses(known) == statuses(tokens) == {200}
            tell(server, verb, path, body)
            assert statuses(tokens) == {401}, "with an access token, the next request"
            wait_until(partial(all_refuse, known), 2, "with a password, within a moment")
        with everywhere(server, "finn", PASSWORD) as wires:
            assert statuses(wires) == {401}, "who signs in anew is refused at once"
        if verb == "PATCH":
            tell(server, verb, path, {"disabled": False})
            with everywhere(server, "finn", made["secret"]) as wires:
                assert statuses(wires) == {200}
            tell(server, "DELETE", path)
    make(server, "finn", "team")
    with everywhere(server, "finn", made["secret"]) as wires:
        assert statuses(wires) == {401}, "who gets the name does not get the tokens"


def test_row_95_an_access_token_that_was_narrowed_is_so_through_basic(server: Pierhead) -> None:
    make(server, "gwen", "publisher")
    narrow = token(server, "gwen", rules=[{"rights": ["pull"], "images": ["team/*"]}])
    with Wire(server.port(DEV), "gwen", narrow["secret"]) as wire:
        assert wire.get_manifest("team/app", "1").body == PUSHED.manifest.data
        for method, path in (("POST", "blobs/uploads/"), ("PUT", "manifests/2")):
            refused = wire.request(method, f"/v2/team/app/{path}", PUSHED.manifest.data)
            assert (refused.status, refused.code) == (403, "DENIED")
        assert wire.get_manifest("other/app", "1").status == 404
        assert wire.request("DELETE", "/v2/team/app/manifests/1").status == 403
        listed = wire.request("GET", "/v2/_catalog").expect(200).json()["repositories"]
        assert listed == ["team/app"]
    more = token(server, "gwen", "more", rules=[{"rights": ["pull", "push", "delete", "administer"]}])
    with Wire(server.port(DEV), "gwen", more["secret"]) as wire:
        assert wire.request("DELETE", "/v2/team/app/manifests/1").status == 403, "it gives nothing"
    with Wire(server.port(), "gwen", more["secret"]) as wire:
        assert say(wire, "GET", "/accounts").status == 403


def test_an_access_token_ends_when_it_was_said_to(server: Pierhead) -> None:
    make(server, "hans", "team")
    made = token(server, "hans", expires_in=1)
    with Wire(server.port(DEV), "hans", made["secret"]) as wire:
        wait_until(lambda: wire.get_manifest("team/app", "1").status == 401, 4, "it has expired")
        assert "This access token expired on 20" in wire.get_manifest("team/app", "1").message
    (listed,) = tell(server, "GET", "/account/tokens", who="hans", password=PASSWORD)["items"]
    assert listed["expired"]


def test_the_last_use_of_each_secret_is_shown_with_its_place(server: Pierhead) -> None:
    make(server, "ivan", "team")
    made = token(server, "ivan")
    assert made["last_used"] is None
    with Wire(server.port(DEV), "ivan", made["secret"]) as wire:
        wire.get_manifest("team/app", "1").expect(200)

    def used() -> bool:
        (one,) = tell(server, "GET", "/accounts/ivan/tokens")["items"]
        return one["last_used"] is not None and one["last_address"] == "127.0.0.1"

    wait_until(used, 5, "the use of the token is noted")
    (password,) = tell(server, "GET", "/accounts/ivan")["passwords"]
    assert (password["current"], password["address"]) == (True, "127.0.0.1")
    tell(server, "PUT", "/accounts/ivan/password", {"password": "the-next-of-ivan"})
    with Wire(server.port(DEV), "ivan", "the-next-of-ivan") as wire:
        wire.get_manifest("team/app", "1").expect(200)

    def both() -> bool:
        found = tell(server, "GET", "/accounts/ivan")["passwords"]
        return [one["current"] for one in found] == [True, False]

    wait_until(both, 5, "the old password and the new one are told apart")


def test_what_rest_made_is_there_after_a_restart(server: Pierhead) -> None:
    make(server, "jane", "team")
    made = token(server, "jane")
    before = tell(server, "GET", "/accounts/jane")
    server.restart()
    after = tell(server, "GET", "/accounts/jane")
    for key in ("name", "roles", "rules", "created", "created_by", "origin"):
        assert after[key] == before[key]
    with everywhere(server, "jane", made["secret"]) as wires:
        assert statuses(wires) == {200}
    with everywhere(server, "jane", PASSWORD) as wires:
        assert statuses(wires) == {200}


def test_a_password_of_the_file_has_the_same_fingerprint_after_a_restart(server: Pierhead) -> None:
    def seen() -> list[str]:
        with server.wire(DEV, "svc-orchestrator") as wire:
            wire.get_manifest("team/app", "1").expect(200)
        return [one["fingerprint"] for one in tell(server, "GET", "/accounts/svc-orchestrator")["passwords"]]

    wait_until(lambda: len(seen()) == 1, 5, "its use is noted")
    before = seen()
    server.restart()
    with server.wire(DEV, "svc-orchestrator") as wire:
        wire.get_manifest("team/app", "1").expect(200)
    assert seen() == before
    assert tell(server, "GET", "/accounts/svc-orchestrator")["passwords"][0]["current"]


def test_an_account_that_the_file_stops_naming_is_refused_at_once_and_what_rest_made_stays(server: Pierhead) -> None:
    make(server, "kate", "team")
    made = tell(server, "POST", "/accounts/svc-orchestrator/tokens", {"name": "ci"})
    full = hosted_only()
    try:
        with everywhere(server, "svc-orchestrator", made["secret"]) as wires:
            assert statuses(wires) == {200}
        server.reload(hosted_only(accounts={}))
        wait_until(lambda: refuses(server, "svc-orchestrator", made["secret"]), 60, "its token is refused")
        wait_until(lambda: refuses(server, "svc-orchestrator", "orchestrator-secret-1"), 60, "and its password")
        with everywhere(server, "kate", PASSWORD) as wires:
            assert statuses(wires) == {200}
        make(server, "svc-orchestrator", "team")
        wait_until(
            lambda: refuses(server, "svc-orchestrator", made["secret"]), 60, "who gets the name does not get the tokens"
        )
        server.reload(full)
        wait_until(lambda: not refuses(server, "svc-orchestrator", "orchestrator-secret-1"), 60, "the file wins")
        wait_until(lambda: refuses(server, "svc-orchestrator", PASSWORD), 60, "the password over REST holds no more")
        warnings = tell(server, "GET", "/status")["warnings"]
        assert any("wins over REST" in one and "svc-orchestrator" in one for one in warnings)
    finally:
        server.reload(full)
        wait_until(lambda: not refuses(server, "svc-orchestrator", "orchestrator-secret-1"), 60, "it is back")


def refuses(server: Pierhead, name: str, secret: str) -> bool:
    """Whether every worker does."""
    try:
        with everywhere(server, name, secret) as wires:
            return statuses(wires) == {401}
    except (PeerFailed, OSError):
        return False  # workers are being replaced just now


def test_no_secret_of_any_kind_stands_in_a_log(server: Pierhead) -> None:
    made = token(server, "admin", "canary", password=server.admin_password)
    with Wire(server.port(DEV), "admin", made["secret"]) as wire:
        wire.get_manifest("team/app", "1").expect(200)
        wire.get_manifest("no/such", "1").expect(404)
    with Wire(server.port(DEV), "nobody", made["secret"]) as wire:
        assert wire.get_manifest("team/app", "1").status == 401
    tell(server, "DELETE", f"/account/tokens/{made['id']}", password=server.admin_password)
    assert made["secret"] not in server.log
    assert PASSWORD not in server.log
    assert "Traceback" not in server.log


def test_a_refresh_token_is_for_passwords_since_it_would_outlive_an_access_token() -> None:
    with Pierhead(hosted_only(tokens={"refresh": True})) as server:
        make(server, "mona", "publisher")
        made = token(server, "mona")
        for secret, given in ((PASSWORD, True), (made["secret"], False)):
            with Wire(server.port(DEV), "mona", secret) as wire:
                answer = wire.request("GET", "/token?offline_token=true&scope=repository:team/app:pull").expect(200)
            assert ("refresh_token" in answer.json()) is given


@pytest.mark.engine
def test_docker_login_takes_an_access_token_until_it_is_revoked(docker_engine: DockerEngine, tmp_path: Path) -> None:
    with Pierhead(hosted_only()) as server:
        make(server, "dock", "publisher")
        made = token(server, "dock", "laptop")
        narrow = token(server, "dock", "pulls", rules=[{"rights": ["pull"]}])
        address = server.address(DEV)
        docker_engine.login(address, "dock", made["secret"], config_dir=tmp_path)
        docker_engine.make_tiny_image(f"{address}/team/tiny:1")
        docker_engine.docker("push", f"{address}/team/tiny:1", config_dir=tmp_path)
        docker_engine.login(address, "dock", narrow["secret"], config_dir=tmp_path)
        docker_engine.docker("pull", f"{address}/team/tiny:1", config_dir=tmp_path)
        pushed = docker_engine.docker("push", f"{address}/team/tiny:1", config_dir=tmp_path, check=False)
        assert pushed.returncode != 0 or "denied" in pushed.stdout + pushed.stderr
        tell(server, "DELETE", f"/accounts/dock/tokens/{narrow['id']}")
        pulled = docker_engine.docker("pull", f"{address}/team/tiny:1", config_dir=tmp_path, check=False)
        assert pulled.returncode != 0
        with pytest.raises(PeerFailed, match="revoked"):
            docker_engine.login(address, "dock", narrow["secret"], config_dir=tmp_path)
