"""One's own page: tokens that open ports, and a password that can be changed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.pages.house import ANNA, ANNA_PASSWORD, BEN, BEN_PASSWORD, ENVIRONMENT, sign_in, signed_in, with_people
from tests.peers.browser import NARROW, Browser, Visitor
from tests.peers.pierhead import Pierhead

CARLA, CARLA_PASSWORD = "carla", "carla-secret-one"


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(with_people(), environment=ENVIRONMENT) as one:
        with one.wire() as admin:
            body = {"name": CARLA, "kind": "person", "roles": ["deployer"], "password": CARLA_PASSWORD}
            headers = {"Content-Type": "application/json"}
            admin.request("POST", "/api/v1/accounts", json.dumps(body).encode(), headers=headers).expect(200, 201)
        yield one


def make_token(visitor: Visitor, name: str) -> str:
    page = visitor.page
    page.locator("summary", has_text="Make an access token").click()
    page.fill("#token-name", name)
    page.get_by_role("button", name="Make the token").click()
    page.wait_for_selector("#made")
    return page.locator("#made pre").first.inner_text()


def test_a_token_that_was_made_here_opens_ports_until_it_is_revoked(browser: Browser, server: Pierhead) -> None:
    visitor = browser.visitor()
    sign_in(visitor, server)
    secret = make_token(visitor, "laptop")
    assert secret.startswith("ph_")
    assert visitor.violations() == visitor.faults == []
    with server.wire("docker-group", ANNA, secret) as wire:
        wire.request("GET", "/v2/").expect(200)
    visitor.page.goto(server.url() + "/-/me")
    assert secret not in visitor.page.content()
    assert "laptop" in visitor.text()
    visitor.page.get_by_role("button", name="Revoke the token laptop").click()
    visitor.page.wait_for_url("**/-/me?done=token")
    with server.wire("docker-group", ANNA, secret) as wire:
        assert wire.request("GET", "/v2/").status == 401


def test_a_token_is_made_on_a_narrow_screen_too_and_a_taken_name_is_said(browser: Browser, server: Pierhead) -> None:
    visitor = browser.visitor(viewport=NARROW, dark=True)
    sign_in(visitor, server, BEN, BEN_PASSWORD)
    make_token(visitor, "phone")
    assert visitor.overflow() <= 0
    visitor.page.locator("summary", has_text="Make an access token").click()
    visitor.page.fill("#token-name", "phone")
    visitor.page.get_by_role("button", name="Make the token").click()
    visitor.page.wait_for_selector("#token-fault")
    assert visitor.page.input_value("#token-name") == "phone"
    assert visitor.overflow() <= 0


def test_a_token_does_not_sign_in_to_pages(browser: Browser, server: Pierhead) -> None:
    visitor, thief = browser.visitor(), browser.visitor()
    sign_in(visitor, server)
    secret = make_token(visitor, "stolen")
    thief.page.goto(server.url() + "/-/sign-in")
    thief.page.fill("#name", ANNA)
    thief.page.fill("#password", secret)
    thief.page.keyboard.press("Enter")
    thief.page.wait_for_selector("#fault")
    assert "A token does not sign in here" in thief.text()


def test_another_password_ends_every_other_session(browser: Browser, server: Pierhead) -> None:
    here, there = browser.visitor(), browser.visitor()
    sign_in(here, server, CARLA, CARLA_PASSWORD)
    sign_in(there, server, CARLA, CARLA_PASSWORD)
    page = here.page
    for old, said in (("not-the-old-one", "The old password is wrong."), (CARLA_PASSWORD, "")):
        page.locator("summary", has_text="Change the password").click()
        if not page.is_visible("#old"):
            page.locator("summary", has_text="Change the password").click()
        page.fill("#old", old)
        page.fill("#new", "carla-secret-two")
        page.fill("#again", "carla-secret-two")
        page.get_by_role("button", name="Change the password").click()
        if said:
            page.wait_for_selector("#password-fault")
            assert said in here.text()
    page.wait_for_url("**/-/me?done=password")
    assert not signed_in(there, server)
    assert signed_in(here, server)
    sign_in(there, server, CARLA, "carla-secret-two")


def test_an_account_that_is_disabled_or_removed_is_signed_out_at_once(browser: Browser, server: Pierhead) -> None:
    headers = {"Content-Type": "application/json"}
    with server.wire() as admin:
        body = {"name": "dora", "kind": "person", "roles": ["deployer"], "password": "dora-secret-one"}
        admin.request("POST", "/api/v1/accounts", json.dumps(body).encode(), headers=headers).expect(200, 201)
        visitor = browser.visitor()
        sign_in(visitor, server, "dora", "dora-secret-one")
        admin.request("PATCH", "/api/v1/accounts/dora", b'{"disabled": true}', headers=headers).expect(200)
        assert not signed_in(visitor, server)
        admin.request("PATCH", "/api/v1/accounts/dora", b'{"disabled": false}', headers=headers).expect(200)
        sign_in(visitor, server, "dora", "dora-secret-one")
        admin.request("DELETE", "/api/v1/accounts/dora").expect(200)
        admin.request("POST", "/api/v1/accounts", json.dumps(body).encode(), headers=headers).expect(200, 201)
        assert not signed_in(visitor, server), "another account of the same name and password is another one"


def test_the_same_page_as_json_opens_from_its_link(browser: Browser, server: Pierhead) -> None:
    visitor = browser.visitor()
    sign_in(visitor, server)
    with visitor.page.expect_navigation() as there:
        visitor.page.get_by_role("link", name="This page as JSON").click()
    assert there.value is not None
    assert there.value.status == 200
    assert there.value.json()["name"] == ANNA
    assert ANNA_PASSWORD not in visitor.page.content()
