"""Every route without credentials, with too few rights, with bad names: each gets a problem document that says why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from pierhead.faces.rest.route import Need, Route
from pierhead.faces.rest.routes import ROOT, ROUTES
from tests.peers.images import image
from tests.peers.pierhead import PASSWORDS, Pierhead, house
from tests.peers.wire import Answer

MEMBERS = {"type", "title", "status", "code", "message", "do", "address", "request_id", "about"}
KNOWN = {
    "repository": "docker-hosted-dev",
    "image": "matrix/app",
    "tag": "1.0.0",
    "digest": image(seed=90).digest,
    "account": "svc-deploy",
    "role": "deployer",
    "token": "0" * 16,
    "promotion": "1",
    "cluster": "edge-7",
}
# Who holds too little for a need: a deployer may pull and nothing else, an auditor may not even that.
TOO_LITTLE = {
    Need.DELETE: "svc-orchestrator",
    Need.PUSH: "svc-deploy",
    Need.OPERATE: "svc-orchestrator",
    Need.ADMINISTER: "svc-orchestrator",
    Need.AUDIT: "svc-promoter",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(house()) as started:
        with started.wire("docker-hosted-dev") as wire:
            wire.push(KNOWN["image"], KNOWN["tag"], image(seed=90))
        yield started


def target_of(route: Route, **other: str) -> str:
    return ROOT + re.sub(r"\{(\w+)\}", lambda found: {**KNOWN, **other}[found[1]], route.path)


def ask(server: Pierhead, route: Route, target: str, username: str = "admin", password: str | None = None) -> Answer:
    with server.wire("main", username, password) as wire:
        return wire.request(route.method, target)


def problem_of(answer: Answer, status: int, code: str) -> dict[str, object]:
    problem: dict[str, object] = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status, problem["status"], problem["code"]) == (status, status, code), problem
    assert set(problem) == MEMBERS
    assert problem["type"] == f"urn:pierhead:problem:{code}"
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert str(problem["message"]).endswith((".", "!", "?"))
    return problem


def ids(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.mark.parametrize("route", [one for one in ROUTES if one.need is not Need.NOBODY], ids=ids)
def test_a_route_without_credentials_is_401_with_a_challenge(server: Pierhead, route: Route) -> None:
    answer = ask(server, route, target_of(route), username="")
    problem_of(answer, 401, "not_authenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


def test_a_wrong_password_is_401_and_says_nothing_of_the_account(server: Pierhead) -> None:
    route = ROUTES[0]
    known = problem_of(ask(server, route, target_of(route), "svc-promoter", "wrong"), 401, "not_authenticated")
    unknown = problem_of(ask(server, route, target_of(route), "nobody", "wrong"), 401, "not_authenticated")
    assert known["message"] == unknown["message"]


def test_guessing_a_password_is_slowed_down_and_told_for_how_long(server: Pierhead) -> None:
    route = ROUTES[0]
    answers = [ask(server, route, target_of(route), "guessed", f"wrong-{number}") for number in range(12)]
    problem_of(answers[-1], 429, "too_many_logins")
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert ask(server, route, target_of(route)).status == 200, "another account is not locked out by that"


@pytest.mark.parametrize("route", [one for one in ROUTES if one.need in TOO_LITTLE], ids=ids)
def test_a_route_with_too_few_rights_is_403_and_names_the_account(server: Pierhead, route: Route) -> None:
    account = TOO_LITTLE[route.need]
    problem = problem_of(ask(server, route, target_of(route), account), 403, "denied")
    assert account in str(problem["message"])


@pytest.mark.parametrize(
    "route", [one for one in ROUTES if one.need is Need.PULL and "{repository}" in one.path], ids=ids
)
def test_what_an_account_may_not_pull_does_not_exist_for_it(server: Pierhead, route: Route) -> None:
    problem = problem_of(ask(server, route, target_of(route), "svc-auditor"), 404, "repository_unknown")
    assert "docker-hosted-" not in str(problem["message"]).partition("by path")[2], "nor are others named to it"


@pytest.mark.parametrize("route", [one for one in ROUTES if one.need is Need.ACCOUNT], ids=ids)
@pytest.mark.parametrize("account", sorted(PASSWORDS))
def test_a_route_for_every_account_answers_each(server: Pierhead, route: Route, account: str) -> None:
    assert ask(server, route, target_of(route), account).status == 200


BAD_NAMES = {
    "repository": [("Upper", 400, "name_invalid"), ("no-such", 404, "repository_unknown"), ("..", 400, "name_invalid")],
    "image": [("UPPER/app", 400, "name_invalid"), ("a//b", 400, "name_invalid"), ("a/../b", 400, "name_invalid")],
    "tag": [("-leads", 400, "tag_invalid"), ("a" * 129, 400, "tag_invalid"), ("no-such", 404, "manifest_unknown")],
    "digest": [
        ("sha256:abc", 400, "digest_invalid"),
        ("md5:" + "0" * 32, 400, "digest_unsupported"),
        ("sha256:" + "0" * 64, 404, "manifest_unknown"),
    ],
    "account": [("-leads", 400, "name_invalid"), ("a%20b", 400, "name_invalid"), ("anonymous", 400, "name_invalid")],
    "role": [("Upper", 400, "name_invalid"), ("a..b", 400, "name_invalid")],
    "promotion": [(name, 404, "promotion_unknown") for name in ("0", "x", "9" * 30, "-1")],
}
BAD = [
    pytest.param(route, name, *row, id=f"{ids(route)} {name}={row[0][:12]}")
    for route in ROUTES
    for name, rows in BAD_NAMES.items()
    if f"{{{name}}}" in route.path
    for row in rows
]


@pytest.mark.parametrize(("route", "name", "value", "status", "code"), BAD)
def test_a_bad_name_is_refused_with_its_own_code(
    server: Pierhead, route: Route, name: str, value: str, status: int, code: str
) -> None:
    problem_of(ask(server, route, target_of(route, **{name: value})), status, code)


@pytest.mark.parametrize("route", ROUTES, ids=ids)
def test_a_parameter_that_a_route_does_not_know_is_refused_and_the_known_ones_are_named(
    server: Pierhead, route: Route
) -> None:
    problem = problem_of(ask(server, route, target_of(route) + "?prefx=a"), 400, "query_invalid")
    assert "prefx" in str(problem["message"])
    assert all(name in str(problem["message"]) for name in route.known)


@pytest.mark.parametrize("value", ["0", "1001", "-1", "ten", "", "9" * 5000, "1_0", "²"])
def test_a_limit_that_is_none_is_refused(server: Pierhead, value: str) -> None:
    route = next(one for one in ROUTES if one.pages)
    problem_of(ask(server, route, f"{target_of(route)}?limit={quote(value)}"), 400, "query_invalid")


@pytest.mark.parametrize("value", ["%21", "a", "w6Q", "%00"])
def test_a_cursor_that_no_answer_gave_is_refused(server: Pierhead, value: str) -> None:
    route = next(one for one in ROUTES if one.pages)
    problem_of(ask(server, route, f"{target_of(route)}?cursor={value}"), 400, "query_invalid")


def test_a_page_of_another_site_cannot_make_a_browser_change_anything(server: Pierhead) -> None:
    with server.wire() as wire:
        answer = wire.request("POST", f"{ROOT}/gc", headers={"Sec-Fetch-Site": "cross-site"})
    problem_of(answer, 403, "denied")


def test_the_other_ports_send_a_reader_to_the_main_one(server: Pierhead) -> None:
    with server.wire("docker-group") as wire:
        answer = wire.request("GET", f"{ROOT}/status")
    assert answer.status == 307
    assert answer.headers["Location"] == f"{server.url()}{ROOT}/status"


def test_an_answer_takes_over_a_plain_request_id_and_no_other(server: Pierhead) -> None:
    with server.wire() as wire:
        kept = wire.request("GET", f"{ROOT}/status", headers={"X-Request-Id": "job-81250/4"})
        made = wire.request("GET", f"{ROOT}/status", headers={"X-Request-Id": 'a" b'})
    assert kept.headers["X-Request-Id"] == "job-81250/4"
    assert re.fullmatch(r"[a-z2-7]{8}-[0-9a-f]+", made.headers["X-Request-Id"])
