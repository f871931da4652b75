"""Signing in and out, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pages.house import ANNA, ANNA_PASSWORD, BEN, BEN_PASSWORD, ENVIRONMENT, sign_in, signed_in, with_people
from tests.peers.browser import NARROW, WIDE, Browser
from tests.peers.pierhead import Pierhead


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(with_people(), environment=ENVIRONMENT) as one:
        yield one


def test_who_signs_in_comes_to_where_they_wanted_to_go(browser: Browser, server: Pierhead) -> None:
    visitor = browser.visitor()
    sign_in(visitor, server)
    assert "pull on every image" in visitor.text()
    assert "this one" in visitor.text()
    assert visitor.faults == []
    assert visitor.violations() == []
    assert all(address.startswith(server.url()) for address in visitor.asked)


def test_a_wrong_password_is_said_beside_the_form_which_keeps_the_name(browser: Browser, server: Pierhead) -> None:
    visitor = browser.visitor()
    page = visitor.page
    page.goto(server.url() + "/-/sign-in")
    page.fill("#name", BEN)
    page.fill("#password", "no")
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_selector("#fault")
    assert "Name or password is wrong." in page.inner_text("[role=alert]")
    assert page.input_value("#name") == BEN
    assert page.input_value("#password") == ""
    page.fill("#password", BEN_PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(server.url() + "/")
    assert BEN in page.inner_text("nav")


def test_the_keyboard_alone_signs_in_and_out(browser: Browser, server: Pierhead) -> None:
    visitor = browser.visitor()
    page = visitor.page
    page.goto(server.url() + "/-/sign-in?redirect=/-/me")
    assert page.evaluate("document.activeElement.id") == "name"
    page.keyboard.type(ANNA)
    page.keyboard.press("Tab")
    page.keyboard.type(ANNA_PASSWORD)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url(server.url() + "/-/me")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Sign out":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/-/signed-out")
    assert not signed_in(visitor, server)


def test_without_script_the_same_walk_works(browser: Browser, server: Pierhead) -> None:
    visitor = browser.visitor(script=False)
    sign_in(visitor, server)
    visitor.page.get_by_role("button", name="Sign out", exact=True).click()
    visitor.page.wait_for_url("**/-/signed-out")
    assert not signed_in(visitor, server)


def test_signing_out_everywhere_ends_the_session_of_another_browser(browser: Browser, server: Pierhead) -> None:
    here, there = browser.visitor(), browser.visitor(viewport=NARROW)
    sign_in(here, server)
    sign_in(there, server)
    here.page.get_by_role("button", name="Sign out everywhere").click()
    here.page.wait_for_url("**/-/signed-out")
    assert not signed_in(there, server)
    assert "Your session has ended" in there.text()
    assert not signed_in(here, server)


def test_one_session_is_ended_and_this_one_goes_on(browser: Browser, server: Pierhead) -> None:
    here, there = browser.visitor(), browser.visitor()
    sign_in(there, server, BEN, BEN_PASSWORD)
    sign_in(here, server, BEN, BEN_PASSWORD)
    here.page.locator("tr", has_not_text="this one").get_by_role("button").first.click()
    here.page.wait_for_url("**/-/me?done=session")
    assert "That session has ended." in here.page.inner_text("main [role=status]")
    assert not signed_in(there, server)
    assert signed_in(here, server)


def test_the_cookie_is_not_for_scripts_nor_for_other_sites(browser: Browser, server: Pierhead) -> None:
    visitor = browser.visitor()
    sign_in(visitor, server)
    (cookie,) = [one for one in visitor.context.cookies() if one["name"] == "pierhead"]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
    assert visitor.page.evaluate("document.cookie") == ""


def test_each_sign_in_gets_another_cookie_and_the_old_one_opens_nothing(browser: Browser, server: Pierhead) -> None:
    visitor = browser.visitor()
    sign_in(visitor, server)
    (first,) = [one["value"] for one in visitor.context.cookies() if one["name"] == "pierhead"]
    visitor.page.get_by_role("button", name="Sign out", exact=True).click()
    visitor.page.wait_for_url("**/-/signed-out")
    sign_in(visitor, server)
    (second,) = [one["value"] for one in visitor.context.cookies() if one["name"] == "pierhead"]
    assert first != second
    visitor.context.clear_cookies()
    visitor.context.add_cookies([{"name": "pierhead", "value": first, "url": server.url()}])
    assert not signed_in(visitor, server)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("viewport", [NARROW, WIDE, {"width": 320, "height": 600}])
def test_no_page_is_wider_than_its_window(
    viewport: dict[str, int], dark: bool, browser: Browser, server: Pierhead
) -> None:
    visitor = browser.visitor(viewport=viewport, dark=dark)
    for address in ("/", "/-/sign-in", "/nowhere", "/-/signed-out"):
        visitor.page.goto(server.url() + address)
        assert visitor.overflow() <= 0, address
        ground = visitor.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert ground == ("rgb(11, 19, 23)" if dark else "rgb(245, 247, 247)")
    sign_in(visitor, server)
    assert visitor.overflow() <= 0
    assert visitor.violations() == []
    assert visitor.faults == []


def test_a_chosen_theme_holds_against_the_system(browser: Browser, server: Pierhead) -> None:
    visitor = browser.visitor(dark=True)
    sign_in(visitor, server)
    visitor.page.select_option("#theme", "light")
    visitor.page.get_by_role("button", name="Use these").click()
    visitor.page.wait_for_url("**/-/me?done=theme")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert visitor.page.evaluate(ground) == "rgb(245, 247, 247)"


def test_what_another_configuration_says_of_an_account_ends_its_sessions(browser: Browser) -> None:
    config = with_people()
    with Pierhead(config, environment=ENVIRONMENT) as server:
        anna, ben = browser.visitor(), browser.visitor()
        sign_in(anna, server)
        sign_in(ben, server, BEN, BEN_PASSWORD)
        server.restart()
        assert signed_in(anna, server), "a restart ends no session"
        del config["accounts"][BEN]
        server.reload(config)
        server.wait_for_log("read again")
        assert not signed_in(ben, server)
        server.extra_environment["ANNA_PASSWORD"] = "another-secret"
        server.restart()
        assert not signed_in(anna, server), "the password that opened it is no longer hers"
