"""Every page, by the rules of axe-core (WCAG 2.2 A and AA, and good practice), in light and dark, wide and narrow."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.house.tree import ROOT
from tests.pages.house import ENVIRONMENT, sign_in, signed_in, with_people
from tests.peers.browser import NARROW, WIDE, Browser, Visitor
from tests.peers.pierhead import Pierhead

pytestmark = [pytest.mark.server]

People = tuple[Visitor, Visitor]
AXE = ROOT / "requirements/npm/node_modules/axe-core/axe.min.js"


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed (scripts/peers installs it)")
    return AXE.read_text()


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(with_people(), environment=ENVIRONMENT) as one:
        yield one


@pytest.fixture(scope="module", params=[False, True], ids=["light", "dark"])
def people(request: pytest.FixtureRequest, browser: Browser, server: Pierhead) -> Iterator[People]:
    """A stranger and somebody who has signed in, who go from page to page, in light and wide or dark and narrow."""
    dark = bool(request.param)
    two = [browser.visitor(dark=dark, viewport=NARROW if dark else WIDE) for _ in range(2)]
    try:
        sign_in(two[1], server)
        yield two[0], two[1]
        assert [signed_in(one, server) for one in two] == [False, True], "nobody changed sides on the way"
    finally:
        for one in two:
            one.context.close()


def found_by(axe: str, visitor: Visitor) -> list[str]:
    """What the page that is shown breaks: the rule, what it is about, and where."""
    visitor.page.evaluate(axe)  # not by a script of the page, which its policy would not run
    result: dict[str, Any] = visitor.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert len(result["passes"]) > 5, "axe has looked at nothing"
    return [
        f"{rule['id']}: {rule['help']}: {node['target']} {node.get('failureSummary', '')}"
        for rule in result["violations"]
        for node in rule["nodes"]
    ]


def code_of(server: Pierhead) -> str:
    """Of a command line that waits to be logged in."""
    body = json.dumps({"machine": "laptop-7"}).encode()
    ask = urllib.request.Request(server.url() + "/api/v1/login", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(ask, timeout=20) as answer:
        return str(json.loads(answer.read())["code"])


def refused(visitor: Visitor, server: Pierhead) -> None:
    page = visitor.page
    page.goto(server.url() + "/-/sign-in")
    page.fill("#name", "nobody")
    page.fill("#password", "no")
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_selector("#fault")


def own_page(visitor: Visitor, server: Pierhead) -> None:
    """With a token and its secret shown, and every part that can be opened open."""
    visitor.page.goto(server.url() + "/-/me")
    visitor.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    visitor.page.locator("form[action='/-/me/tokens'] [name=name]").fill(f"laptop-{id(visitor)}")
    visitor.page.locator("form[action='/-/me/tokens'] button").last.click()
    visitor.page.wait_for_selector("text=ph_")
    visitor.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")


def with_code(visitor: Visitor, server: Pierhead) -> None:
    visitor.page.goto(f"{server.url()}/-/login?code={code_of(server)}")


def goes_to(path: str) -> Callable[[Visitor, Pierhead], None]:
    def go(visitor: Visitor, server: Pierhead) -> None:
        visitor.page.goto(server.url() + path)

    return go


STRANGERS: dict[str, Callable[[Visitor, Pierhead], None]] = {
    "home": goes_to("/"),
    "sign-in": goes_to("/-/sign-in"),
    "refused": refused,
    "signed-out": goes_to("/-/signed-out"),
    "error": goes_to("/-/nothing-here"),
}
SIGNED_IN: dict[str, Callable[[Visitor, Pierhead], None]] = {
    "account": own_page,
    "device": goes_to("/-/login"),
    "device-code": with_code,
    "device-wrong": goes_to("/-/login?code=BCDF-GHJK"),
    "device-done": goes_to("/-/login?done=approve"),
    "error-signed-in": goes_to("/-/nothing-here"),
}


@pytest.mark.parametrize("name", [*STRANGERS, *SIGNED_IN])
def test_a_page_breaks_no_rule(name: str, axe: str, people: People, server: Pierhead) -> None:
    visitor = people[name in SIGNED_IN]
    (STRANGERS | SIGNED_IN)[name](visitor, server)
    found = found_by(axe, visitor)
    assert not found, "\n".join(found)


def test_what_breaks_a_rule_is_found(axe: str, browser: Browser, server: Pierhead) -> None:
    """Without this the others would hold for a tool that finds nothing."""
    visitor = browser.visitor()
    visitor.page.goto(server.url() + "/-/sign-in")
    visitor.page.evaluate("document.querySelector('label').remove()")
    assert any(one.startswith("label:") for one in found_by(axe, visitor))
    visitor.context.close()
