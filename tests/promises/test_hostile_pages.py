"""Hostile requests to the pages: rows 79 and 145 of the table."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping

import pytest

from tests.promises.ground import PASSWORD, READER, Ground, Heard

FORM = "application/x-www-form-urlencoded"
HTML = {"Accept": "text/html"}


class Caller:
    """A browser's part of the protocol, without a browser: cookies and the token of the last form."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.cookies: dict[str, str] = {}
        self.token = ""

    def ask(self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Heard:
        sent = {**HTML, **(headers or {})}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        heard = self.ground.ask(method, target, body, headers=sent, port="main", who="")
        for line in heard.headers.get_all("Set-Cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        if found := re.search(rb'name="token" value="([0-9a-f]+)"', heard.body):
            self.token = found[1].decode()
        return heard

    def post(self, target: str, headers: Mapping[str, str] | None = None, **fields: str) -> Heard:
        body = urllib.parse.urlencode({"token": self.token, **fields}).encode()
        return self.ask("POST", target, body, {"Content-Type": FORM, **(headers or {})})

    def sign_in(self, redirect: str = "/") -> Heard:
        self.ask("GET", "/-/sign-in")
        return self.post("/-/sign-in", name=READER, password=PASSWORD, redirect=redirect)


@pytest.fixture
def caller(unharmed: Ground) -> Caller:
    one = Caller(unharmed)
    assert one.sign_in().status == 303
    assert one.ask("GET", "/-/me").status == 200
    return one


@pytest.mark.parametrize(
    "redirect",
    ["//evil", "\\/evil", "/\\evil", "https:evil", "https://evil/", "/\t/evil", "/%0d%0aX:1", "evil", "javascript:1"],
)
def test_row_145_nobody_is_sent_to_another_site(redirect: str, unharmed: Ground) -> None:
    one = Caller(unharmed)
    quoted = urllib.parse.quote(redirect, safe="") if redirect != "/%0d%0aX:1" else "/%250d%0aX:1"
    assert one.ask("GET", f"/-/sign-in?redirect={quoted}").status == 400
    assert one.sign_in(redirect=redirect).status == (303 if redirect == "/%0d%0aX:1" else 400)


@pytest.mark.parametrize("query", ["", "?code=a", "?code=a&state=b", "?state=", "?error=x", "?code=a&state=AAAA.AAAA"])
def test_row_145_a_single_sign_on_that_nobody_began_signs_nobody_in(query: str, unharmed: Ground) -> None:
    """Without a provider there is no such page; with one, see tests/pages/test_single_sign_on.py."""
    assert Caller(unharmed).ask("GET", f"/-/sign-in/callback{query}").status in (400, 404)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {}),
        ("GET", {"Sec-Fetch-Site": "cross-site"}),
        ("GET", {"Origin": "https://evil.example", "X-Pierhead-Token": "TOKEN"}),
        ("POST", {"Content-Type": "text/plain"}),
        ("POST", {"Content-Type": "text/plain", "X-Pierhead-Token": "TOKEN"}),
        ("POST", {"Content-Type": "application/json"}),
        ("POST", {"Content-Type": "application/json", "X-Pierhead-Token": "0" * 32}),
        ("POST", {"Content-Type": "application/json", "X-Pierhead-Token": "TOKEN", "Origin": "null"}),
        ("POST", {"Content-Type": "application/json", "X-Pierhead-Token": "TOKEN", "Sec-Fetch-Site": "same-site"}),
    ],
)
def test_row_145_the_api_takes_a_cookie_only_from_a_page_of_ours(
    method: str, headers: dict[str, str], caller: Caller
) -> None:
    sent = {key: value.replace("TOKEN", caller.token) for key, value in headers.items()}
    target = "/api/v1/account" if method == "GET" else "/api/v1/account/tokens"
    body = b'{"name": "x"}' if method == "POST" else b""
    heard = caller.ask(method, target, body, sent)
    assert (heard.status, heard.json()["code"]) == (403, "forged_request")
    own = {"X-Pierhead-Token": caller.token, "Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
    assert caller.ask("GET", "/api/v1/account", b"", own).status == 200


def test_row_145_no_answer_opens_anything_to_scripts_of_other_sites(caller: Caller) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for method, target in (("OPTIONS", "/api/v1/account"), ("GET", "/-/me"), ("OPTIONS", "/-/me"), ("GET", "/")):
        heard = caller.ask(method, target, b"", asked)
        assert not [name for name in heard.headers if name.lower().startswith("access-control-")]


def test_row_145_no_page_is_framed(caller: Caller) -> None:
    for target in ("/", "/-/me", "/-/login", "/nowhere"):
        heard = caller.ask("GET", target)
        assert "frame-ancestors 'none'" in heard.headers["Content-Security-Policy"]
        assert heard.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_row_145_a_form_from_elsewhere_changes_nothing(headers: dict[str, str], caller: Caller) -> None:
    assert caller.post("/-/sign-out", headers).status == 403
    assert caller.ask("GET", "/-/me").status == 200


def test_row_145_a_form_without_the_token_of_its_session_changes_nothing(caller: Caller, unharmed: Ground) -> None:
    other = Caller(unharmed)
    other.sign_in()
    other.ask("GET", "/-/me")
    for token in ("", "0" * 32, other.token):
        caller.token = token
        assert caller.post("/-/sign-out").status == 403
        caller.token = ""
    assert caller.ask("GET", "/-/me").status == 200


def test_row_145_nobody_signs_somebody_else_in_by_a_form_of_theirs(unharmed: Ground) -> None:
    one = Caller(unharmed)
    assert one.post("/-/sign-in", name=READER, password=PASSWORD).status == 403
    assert "pierhead" not in one.cookies


def test_row_79_a_bomb_of_form_parts_is_refused(caller: Caller) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert caller.ask("POST", "/-/me/theme", part * 20_000 + b"--x--", kind).status == 413
    assert caller.ask("POST", "/-/me/theme", part + b"--x--", kind).status == 400
    many = "&".join(f"a{number}=1" for number in range(5_000)).encode()
    assert caller.ask("POST", "/-/me/theme", many, {"Content-Type": FORM}).status == 413
    assert caller.ask("POST", "/-/me/theme", b"a=" + b"1" * 100_000, {"Content-Type": FORM}).status == 413
    assert caller.ask("POST", "/-/me/theme", b"theme=%ff", {"Content-Type": FORM}).status == 400
    assert caller.ask("POST", "/-/me/theme", b"theme=a&theme=b", {"Content-Type": FORM}).status == 400


def test_row_101_guessing_in_the_form_is_slowed_down_like_everywhere(unharmed: Ground) -> None:
    one = Caller(unharmed)
    one.ask("GET", "/-/sign-in")
    answers = [one.post("/-/sign-in", name="outsider", password=f"wrong-{number}") for number in range(11)]
    assert answers[0].status == 401
    assert answers[-1].status == 429
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert one.post("/-/sign-in", name=READER, password=PASSWORD).status == 303
