"""What the record is told of logins and refusals: enough to see who did what, and never a secret or a flood."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from pierhead.adapters.system import SystemEntropy
from pierhead.domain import limits
from pierhead.domain.access import Principal
from pierhead.domain.refusals import Denied, MethodUnsupported, NotAuthenticated, TooManyLogins
from pierhead.faces.door.guard import Guard
from pierhead.faces.door.ids import RequestIds
from pierhead.faces.door.told import Told
from pierhead.jobs.keep_record import Recorder
from tests.faces.asked import asked, login
from tests.faces.guarded import ANNA, Clock, Source

Row = tuple[str, str, Mapping[str, Any]]


@dataclass
class Rows:
    """Takes events in place of the recorder, which writes them a little later."""

    rows: list[Row] = field(default_factory=list)
    keys: list[Hashable] = field(default_factory=list)

    def put(self, kind: str, account: str, body: Mapping[str, object]) -> None:
        self.rows.append((kind, account, body))

    def put_repeated(self, key: Hashable, kind: str, account: str, body: Mapping[str, object]) -> None:
        self.keys.append(key)
        self.rows.append((kind, account, body))

    @property
    def kinds(self) -> list[tuple[str, str]]:
        return [(kind, account) for kind, account, _ in self.rows]


class House:
    def __init__(self) -> None:
        self.clock, self.source, self.record = Clock(), Source(), Rows()
        self.told = Told(cast(Recorder, self.record), self.clock, RequestIds(SystemEntropy()))
        self.told.knows = self.source.passwords.__contains__
        self.guard = Guard((self.source,), self.clock, SystemEntropy(), self.told)

    async def tries(self, name: str, password: str, peer: str = "192.0.2.1") -> None:
        try:
            await self.guard.principal(login(name, password, peer))
        except (NotAuthenticated, TooManyLogins):
            pass


@pytest.fixture
def house() -> House:
    return House()


async def test_a_login_is_told_once_an_hour_for_each_account_and_place(house: House) -> None:
    for _ in range(30):
        await house.tries("anna", "right")
        house.clock.seconds += limits.CREDENTIAL_CACHE_SECONDS + 1
    assert len(house.source.asked) == 30, "each of them was checked anew"
    assert house.record.kinds == [("login", "anna")]
    await house.tries("anna", "right", "192.0.2.2")
    await house.tries("bob", "right")
    assert house.record.kinds == [("login", "anna")] * 2 + [("login", "bob")]
    house.clock.seconds += limits.AUDIT_LOGIN_SECONDS
    await house.tries("anna", "right")
    assert len(house.record.rows) == 4


async def test_a_login_that_was_remembered_tells_nothing(house: House) -> None:
    for _ in range(100):
        await house.tries("anna", "right")
    assert house.record.kinds == [("login", "anna")]


async def test_many_requests_that_wait_for_one_check_are_one_login(house: House) -> None:
    house.source.open.clear()
    waiting = [asyncio.ensure_future(house.tries("anna", "right")) for _ in range(20)]
    await asyncio.sleep(0)
    house.source.open.set()
    await asyncio.gather(*waiting)
    assert house.record.kinds == [("login", "anna")]


async def test_a_login_after_a_failed_one_is_told_whenever_that_was(house: House) -> None:
    await house.tries("anna", "right")
    await house.tries("anna", "guessed")
    house.clock.seconds += limits.CREDENTIAL_CACHE_SECONDS + 1
    await house.tries("anna", "right")
    assert house.record.kinds == [("login", "anna"), ("login failed", "anna"), ("login", "anna")]


async def test_a_name_that_is_no_account_is_not_written_down(house: House) -> None:
    await house.tries("my-password-in-the-wrong-field", "x")
    await house.tries("another", "x")
    assert house.record.kinds == [("login failed", "")] * 2
    assert len(set(house.record.keys)) == 1, "guessing names is one row with a count, too"
    assert "wrong-field" not in str(house.record.rows)
    assert house.record.rows[0][2]["known"] is False


async def test_failed_logins_are_one_key_for_an_account_and_a_place_until_they_are_too_many(house: House) -> None:
    for number in range(14):
        await house.tries("anna", f"guess-{number}")
    assert house.record.kinds == [("login failed", "anna")] * 14
    assert len(set(house.record.keys)) == 2
    assert "too many" in str(house.record.rows[-1][2]["reason"])


async def test_a_request_without_credentials_or_with_none_that_are_understood_is_no_login(house: House) -> None:
    for headers in ((), (("Authorization", "Basic ???"),), (("Authorization", "Bearer abc"),)):
        with pytest.raises(NotAuthenticated):
            await house.guard.principal(asked(*headers))
    assert house.record.rows == []


def test_a_refusal_is_told_with_what_was_asked_and_one_that_is_no_matter_of_rights_is_not(house: House) -> None:
    ask = asked(("User-Agent", "docker\udc80"), target="/v2/app/manifests/1.0", method="DELETE")
    ask.note.update(repository="dev", image="app", address="203.0.113.9")
    who = Principal("anna", (), through={"how": "token"})
    house.told.refused(ask, who, Denied("anna", "delete from", "dev/app"), 403)
    ((kind, account, body),) = house.record.rows
    assert (kind, account) == ("refused", "anna")
    assert {name: body[name] for name in ("refusal", "method", "repository", "image", "tags", "address", "agent")} == {
        "refusal": "Denied",
        "method": "DELETE",
        "repository": "dev",
        "image": "app",
        "tags": ["1.0"],
        "address": "203.0.113.9",
        "agent": "docker?",
    }
    assert body["through"] == {"how": "token"}
    house.told.refused(ask, None, Denied("anna", "delete from", "dev/app"), 403)
    house.told.refused(ask, ANNA, Denied("anna", "delete from", "dev/app"), 404)
    house.told.refused(ask, ANNA, MethodUnsupported("PATCH", ["GET"]), 405)
    assert len(house.record.rows) == 1


def test_the_same_refusal_of_another_account_or_image_is_another_key(house: House) -> None:
    for name, image in (("anna", "a"), ("anna", "a"), ("bob", "a"), ("anna", "b")):
        ask = asked(target=f"/v2/{image}/manifests/1", method="PUT")
        ask.note.update(repository="dev", image=image)
        house.told.refused(ask, Principal(name, ()), Denied(name, "push to", f"dev/{image}"), 403)
    first, again, other_account, other_image = house.record.keys
    assert first == again
    assert len({first, other_account, other_image}) == 3
