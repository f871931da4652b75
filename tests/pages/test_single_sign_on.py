"""Single sign-on through a real OpenID provider, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.pages.house import ANNA, ANNA_PASSWORD, ENVIRONMENT, sign_in, with_people
from tests.peers.browser import Browser, Visitor
from tests.peers.fixtures import made
from tests.peers.openbao import OpenBao
from tests.peers.pierhead import Pierhead
from tests.peers.provider import Provider

PASSWORD = "a-password-at-the-provider"


@dataclass
class Both:
    server: Pierhead
    provider: Provider
    bao: OpenBao

    @property
    def url(self) -> str:
        """As people come to it: another site than the provider's, which is at 127.0.0.1."""
        return f"http://localhost:{self.server.port()}"

    def goes(self, visitor: Visitor, name: str) -> None:
        """Signs in by the button. OpenBao's page is not part of every build, so its API plays it; the browser is sent
        back from there by that page, as it would be."""
        visitor.page.goto(self.url + "/-/me")
        visitor.page.get_by_role("link", name="Continue with OpenBao").click()
        self.returns(visitor, self.caught(visitor, name))

    def returns(self, visitor: Visitor, where: str) -> None:
        """From the provider's site."""
        with visitor.page.expect_navigation(url=f"{self.url}/**"):
            visitor.page.evaluate("where => { location.href = where }", where)

    def comes_in(self, visitor: Visitor, name: str) -> None:
        self.goes(visitor, name)
        assert visitor.page.url == self.url + "/-/me", visitor.text()

    def begins(self, visitor: Visitor) -> None:
        """Off to the provider."""
        visitor.page.goto(self.url + "/-/sign-in/single?redirect=/-/me")

    def caught(self, visitor: Visitor, name: str) -> str:
        """The address that the provider would send the browser back to, which is not gone to."""
        visitor.page.wait_for_url("**/ui/vault/identity/oidc/**")
        return self.provider.consent(visitor.page.url, name, PASSWORD)


def signed_in(visitor: Visitor, both: Both) -> bool:
    """Whether the own page opens without a sign-in."""
    visitor.page.goto(both.url + "/-/me")
    return "/-/sign-in" not in visitor.page.url


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    bao = made(OpenBao)
    with bao:
        config = with_people()
        server = Pierhead(config, environment=ENVIRONMENT)
        url = f"http://localhost:{server.port()}"
        config["external_url"] = url
        provider = Provider(bao, url + "/-/sign-in/callback")
        provider.add("frida", PASSWORD, ["developers"])
        provider.add("gustav", PASSWORD, [])
        provider.add(ANNA, PASSWORD, ["admins"])
        provider.add("admin", PASSWORD, [])
        config["sign_in"] = {
            "oidc": {
                "issuer": provider.issuer,
                "client_id": provider.client_id,
                "client_secret_env": "OIDC_SECRET",
                "name": "OpenBao",
                "scopes": ["openid", "profile", "groups"],
                "roles": {"developers": ["publisher"], "admins": ["admin"]},
            }
        }
        server.write_config(config)
        server.extra_environment["OIDC_SECRET"] = provider.client_secret
        with server:
            yield Both(server, provider, bao)


def test_who_comes_from_the_provider_has_what_their_groups_give(browser: Browser, both: Both) -> None:
    visitor = browser.visitor()
    both.comes_in(visitor, "frida")
    text = visitor.text()
    assert "publisher" in text
    assert "by OpenBao" in text
    assert "You come by single sign-on" in text
    assert visitor.faults == visitor.violations() == []
    visitor.page.get_by_role("button", name="Sign out", exact=True).click()
    visitor.page.wait_for_url("**/-/signed-out?single")
    assert not signed_in(visitor, both)


def test_a_token_of_theirs_opens_ports_and_groups_are_looked_at_each_time(browser: Browser, both: Both) -> None:
    visitor = browser.visitor()
    both.comes_in(visitor, "gustav")
    assert "No role is given to you here" in visitor.text()
    both.provider.join("developers", both.provider.entity_of("frida"), both.provider.entity_of("gustav"))
    both.comes_in(again := browser.visitor(), "gustav")
    assert "publisher" in again.text()
    again.page.locator("summary", has_text="Make an access token").click()
    again.page.fill("#token-name", "laptop")
    again.page.get_by_role("button", name="Make the token").click()
    again.page.wait_for_selector("#made")
    secret = again.page.locator("#made pre").first.inner_text()
    with both.server.wire("docker-hosted-dev", "gustav", secret) as wire:
        wire.request("GET", "/v2/").expect(200)


@pytest.mark.parametrize("name", [ANNA, "admin"])
def test_nobody_becomes_a_local_account_by_having_its_name(name: str, browser: Browser, both: Both) -> None:
    visitor = browser.visitor()
    both.goes(visitor, name)
    visitor.page.wait_for_selector("h1:has-text('You are not signed in')")
    assert "is the name of another account here" in visitor.text()
    assert not signed_in(visitor, both)


def test_somebody_who_is_renamed_stays_who_they_are(browser: Browser, both: Both) -> None:
    both.provider.add("hanna", PASSWORD, [])
    both.comes_in(browser.visitor(), "hanna")
    both.provider.rename("hanna", "hanna-new")
    visitor = browser.visitor()
    both.comes_in(visitor, "hanna")
    assert visitor.page.inner_text("h1") == "hanna"


def test_an_answer_is_taken_once_and_only_by_the_browser_that_asked(browser: Browser, both: Both) -> None:
    asked, other = browser.visitor(), browser.visitor()
    both.begins(asked)
    where = both.caught(asked, "frida")
    assert other.page.goto(where).status == 400  # type: ignore[union-attr]
    assert "did not begin in this browser" in other.text()
    kept = asked.context.cookies()
    asked.page.goto(where)
    assert asked.page.url == both.url + "/-/me"
    asked.context.clear_cookies()
    asked.context.add_cookies([{"name": one["name"], "value": one["value"], "url": both.url} for one in kept])
    assert asked.page.goto(where).status == 400  # type: ignore[union-attr]
    assert not signed_in(asked, both)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"code": "wrong"}, "does not redeem the code"),
        ({"code": ""}, "sent no code"),
        ({"state": ""}, "did not begin in this browser"),
        ({"state": "AAAA.BBBB"}, "did not begin in this browser"),
        ({"error": "access_denied"}, "says no (access_denied)"),
    ],
)
def test_an_answer_that_was_changed_signs_nobody_in(
    change: dict[str, str], said: str, browser: Browser, both: Both
) -> None:
    visitor = browser.visitor()
    both.begins(visitor)
    where = urlsplit(both.caught(visitor, "frida"))
    query = {key: values[0] for key, values in parse_qs(where.query).items()} | change
    address = f"{both.url}{where.path}?" + "&".join(f"{key}={value}" for key, value in query.items())
    assert visitor.page.goto(address).status == 400  # type: ignore[union-attr]
    assert said in visitor.text()
    assert not signed_in(visitor, both)


def test_a_code_of_another_sign_on_of_the_same_browser_is_refused_by_its_nonce(browser: Browser, both: Both) -> None:
    """PKCE refuses it at the provider before the nonce is compared; either way nobody is signed in."""
    visitor = browser.visitor()
    both.begins(visitor)
    first = parse_qs(urlsplit(both.caught(visitor, "frida")).query)
    both.begins(visitor)
    second = parse_qs(urlsplit(both.caught(visitor, "gustav")).query)
    mixed = f"{both.url}/-/sign-in/callback?code={first['code'][0]}&state={second['state'][0]}"
    assert visitor.page.goto(mixed).status == 400  # type: ignore[union-attr]
    assert not signed_in(visitor, both)


def test_a_provider_that_is_away_is_told_of_and_passwords_go_on(browser: Browser, both: Both) -> None:
    config = with_people()
    config["sign_in"] = {"oidc": {"issuer": "http://127.0.0.1:1/away", "client_id": "x", "name": "Authentik"}}
    with Pierhead(config, environment=ENVIRONMENT) as server:
        visitor = browser.visitor()
        visitor.page.goto(server.url() + "/-/sign-in")
        visitor.page.get_by_role("link", name="Continue with Authentik").click()
        visitor.page.wait_for_selector("[role=alert]")
        assert "Authentik does not answer as it should" in visitor.text()
        assert "Accounts with a password can sign in below." in visitor.text()
        assert "127.0.0.1:1/" not in visitor.text(), "why is told to who runs the server"
        server.wait_for_log("connection refused")
        sign_in(visitor, server, ANNA, ANNA_PASSWORD)
        assert ANNA in visitor.text()
