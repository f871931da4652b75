"""Accounts, roles and access tokens over REST: what is taken, what is refused and by whom, and that nobody rises."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.peers.pierhead import PASSWORDS, Pierhead, house
from tests.peers.wire import Answer, Wire
from tests.promises.desk import API, JSON, PASSWORD, make, say, tell, token

RULES = [{"rights": ["pull", "push"], "repositories": ["docker-hosted-dev"], "images": ["team/*"]}]


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(house(roles={"of-the-file": [{"rights": ["pull"]}]})) as started:
        tell(started, "PUT", "/roles/team", {"rules": RULES})
        make(started, "anna", "team", kind="person")
        make(started, "bob", "deployer")
        make(started, "root", "admin")
        yield started


def refused(answer: Answer, status: int, code: str) -> str:
    problem = answer.json()
    assert (answer.status, problem["code"]) == (status, code), problem
    return str(problem["message"])


def as_(server: Pierhead, who: str, method: str, path: str, body: object = None) -> Answer:
    password = None if who in PASSWORDS or who == "admin" else PASSWORD
    with server.wire("main", who, password) as wire:
        return say(wire, method, path, body)


def test_an_account_reads_back_and_shows_no_secret(server: Pierhead) -> None:
    found = tell(server, "GET", "/accounts/anna")
    assert (found["name"], found["kind"], found["origin"], found["roles"]) == ("anna", "person", "REST", ["team"])
    assert found["created_by"] == "admin"
    assert found["rules"] == [{"role": "team", "may": ["pull and push on team/* in docker-hosted-dev"]}]
    for document in (found, tell(server, "GET", "/accounts"), tell(server, "GET", "/account")):
        assert "argon2" not in json.dumps(document)
        assert PASSWORD not in json.dumps(document)


def test_accounts_of_the_file_and_admin_are_listed_and_told_apart(server: Pierhead) -> None:
    origins = {one["name"]: one["origin"] for one in tell(server, "GET", "/accounts")["items"]}
    assert origins["admin"] == "built in"
    assert origins["svc-deploy"] == "configuration file"
    assert origins["anna"] == "REST"
    roles = {one["name"]: one["origin"] for one in tell(server, "GET", "/roles")["items"]}
    assert (roles["publisher"], roles["of-the-file"], roles["team"]) == ("built in", "configuration file", "REST")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"roles": ["deployer"]}, "name"),
        ({"name": "x"}, "roles"),
        ({"name": "x", "roles": []}, "roles"),
        ({"name": "x", "roles": ["deployer", "deployer"]}, "roles"),
        ({"name": "x", "roles": "deployer"}, "roles"),
        ({"name": "a:b", "roles": ["deployer"]}, "name"),
        ({"name": 7, "roles": ["deployer"]}, "name"),
        ({"name": "x", "roles": ["deployer"], "kind": "robot"}, "kind"),
        ({"name": "x", "roles": ["deployer"], "disabled": "no"}, "disabled"),
        ({"name": "x", "roles": ["deployer"], "password": "short"}, "password"),
        ({"name": "x", "roles": ["deployer"], "password": "x" * 1025}, "password"),
        ({"name": "x", "roles": ["deployer"], "password": "with\0a zero byte"}, "password"),
        ({"name": "x", "roles": ["deployer"], "password": "ph_looks-like-a-token"}, "password"),
        ({"name": "x", "roles": ["deployer"], "is_admin": True}, "is_admin"),
    ],
)
def test_an_account_that_cannot_be_is_refused_and_the_key_named(server: Pierhead, body: object, where: str) -> None:
    message = refused(as_(server, "admin", "POST", "/accounts", body), 400, "body_invalid")
    assert f"`{where}`" in message
    assert refused(as_(server, "admin", "GET", "/accounts/x"), 404, "account_unknown")


def test_an_unknown_role_is_refused_and_the_known_ones_are_named(server: Pierhead) -> None:
    body = {"name": "x", "roles": ["publsher"]}
    message = refused(as_(server, "admin", "POST", "/accounts", body), 404, "role_unknown")
    assert "publisher" in message
    assert "team" in message


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"", JSON),
        (b"{", JSON),
        (b"[]", JSON),
        (b"null", JSON),
        (b'{"name": "x", "name": "y", "roles": ["deployer"]}', JSON),
        (b'{"name": "\\ud800", "roles": ["deployer"]}', JSON),
        (b"[" * 60_000, JSON),
        (b'{"a":' * 10_000, JSON),
        (b"\xff\xfe", JSON),
        (b'{"name": "x", "roles": ["deployer"]}', {"Content-Type": "text/plain"}),
        (b'{"name": "x", "roles": ["deployer"]}', {}),
    ],
    ids=range(11),
)
def test_a_body_that_is_no_plain_json_object_is_refused(
    server: Pierhead, content: bytes, headers: dict[str, str]
) -> None:
    with server.wire() as wire:
        refused(wire.request("POST", f"{API}/accounts", content, headers), 400, "body_invalid")


def test_a_body_has_a_bound_and_an_encoding_is_not_taken(server: Pierhead) -> None:
    with server.wire() as wire:
        refused(wire.request("POST", f"{API}/accounts", b" " * 70_000, JSON), 413, "body_too_large")
    with server.wire() as wire:
        gzip = {**JSON, "Content-Encoding": "gzip"}
        refused(wire.request("POST", f"{API}/accounts", b"{}", gzip), 415, "encoding_refused")


def test_a_name_of_the_file_wins_and_rest_says_so(server: Pierhead) -> None:
    body = {"name": "svc-deploy", "roles": ["admin"], "password": PASSWORD}
    message = refused(as_(server, "admin", "POST", "/accounts", body), 409, "name_taken")
    assert "in the configuration file, which wins over REST" in message
    refused(as_(server, "admin", "POST", "/accounts", {**body, "name": "admin"}), 409, "name_taken")
    refused(as_(server, "admin", "POST", "/accounts", {**body, "name": "anna"}), 409, "name_taken")
    for method, path, more in (
        ("PATCH", "/accounts/svc-deploy", {"roles": ["admin"]}),
        ("DELETE", "/accounts/svc-deploy", None),
        ("PUT", "/accounts/svc-deploy/password", {"password": PASSWORD}),
        ("PATCH", "/accounts/admin", {"disabled": True}),
        ("DELETE", "/accounts/admin", None),
        ("PUT", "/accounts/admin/password", {"password": PASSWORD}),
        ("PUT", "/roles/of-the-file", {"rules": RULES}),
        ("DELETE", "/roles/of-the-file", None),
        ("PUT", "/roles/deployer", {"rules": RULES}),
        ("DELETE", "/roles/admin", None),
    ):
        refused(as_(server, "root", method, path, more), 409, "not_here")


ESCALATIONS = [
    ("POST", "/accounts", {"name": "mine", "roles": ["admin"], "password": PASSWORD}),
    ("PATCH", "/accounts/anna", {"roles": ["admin"]}),
    ("PATCH", "/accounts/bob", {"disabled": True}),
    ("DELETE", "/accounts/bob", None),
    ("PUT", "/accounts/bob/password", {"password": PASSWORD, "old": PASSWORD}),
    ("PUT", "/accounts/no-such/password", {"password": PASSWORD, "old": PASSWORD}),
    ("PUT", "/roles/team", {"rules": [{"rights": ["administer"]}]}),
    ("PUT", "/roles/mine", {"rules": RULES}),
    ("DELETE", "/roles/team", None),
    ("POST", "/accounts/bob/tokens", {"name": "x"}),
    ("POST", "/accounts/anna/tokens", {"name": "x"}),
    ("GET", "/accounts", None),
    ("GET", "/accounts/bob", None),
    ("GET", "/accounts/bob/tokens", None),
    ("GET", "/roles", None),
    ("GET", "/explain?account=bob&image=team/x", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ESCALATIONS, ids=lambda one: str(one)[:40])
@pytest.mark.parametrize("who", ["anna", "svc-orchestrator", "svc-auditor"])
def test_who_does_not_administer_sees_and_changes_nothing_of_others(
    server: Pierhead, who: str, method: str, path: str, body: object
) -> None:
    assert who in refused(as_(server, who, method, path, body), 403, "denied")
    assert tell(server, "GET", "/roles/team")["rules"][0]["rights"] == ["pull", "push"]


def test_row_107_what_would_raise_an_account_is_denied_in_what_it_may_change_itself(server: Pierhead) -> None:
    for key, value in (("is_admin", True), ("roles", ["admin"]), ("disabled", False), ("account", "admin")):
        body = {"name": "x", key: value}
        assert f"`{key}`" in refused(as_(server, "anna", "POST", "/account/tokens", body), 403, "denied")
        password = {"password": "another-one-of-mine", "old": PASSWORD, key: value}
        refused(as_(server, "anna", "PUT", "/accounts/anna/password", password), 403, "denied")
    assert tell(server, "GET", "/account", who="anna", password=PASSWORD)["roles"] == ["team"]


def test_row_108_an_access_token_of_another_is_not_there(server: Pierhead) -> None:
    made = token(server, "bob", "of bob")
    path = f"/account/tokens/{made['id']}"
    theirs = refused(as_(server, "anna", "DELETE", path), 404, "access_token_unknown")
    none = refused(as_(server, "anna", "DELETE", "/account/tokens/" + "0" * 16), 404, "access_token_unknown")
    assert theirs == none
    refused(as_(server, "admin", "DELETE", f"/accounts/anna/tokens/{made['id']}"), 404, "access_token_unknown")
    assert as_(server, "bob", "DELETE", path).status == 200
    refused(as_(server, "bob", "DELETE", path), 404, "access_token_unknown")


def test_ones_own_password_is_changed_with_the_old_one(server: Pierhead) -> None:
    make(server, "carol", "deployer")
    path = "/accounts/carol/password"
    assert "`old`" in refused(as_(server, "carol", "PUT", path, {"password": "the-next-of-carol"}), 400, "body_invalid")
    wrong = {"password": "the-next-of-carol", "old": "not-the-old-one"}
    refused(as_(server, "carol", "PUT", path, wrong), 403, "denied")
    assert as_(server, "carol", "PUT", path, {"password": "the-next-of-carol", "old": PASSWORD}).status == 200
    with server.wire("main", "carol", PASSWORD) as wire:
        assert wire.request("GET", f"{API}/account").status == 401
    with server.wire("main", "carol", "the-next-of-carol") as wire:
        assert wire.request("GET", f"{API}/account").status == 200
    tell(server, "PUT", path, {"password": PASSWORD})  # an administrator needs no old one
    assert as_(server, "carol", "GET", "/account").status == 200


def test_the_secret_of_a_token_is_in_the_answer_that_makes_it_and_nowhere_else(server: Pierhead) -> None:
    made = token(server, "anna", "shown once", rules=[{"rights": ["pull"]}], expires_in=60)
    assert made["secret"].startswith("ph_")
    assert made["limit"] == ["pull on every image"]
    listed = tell(server, "GET", "/account/tokens", who="anna", password=PASSWORD)["items"]
    assert made["id"] in [one["id"] for one in listed]
    for document in (listed, tell(server, "GET", "/accounts/anna"), tell(server, "GET", "/accounts/anna/tokens")):
        assert made["secret"] not in json.dumps(document)
        assert "hash" not in json.dumps(document)
    held = b"".join(path.read_bytes() for path in server.data.glob("pierhead.db*"))
    assert made["secret"].encode() not in held
    assert made["secret"] not in server.log


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": " x"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "x", "expires_in": 0}, "expires_in"),
        ({"name": "x", "expires_in": -1}, "expires_in"),
        ({"name": "x", "expires_in": "90d"}, "expires_in"),
        ({"name": "x", "expires_in": True}, "expires_in"),
        ({"name": "x", "expires_in": 10**15}, "expires_in"),
        ({"name": "x", "rules": []}, "rules"),
        ({"name": "x", "rules": [{"rights": ["everything"]}]}, "rules[0].rights[0]"),
        ({"name": "x", "scope": "pull"}, "scope"),
    ],
)
def test_a_token_that_cannot_be_is_refused_and_the_key_named(server: Pierhead, body: object, where: str) -> None:
    assert f"`{where}`" in refused(as_(server, "anna", "POST", "/account/tokens", body), 400, "body_invalid")


def test_a_token_makes_no_token_and_changes_no_password_but_may_revoke_itself(server: Pierhead) -> None:
    made = token(server, "anna", "narrow", expires_in=None, rules=[{"rights": ["pull"]}])
    wide = token(server, "anna", "wide")
    for one in (made, wide):
        with Wire(server.port(), "anna", one["secret"]) as wire:
            refused(say(wire, "POST", "/account/tokens", {"name": "more"}), 403, "denied")
            change = {"password": "another-password", "old": PASSWORD}
            refused(say(wire, "PUT", "/accounts/anna/password", change), 403, "denied")
            me = say(wire, "GET", "/account").expect(200).json()
            assert me["through"]["token"] == one["name"]
            say(wire, "DELETE", f"/account/tokens/{one['id']}").expect(200)
            assert say(wire, "GET", "/account").status == 401


def test_an_administrators_token_administers_only_if_it_was_not_narrowed(server: Pierhead) -> None:
    whole = token(server, "root", "whole")
    narrow = token(server, "root", "narrow", rules=[{"rights": ["pull", "push", "delete"]}])
    with Wire(server.port(), "root", whole["secret"]) as wire:
        assert say(wire, "GET", "/accounts").status == 200
    with Wire(server.port(), "root", narrow["secret"]) as wire:
        refused(say(wire, "GET", "/accounts"), 403, "denied")
        refused(say(wire, "PATCH", "/accounts/anna", {"roles": ["admin"]}), 403, "denied")


def test_an_administrator_makes_tokens_for_accounts_without_a_password(server: Pierhead) -> None:
    tell(server, "POST", "/accounts", {"name": "robot", "roles": ["deployer"]})
    made = tell(server, "POST", "/accounts/robot/tokens", {"name": "ci"})
    assert made["created_by"] == "admin"
    with Wire(server.port(), "robot", made["secret"]) as wire:
        assert say(wire, "GET", "/account").expect(200).json()["name"] == "robot"
    refused(as_(server, "admin", "POST", "/accounts/no-such/tokens", {"name": "ci"}), 404, "account_unknown")


def test_a_role_that_somebody_has_stays(server: Pierhead) -> None:
    assert "anna" in refused(as_(server, "admin", "DELETE", "/roles/team"), 409, "role_in_use")
    tell(server, "PUT", "/roles/unused", {"rules": RULES})
    tell(server, "DELETE", "/roles/unused")
    refused(as_(server, "admin", "DELETE", "/roles/unused"), 404, "role_unknown")
    refused(as_(server, "admin", "GET", "/roles/unused"), 404, "role_unknown")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "query_invalid"),
        ("image=team/x&action=delete", 400, "query_invalid"),
        ("image=Team/x", 400, "name_invalid"),
        ("image=team/x&reference=-", 400, "tag_invalid"),
        ("image=team/x&repository=no-such", 404, "repository_unknown"),
        ("image=team/x&account=no-such", 404, "account_unknown"),
        ("image=team/x&action=promote&to=dev", 400, "query_invalid"),
        ("image=team/x&action=promote&to=docker-group&from=dev", 400, "query_invalid"),
        ("image=team/x&action=promote&to=moon", 404, "repository_unknown"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(server: Pierhead, query: str, status: int, code: str) -> None:
    refused(as_(server, "admin", "GET", f"/explain?{query}"), status, code)
