"""The Authorization header: what is understood, and that nothing else is raised whatever it holds."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.domain.refusals import NotAuthenticated
from pierhead.ports.identity import Credential
from tests.faces.asked import asked
from tests.faces.guarded import ANNA, BOB, House, Source


@pytest.fixture
async def house() -> House:
    return House()


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic ",
        "Basic =",
        "Basic YQ",
        "Basic YTpi YTpi",
        "Basic YTpi!",
        "Basic \u00e9",
        "Basic\tYTpi",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Digest username=x",
        f"Basic {encoded(b'no colon')}",
        f"Basic {encoded(b'anna:right' + bytes(1))}",
        f"Basic {encoded(bytes(1) + b'anna:right')}",
        f"Basic {encoded(b'anna' + bytes([0xE9]) + b':right')}",
        f"Basic {encoded(b'anna:' + b'x' * (1 << 20))}",
        f"Basic {encoded(b'a' * 16_000 + b':right')}",
    ],
)
async def test_a_header_that_is_not_understood_is_401_and_costs_no_check(house: House, header: str) -> None:
    with pytest.raises(NotAuthenticated):
        await house.guard.principal(asked(("Authorization", header)))
    assert house.source.asked == []


async def test_without_the_header_one_is_told_to_log_in(house: House) -> None:
    with pytest.raises(NotAuthenticated, match="docker login"):
        await house.guard.principal(asked())


async def test_another_scheme_is_told_which_one_there_is(house: House) -> None:
    with pytest.raises(NotAuthenticated, match="Basic"):
        await house.guard.principal(asked(("Authorization", "Bearer x")))


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "Basic ", "Basic   "])
async def test_the_schemes_case_and_spaces_do_not_matter(house: House, scheme: str) -> None:
    header = f"{scheme} {encoded(b'anna:right')}"
    assert await house.guard.principal(asked(("Authorization", header))) == ANNA


async def test_colons_and_letters_of_any_language_belong_to_the_password(house: House) -> None:
    for password in ("a:b:c", "p\u00e4ssw\u00f6rd", "\u5bc6\u7801", "\U0001f511", " spaces ", "%41+", "a\nb"):
        house.source.passwords["anna"] = (password, ANNA)
        assert await house.enters("anna", password) == ANNA


TEXTS = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=200).map(lambda raw: "Basic " + encoded(raw)),
    st.binary(max_size=200).map(lambda raw: "Basic " + raw.decode("utf-8", "surrogateescape")),
    st.text(alphabet="ABCab+/=_-: \x85\u2003\ud800\udcff", max_size=60).map(lambda text: "Basic " + text),
)


@given(TEXTS)
async def test_whatever_the_header_is_it_raises_nothing_else(header: str) -> None:
    house = House()
    try:
        principal = await house.guard.principal(asked(("Authorization", header)))
    except NotAuthenticated as refused:
        assert encoded(b"anna:right") not in header
        assert refused.message
    else:
        assert principal == ANNA


@given(
    st.text(alphabet=st.characters(exclude_characters=":\0", exclude_categories=["Cs"]), max_size=40),
    st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=80),
)
async def test_names_and_passwords_arrive_as_they_were_sent(name: str, password: str) -> None:
    house = House(source=Source({name: (password, BOB)}))
    assert await house.enters(name, password) == BOB
    assert house.source.asked == [Credential(name, password)]
