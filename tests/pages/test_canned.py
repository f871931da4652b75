"""Pages are their data: everything that a data class holds is shown, whatever it is, and nothing of it is run."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import pytest
from msgspec import Struct

from pierhead.faces.web.render import Frame, Renderer
from pierhead.faces.web.statics import load_statics
from pierhead.faces.web.words import instant
from tests.house.tree import SOURCE
from tests.pages.canned import FRAME, HOSTILE, NOW, PAGES

TEMPLATES = SOURCE / "faces" / "web" / "templates"
EVENT = re.compile(r"<[^>]*\s(?:on\w+|style)\s*=", re.IGNORECASE)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(load_statics())


def texts_of(value: object) -> Iterator[str]:
    """Every text and instant in a struct, as a page shows it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, int) and not isinstance(value, bool):
        yield instant(value)
    elif isinstance(value, tuple):
        for one in value:
            yield from texts_of(one)
    elif isinstance(value, Struct):
        for field in value.__struct_fields__:
            yield from texts_of(getattr(value, field))


@pytest.mark.parametrize("case", PAGES, ids=[f"{case[0]}-{number}" for number, case in enumerate(PAGES)])
def test_a_page_shows_everything_that_its_data_hold(
    case: tuple[str, Frame, object, frozenset[str]], renderer: Renderer
) -> None:
    template, frame, page, otherwise = case
    shown = html.unescape(renderer.html(template, frame, page))
    missing = [text for text in texts_of(page) if text not in otherwise and text not in shown]
    assert not missing


@pytest.mark.parametrize("case", PAGES, ids=[f"{case[0]}-{number}" for number, case in enumerate(PAGES)])
def test_a_page_runs_nothing_that_its_data_hold(
    case: tuple[str, Frame, object, frozenset[str]], renderer: Renderer
) -> None:
    template, frame, page, _ = case
    text = renderer.html(template, frame, page)
    assert HOSTILE not in text
    assert "& 49" not in html.unescape(text)
    assert re.findall(r"<script\b[^>]*>", text) == re.findall(
        r'<script src="/-/static/script\.[0-9a-f]{12}\.js" defer>', text
    )
    assert EVENT.search(text) is None
    assert text.count("<h1") == 1
    assert '<html lang="en"' in text


def test_every_template_is_shown_with_canned_data() -> None:
    shown = {case[0] for case in PAGES}
    assert {path.stem for path in TEMPLATES.glob("*.html")} - {"base", "parts"} == shown


def test_the_frame_says_who_is_signed_in_and_offers_to_sign_out(renderer: Renderer) -> None:
    text = renderer.html("error", FRAME, next(case[2] for case in PAGES if case[0] == "error"))
    assert 'action="/-/sign-out"' in text
    assert f'name="token" value="{FRAME.token}"' in text
    assert "Something was done." in text
    assert f"<title>A page · Pierhead · {FRAME.host}</title>" in text
    assert instant(NOW) in text


def test_the_script_is_short_enough_to_be_polish() -> None:
    assert len((SOURCE / "faces/web/static/script.js").read_text().splitlines()) <= 150
