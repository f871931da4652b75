"""A password that is kept elsewhere: what holds through a rotation, what costs what, and what outlives a process."""

from __future__ import annotations

import asyncio
import logging
import math
import time

import pytest

from pierhead.adapters.passwords import Argon2, PasswordAccount, PasswordSource
from pierhead.domain import limits, rotation
from pierhead.domain.access import Principal
from pierhead.domain.refusals import Unavailable
from pierhead.domain.secrets import fingerprint_of
from pierhead.ports.identity import Credential, IdentitySource, Wrong
from pierhead.ports.secrets import SecretAway, SecretGone, SecretText
from pierhead.repositories.rotating import RotatingPassword, note_of, told
from tests.contracts.identity import ANNA, BOB, PASSWORDS, IdentitySourceContract
from tests.contracts.secret_ground import Ground, Source, hash_of

SEALED = SecretAway("Vault is sealed", "Vault is sealed")


@pytest.fixture
async def ground() -> Ground:
    return Ground(Source(SecretText("first", 1, 1_000)))


async def read(one: RotatingPassword) -> None:
    await one.read_soon()


def source_of(one: RotatingPassword) -> PasswordSource:
    return PasswordSource({"anna": PasswordAccount(ANNA, rotated=one)}, Argon2())


async def enters(one: RotatingPassword, password: str) -> bool:
    return await source_of(one).verify(Credential("anna", password)) == ANNA


class TestRotating(IdentitySourceContract):
    """The contract of every source, for accounts whose passwords are kept elsewhere."""

    @pytest.fixture
    async def source(self) -> IdentitySource:
        accounts = {}
        for who, password in PASSWORDS.items():
            one = Ground(Source(SecretText(password), marked=1)).password()
            await read(one)
            accounts[who.name] = PasswordAccount(who, rotated=one)
        return PasswordSource(accounts, Argon2())


async def test_both_passwords_hold_through_the_grace_and_each_is_told(ground: Ground) -> None:
    one = ground.password()
    await read(one)
    ground.source.answer = SecretText("second", 2, 2_000)
    ground.clock.seconds += 10
    await read(one)
    for password, old in (("second", False), ("first", True)):
        who = await source_of(one).verify(Credential("anna", password))
        assert isinstance(who, Principal)
        assert who == ANNA
        assert ("old_password" in who.through) is old
        assert who.through["fingerprint"] == fingerprint_of(hash_of(password))
    ground.clock.seconds += 3_599
    assert await enters(one, "first")
    ground.clock.seconds += 1
    assert not await enters(one, "first")
    assert await enters(one, "second")


async def test_without_a_grace_the_old_password_ends_when_the_new_one_is_seen(ground: Ground) -> None:
    ground.grace = 0
    one = ground.password()
    await read(one)
    ground.source.answer = SecretText("second", 2, 2_000)
    assert await enters(one, "first")
    await read(one)
    assert one.hashes() == [hash_of("second")]
    assert ground.changes == ["anna", "anna"]


async def test_a_new_password_works_at_once_since_a_failed_login_looks_again(ground: Ground) -> None:
    one = ground.password()
    await read(one)
    ground.clock.seconds += limits.SECRET_READ_PAUSE_SECONDS
    ground.source.answer = SecretText("second", 2, 2_000)
    assert await enters(one, "second")


async def test_however_many_logins_fail_the_source_is_asked_once_in_a_pause(ground: Ground) -> None:
    one = ground.password()
    await read(one)
    ground.clock.seconds += limits.SECRET_READ_PAUSE_SECONDS
    ground.source.open.clear()
    began = time.monotonic()
    guesses = [asyncio.ensure_future(enters(one, f"guess-{number}")) for number in range(50)]
    ground.source.reached.clear()
    await ground.source.reached.wait()
    ground.source.open.set()
    assert not any(await asyncio.gather(*guesses))
    pauses = math.ceil((time.monotonic() - began) / limits.SECRET_READ_PAUSE_SECONDS)
    assert ground.source.asked <= 2 + pauses, "once for those who came before it answered, once in a pause for the rest"


async def test_a_name_without_an_account_looks_again_too_so_that_time_tells_nothing(ground: Ground) -> None:
    one = ground.password()
    await read(one)
    ground.clock.seconds += limits.SECRET_READ_PAUSE_SECONDS
    assert isinstance(await source_of(one).verify(Credential("nobody", "first")), Wrong)
    assert ground.source.asked == 2


async def test_a_name_without_an_account_costs_as_many_checks_as_one_with_an_old_password(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = ground.password()
    await read(one)
    ground.source.answer = SecretText("second", 2, 2_000)
    await read(one)
    checked: list[str] = []
    argon2 = Argon2()

    async def fits(hashed: str, password: str) -> bool:
        checked.append(hashed)
        return hashed == hash_of(password)

    monkeypatch.setattr(argon2, "fits", fits)
    source = PasswordSource({"anna": PasswordAccount(ANNA, rotated=one)}, argon2)
    costs = {}
    for name, password in (("anna", "wrong"), ("nobody", "wrong"), ("nobody", "second"), ("nobody", "first")):
        checked.clear()
        ground.clock.seconds += 10
        assert isinstance(await source.verify(Credential(name, password)), Wrong)
        costs[name, password] = list(checked)
    assert set(map(tuple, costs.values())) == {(hash_of("second"), hash_of("first"))}


async def test_reading_the_same_again_costs_neither_a_hash_nor_a_write(ground: Ground) -> None:
    one = ground.password()
    await read(one)
    ground.store.down = True
    for _ in range(3):
        await read(one)
    assert ground.hashed == 1
    assert one.problem is None


async def test_what_is_known_holds_while_the_source_is_away_for_a_year(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    one = ground.password()
    await read(one)
    ground.source.answer = SEALED
    for _ in range(12):
        ground.clock.seconds += 30 * 86_400
        await read(one)
        assert await enters(one, "first")
    assert not await enters(one, "wrong")
    assert [r.message for r in caplog.records if r.levelno == logging.WARNING] == [
        "The password of account anna stays what it was: Vault is sealed."
    ]


async def test_what_was_known_outlives_the_process_and_so_does_a_grace(ground: Ground) -> None:
    one = ground.password()
    await read(one)
    ground.source.answer = SecretText("second", 2, 2_000)
    await read(one)
    ground.source.answer = SEALED
    ground.clock.seconds += 60
    another = ground.password()
    another.resume(rotation.of_document(ground.store.get(note_of("anna"))))
    assert await enters(another, "second")
    assert await enters(another, "first")
    ground.clock.seconds += 3_540
    assert not await enters(another, "first")


async def test_a_password_that_another_place_gave_counts_for_nothing(ground: Ground) -> None:
    await read(ground.password())
    ground.source.place, ground.source.answer = "/run/secrets/anna", SEALED
    another = ground.password()
    another.resume(rotation.of_document(ground.store.get(note_of("anna"))))
    with pytest.raises(Unavailable):
        await enters(another, "first")


async def test_nothing_known_and_nobody_to_ask_is_neither_yes_nor_no_whoever_is_meant(ground: Ground) -> None:
    ground.source.answer = SEALED
    one = ground.password()
    said = []
    for name in ("anna", "nobody"):
        with pytest.raises(Unavailable) as caught:
            await source_of(one).verify(Credential(name, "first"))
        said.append(caught.value.message)
    assert said == ["The password cannot be checked just now: Vault is sealed. Try again in a moment."] * 2


async def test_a_login_waits_a_few_seconds_at_most_for_a_source_that_hangs(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SECRET_LOGIN_WAIT_SECONDS", 0.05)
    ground.source.open.clear()
    one = ground.password()
    with pytest.raises(Unavailable, match="it is still being asked for"):
        await enters(one, "first")
    ground.source.open.set()
    await one.read_soon()
    assert await enters(one, "first")
    assert ground.source.asked == 1


async def test_a_file_that_is_replaced_while_it_is_read_is_read_again_before_a_login_is_refused(ground: Ground) -> None:
    source = ground.source
    source.marked, one = 1, ground.password()
    await read(one)
    source.marked = 2
    source.open.clear()
    source.reached.clear()
    one.tick()
    await source.reached.wait()
    source.marked, source.answer = 3, SecretText("second", 2, 2_000)
    login = asyncio.ensure_future(one.look_again(one.hashes()))
    await asyncio.sleep(0)  # it waits for the reading now that has the first one in its hand
    source.open.set()
    assert await login == [hash_of("second")]


async def test_a_file_that_changed_and_cannot_be_read_in_time_refuses_nobody(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SECRET_LOGIN_WAIT_SECONDS", 0.05)
    source = ground.source
    source.marked, one = 1, ground.password()
    await read(one)
    source.marked, source.answer = 2, SecretText("second", 2, 2_000)
    source.open.clear()
    with pytest.raises(Unavailable, match="it is still being asked for"):
        await enters(one, "second")
    assert await enters(one, "first"), "what is known goes on"
    source.open.set()
    assert await enters(one, "second")
    assert not await enters(one, "third")


async def test_a_secret_that_is_gone_ends_both_passwords_and_one_that_comes_back_holds_at_once(ground: Ground) -> None:
    one = ground.password()
    await read(one)
    ground.source.answer = SecretText("second", 2, 2_000)
    await read(one)
    ground.source.answer = SecretGone("the secret is deleted")
    await read(one)
    assert one.hashes() == []
    assert rotation.of_document(ground.store.get(note_of("anna"))) == rotation.gone(ground.source.place)
    assert not await enters(one, "second")
    ground.source.answer = SecretText("second", 4, 4_000)
    ground.clock.seconds += limits.SECRET_READ_PAUSE_SECONDS
    assert await enters(one, "second")
    assert not await enters(one, "first")


async def test_workers_agree_on_when_a_password_was_changed_and_an_overtaken_answer_changes_nothing(
    ground: Ground,
) -> None:
    one, other = ground.password(), ground.password()
    await read(one)
    await read(other)
    ground.source.answer = SecretText("second", 2, 2_000)
    await read(one)
    rotated = ground.clock.now()
    ground.clock.seconds += 50
    await read(other)
    assert other.state is not None
    assert other.state.rotated == rotated
    late = ground.password()
    ground.source.answer = SecretText("first", 1, 1_000)
    await read(late)
    assert late.hashes() == [hash_of("second"), hash_of("first")]


async def test_versions_that_begin_anew_after_a_secret_was_wiped_out_are_taken(ground: Ground) -> None:
    one = ground.password()
    ground.source.answer = SecretText("ninth", 9, 9_000)
    await read(one)
    ground.source.answer = SecretText("first of its second life", 1, 10_000)
    await read(one)
    assert one.current == hash_of("first of its second life")


async def test_a_database_that_cannot_be_written_keeps_no_new_password_away(ground: Ground) -> None:
    one = ground.password()
    await read(one)
    ground.store.down = True
    ground.source.answer = SecretText("second", 2, 2_000)
    await read(one)
    assert one.hashes() == [hash_of("second"), hash_of("first")]


async def test_a_step_reads_when_it_is_time_or_when_the_stamp_changes(ground: Ground) -> None:
    one = ground.password()
    for seconds, stamp, asked in ((0, None, 1), (59, None, 1), (1, None, 2), (0, "changed", 3), (0, "changed", 3)):
        ground.clock.seconds += seconds
        ground.source.marked = stamp
        one.tick()
        if one._reading is not None:
            await one.read_soon()
        assert ground.source.asked == asked


async def test_the_end_of_a_grace_is_told_and_takes_the_hash_out_of_the_database(ground: Ground) -> None:
    one = ground.password()
    await read(one)
    ground.source.answer = SecretText("second", 2, 2_000)
    await read(one)
    ground.changes.clear()
    ground.clock.seconds += 3_600
    one.tick()
    await read(one)
    await asyncio.gather(*(one_ for one_ in (one._ending,) if one_ is not None))
    assert ground.changes == ["anna"]
    assert hash_of("second") in str(ground.store.get(note_of("anna")))
    assert hash_of("first") not in str(ground.store.get(note_of("anna")))


async def test_who_uses_the_old_password_is_kept_by_address_and_forgotten_at_the_next_rotation(ground: Ground) -> None:
    one = ground.password()
    await read(one)
    ground.source.answer = SecretText("second", 2, 2_000)
    await read(one)
    old = fingerprint_of(hash_of("first"))
    for number in range(rotation.ADDRESSES_MAX + 20):
        ground.clock.seconds += 1
        await one.used(old, f"192.0.2.{number}")
    await one.used(fingerprint_of(hash_of("second")), "198.51.100.1")
    kept = rotation.of_document(ground.store.get(note_of("anna")))
    found = told(one, kept, ground.clock.now())
    assert found.old == old
    assert len(found.addresses) == rotation.ADDRESSES_MAX
    assert "192.0.2.119" in found.addresses
    assert "192.0.2.0" not in found.addresses
    assert "198.51.100.1" not in found.addresses
    ground.source.answer = SecretText("third", 3, 3_000)
    await read(one)
    kept = rotation.of_document(ground.store.get(note_of("anna")))
    assert told(one, kept, ground.clock.now()).addresses == {}


async def test_nothing_that_is_shown_or_logged_or_kept_holds_a_password_or_a_hash(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ground.source.answer = SecretText("canary-1", 1, 1_000)
    one = ground.password()
    await read(one)
    ground.source.answer = SecretText("canary-2", 2, 2_000)
    await read(one)
    shown = f"{one.state!r} {ground.source.answer!r} {told(one, None, 0)!r} {PasswordAccount(BOB, rotated=one)!r}"
    assert "canary" not in shown + caplog.text + str(ground.store.kept)
    assert "argon2" not in shown + caplog.text


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"source": "x", "current": 5}', '{"source": 1}'])
def test_a_note_of_another_making_is_as_good_as_none(text: str | None) -> None:
    assert rotation.of_document(text) is None
