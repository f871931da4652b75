"""What every metadata store promises of sessions, sign-ons and logins on their way."""

from __future__ import annotations

from msgspec.structs import replace

from pierhead.ports.metadata.device_logins import DeviceLogin, LoginState
from pierhead.ports.metadata.sessions import SessionRow
from pierhead.ports.metadata.store import Store, Tx

DAY = 24 * 3600 * 1_000_000
ROW = SessionRow(b"a" * 32, "anna", b"stamp", "password", 1_000, 1_000, 10 * DAY, "192.0.2.7", "Firefox")
LOGIN = DeviceLogin(b"i" * 32, b"c" * 32, "laptop", "192.0.2.7", "pierhead", 1_000, DAY, 0)


async def open_all(store: Store, *rows: SessionRow) -> None:
    def commit(tx: Tx) -> None:
        for row in rows:
            tx.sessions.open(row)

    await store.write(commit)


async def touch(store: Store, at: int) -> None:
    def commit(tx: Tx) -> None:
        tx.sessions.touch(ROW.id, at)

    await store.write(commit)


class SessionContract:
    """For a fixture ``store``."""

    async def test_a_session_is_found_by_its_id_until_it_is_ended(self, store: Store) -> None:
        other = replace(ROW, id=b"b" * 32, created=2_000)
        await open_all(store, ROW, other)
        assert await store.lookups.session(ROW.id) == ROW
        assert list(await store.report(lambda reports: reports.sessions("anna"))) == [other, ROW]
        assert not await store.write(lambda tx: tx.sessions.end("ben", ROW.id)), "it is anna's"
        assert await store.write(lambda tx: tx.sessions.end("anna", ROW.id))
        assert not await store.write(lambda tx: tx.sessions.end("anna", ROW.id))
        assert await store.lookups.session(ROW.id) is None
        await store.write(lambda tx: tx.sessions.end_all("anna"))
        assert await store.lookups.session(other.id) is None

    async def test_use_never_goes_back_and_ended_ones_are_forgotten(self, store: Store) -> None:
        late, idle = replace(ROW, id=b"b" * 32, expires=5_000), replace(ROW, id=b"d" * 32)
        await open_all(store, ROW, late, idle)
        for at in (9_000, 8_000):
            await touch(store, at)
        found = await store.lookups.session(ROW.id)
        assert found is not None
        assert found.seen == 9_000
        assert await store.write(lambda tx: tx.sessions.expire(5_000, 2_000)) == 2
        assert await store.lookups.session(late.id) is None
        assert await store.lookups.session(idle.id) is None
        assert await store.lookups.session(ROW.id) is not None

    async def test_a_mark_is_spent_once_until_it_is_forgotten(self, store: Store) -> None:
        assert await store.write(lambda tx: tx.sessions.spend(b"mark", 5_000))
        assert not await store.write(lambda tx: tx.sessions.spend(b"mark", 9_000))
        await store.write(lambda tx: tx.sessions.expire(5_000, 0))
        assert await store.write(lambda tx: tx.sessions.spend(b"mark", 9_000))

    async def test_an_account_belongs_to_one_subject_only(self, store: Store) -> None:
        await store.write(lambda tx: tx.sessions.bind("https://a", "1", "anna"))
        assert await store.write(lambda tx: tx.sessions.account_of("https://a", "1")) == "anna"
        assert await store.write(lambda tx: tx.sessions.account_of("https://b", "1")) is None
        await store.write(lambda tx: tx.sessions.bind("https://a", "2", "anna"))
        assert await store.write(lambda tx: tx.sessions.account_of("https://a", "1")) is None

    async def test_a_login_waits_under_its_code_and_is_decided_and_handed_over_once(self, store: Store) -> None:
        assert await store.write(lambda tx: tx.device_logins.open(LOGIN, 2))
        again = replace(LOGIN, id=b"j" * 32)
        assert not await store.write(lambda tx: tx.device_logins.open(again, 2)), "the code is another's"
        assert await store.write(lambda tx: tx.device_logins.open(replace(again, code=b"d" * 32), 2))
        more = replace(LOGIN, id=b"k" * 32, code=b"e" * 32)
        assert not await store.write(lambda tx: tx.device_logins.open(more, 2)), "two are open"
        assert await store.write(lambda tx: tx.device_logins.by_code(LOGIN.code)) == LOGIN
        assert await store.write(lambda tx: tx.device_logins.decide(LOGIN.id, LoginState.APPROVED, "anna"))
        assert not await store.write(lambda tx: tx.device_logins.decide(LOGIN.id, LoginState.REFUSED, "ben"))
        await store.write(lambda tx: tx.device_logins.polled(LOGIN.id, 7_000))
        found = await store.write(lambda tx: tx.device_logins.by_id(LOGIN.id))
        assert found == replace(LOGIN, state=LoginState.APPROVED, account="anna", polled=7_000)
        assert await store.write(lambda tx: tx.device_logins.forget(LOGIN.id))
        assert not await store.write(lambda tx: tx.device_logins.forget(LOGIN.id))
        late = replace(more, created=2 * DAY, expires=3 * DAY)
        assert await store.write(lambda tx: tx.device_logins.open(late, 1)), "the others have ended"
