"""What every metadata store must do for accounts, roles and access tokens: each change with its event, or nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from pierhead.commits.account import (
    AccountChange,
    By,
    NewAccessToken,
    NewAccount,
    add_access_token,
    add_account,
    change_account,
    put_role,
    remove_account,
    remove_role,
    revoke_access_token,
)
from pierhead.domain import limits
from pierhead.domain.access import Right, Rule
from pierhead.domain.patterns import Patterns, TagPatterns
from pierhead.domain.refusals_accounts import (
    AccessTokenUnknown,
    AccountUnknown,
    NameTaken,
    RoleInUse,
    RoleUnknown,
    TooManyAccessTokens,
)
from pierhead.domain.secrets import hash_of
from pierhead.ports.metadata.accounts import ACCOUNTS_VERSION
from pierhead.ports.metadata.store import Store, Tx
from tests.contracts.metadata import CheckChain, MetadataFixtures
from tests.contracts.rows import DAY, SECOND, HandClock, later

ADMIN = By("admin", {"address": "192.0.2.7"})
ANNA = NewAccount("anna", "person", ("team", "deployer"), "$argon2id$canary-hash")
RULES = (
    Rule(frozenset({Right.PULL, Right.READ_AUDIT})),
    Rule(
        frozenset({Right.PUSH}),
        repositories=Patterns(["dev", "docker-*"]),
        images=Patterns(["team/*"]),
        tags=TagPatterns(["{version}", "main-*"]),
    ),
)

ReadEvents = Callable[[], Awaitable[list[tuple[str, str, str]]]]


def token(number: int = 1, account: str = "anna", *, kept: bool = True) -> NewAccessToken:
    return NewAccessToken(
        f"{number:016x}", account, "REST", kept, f"token {number}", hash_of(f"canary-secret-{number}"), RULES, 3600
    )


def use(tx: Tx, at: int, address: str) -> None:
    tx.access_tokens.used(token().id, at, address)
    tx.uses.note("anna", "password", "ab12", at, address)


class AccountsContract(MetadataFixtures):
    """``read_events`` gives (kind, account, body) of the record, in order."""

    @pytest.fixture
    def read_events(self) -> ReadEvents:
        raise AssertionError("an adapter's test overrides this")

    async def version(self, store: Store) -> str | None:
        return await store.lookups.note(ACCOUNTS_VERSION)

    async def test_an_account_reads_back_as_it_was_made_and_changed(self, store: Store, clock: HandClock) -> None:
        await store.write(later(add_account, ANNA, ADMIN))
        before = await self.version(store)
        (made,) = (await store.report(lambda reports: reports.people(0))).accounts
        assert (made.name, made.kind, made.roles, made.password_hash) == (
            "anna",
            "person",
            ANNA.roles,
            "$argon2id$canary-hash",
        )
        assert (made.disabled, made.created_by, made.version) == (False, "admin", 1)
        await store.write(later(change_account, "anna", AccountChange(disabled=True, roles=("deployer",)), ADMIN))
        people = await store.report(lambda reports: reports.people(0))
        assert people.accounts == [replace(made, disabled=True, roles=("deployer",), version=2)]
        assert people.version == await self.version(store) != before

    async def test_a_change_that_changes_nothing_leaves_no_event(self, store: Store, check_chain: CheckChain) -> None:
        await store.write(later(add_account, ANNA, ADMIN))
        before = await self.version(store)
        await store.write(later(change_account, "anna", AccountChange(disabled=False, roles=ANNA.roles), ADMIN))
        assert (await check_chain(), await self.version(store)) == (1, before)

    async def test_notes_and_uses_of_accounts_that_there_are_no_more_are_forgotten(self, store: Store) -> None:
        await store.write(later(add_account, ANNA, ADMIN))

        def write(tx: Tx) -> None:
            for name in ("anna", "svc-file", "svc-gone"):
                tx.uses.note(name, "password", "f", 1, "192.0.2.1")
                tx.notes.put(f"password.{name}", name)
            tx.notes.put("passwords.salt", "kept")
            tx.notes.keep_only("password.", {"svc-file"})
            tx.uses.keep_only({"svc-file"})

        await store.write(write)
        names = ("password.anna", "password.svc-file", "password.svc-gone", "passwords.salt")
        assert [await store.lookups.note(name) for name in names] == [None, "svc-file", None, "kept"]

        async def uses(name: str) -> int:
            return len(await store.report(lambda reports: reports.uses(name)))

        assert [await uses(name) for name in ("anna", "svc-file", "svc-gone")] == [1, 1, 0]

    async def test_of_32_who_make_one_account_at_once_exactly_one_does(
        self, store: Store, check_chain: CheckChain
    ) -> None:
        made = [store.write(later(add_account, ANNA, By(f"a{number}"))) for number in range(32)]
        answers = await asyncio.gather(*made, return_exceptions=True)
        assert sum(isinstance(answer, NameTaken) for answer in answers) == 31
        assert await check_chain() == 1

    async def test_what_is_not_there_is_not_changed(self, store: Store, check_chain: CheckChain) -> None:
        for change in (
            later(change_account, "nobody", AccountChange(disabled=True), ADMIN),
            later(remove_account, "nobody", ADMIN),
        ):
            with pytest.raises(AccountUnknown):
                await store.write(change)
        with pytest.raises(RoleUnknown, match="known are deployer"):
            await store.write(later(remove_role, "nothing", ["deployer"], ADMIN))
        assert await check_chain() == 0

    async def test_a_role_reads_back_with_every_pattern_and_is_not_taken_from_who_has_it(self, store: Store) -> None:
        assert await store.write(later(put_role, "team", RULES, ADMIN))
        assert (await store.report(lambda reports: reports.people(0))).roles == {"team": RULES}
        assert not await store.write(later(put_role, "team", RULES[:1], ADMIN))
        await store.write(later(add_account, ANNA, ADMIN))
        with pytest.raises(RoleInUse, match="anna"):
            await store.write(later(remove_role, "team", [], ADMIN))
        await store.write(later(change_account, "anna", AccountChange(roles=("deployer",)), ADMIN))
        await store.write(later(remove_role, "team", [], ADMIN))
        assert (await store.report(lambda reports: reports.people(0))).roles == {}

    async def test_an_access_token_is_found_by_its_hash_until_it_is_revoked(
        self, store: Store, clock: HandClock
    ) -> None:
        await store.write(later(add_account, ANNA, ADMIN))
        row = await store.write(later(add_access_token, token(), ADMIN))
        assert row.expires == row.created + 3600 * SECOND
        assert await store.lookups.access_token(hash_of("canary-secret-1")) == row
        assert row.limit == RULES
        assert await store.lookups.access_token(hash_of("another")) is None
        version = await self.version(store)
        await store.write(later(revoke_access_token, "anna", row.id, ADMIN))
        found = await store.lookups.access_token(row.hash)
        assert found is not None
        assert found.revoked is not None
        assert await store.report(lambda reports: reports.access_tokens("anna")) == []
        assert await self.version(store) != version, "who accepts what was made with it has to learn of that"
        assert (await store.report(lambda reports: reports.people(found.revoked or 0))).revoked == {row.id: "anna"}
        assert (await store.report(lambda reports: reports.people((found.revoked or 0) + 1))).revoked == {}

    async def test_a_token_of_another_account_is_not_there(self, store: Store) -> None:
        await store.write(later(add_access_token, token(kept=False), ADMIN))
        for account, one in (("bob", token().id), ("anna", "no-such")):
            with pytest.raises(AccessTokenUnknown):
                await store.write(later(revoke_access_token, account, one, ADMIN))
        await store.write(later(revoke_access_token, "anna", token().id, ADMIN))
        with pytest.raises(AccessTokenUnknown):
            await store.write(later(revoke_access_token, "anna", token().id, ADMIN))

    async def test_names_of_tokens_that_hold_are_unique_within_an_account(self, store: Store) -> None:
        first = token(1, kept=False)
        again = replace(token(2, kept=False), name=first.name)
        await store.write(later(add_access_token, first, ADMIN))
        with pytest.raises(NameTaken, match="of anna"):
            await store.write(later(add_access_token, again, ADMIN))
        await store.write(later(add_access_token, replace(again, account="bob"), ADMIN))
        await store.write(later(revoke_access_token, "anna", first.id, ADMIN))
        await store.write(later(add_access_token, replace(again, id="f" * 16, hash=b"x" * 32), ADMIN))

    async def test_an_account_has_so_many_tokens_and_no_more(self, store: Store) -> None:
        most = limits.ACCESS_TOKENS_PER_ACCOUNT_MAX
        for number in range(most):
            await store.write(later(add_access_token, token(number, kept=False), ADMIN), durable=False)
        with pytest.raises(TooManyAccessTokens):
            await store.write(later(add_access_token, token(most, kept=False), ADMIN))
        await store.write(later(revoke_access_token, "anna", token(0).id, ADMIN))
        await store.write(later(add_access_token, token(most, kept=False), ADMIN))

    async def test_tokens_end_with_their_account_and_are_no_others_who_gets_its_name(self, store: Store) -> None:
        await store.write(later(add_account, ANNA, ADMIN))
        await store.write(later(add_access_token, token(), ADMIN))
        await store.write(later(remove_account, "anna", ADMIN))
        gone = await store.lookups.access_token(token().hash)
        assert gone is not None
        assert gone.revoked is not None
        with pytest.raises(AccountUnknown):
            await store.write(later(add_access_token, token(2), ADMIN))
        await store.write(later(add_access_token, token(3, kept=False), ADMIN))  # of an account of the file, say
        await store.write(later(add_account, ANNA, ADMIN))
        assert await store.report(lambda reports: reports.access_tokens("anna")) == []

    async def test_rows_of_tokens_revoked_long_ago_go_when_another_is_made(
        self, store: Store, clock: HandClock
    ) -> None:
        await store.write(later(add_access_token, token(1, kept=False), ADMIN))
        await store.write(later(revoke_access_token, "anna", token(1).id, ADMIN))
        clock.advance(29 * DAY)
        await store.write(later(add_access_token, token(2, kept=False), ADMIN))
        assert await store.lookups.access_token(token(1).hash) is not None
        clock.advance(2 * DAY)
        await store.write(later(add_access_token, token(3, kept=False), ADMIN))
        assert await store.lookups.access_token(token(1).hash) is None

    async def test_the_latest_use_stands_in_whatever_order_workers_tell(self, store: Store) -> None:
        await store.write(later(add_access_token, token(kept=False), ADMIN))
        for at, address in ((20, "192.0.2.2"), (10, "192.0.2.1")):
            await store.write(later(use, at, address))
        await store.write(lambda tx: tx.uses.note("anna", "password", "cd34", 30, "192.0.2.3"))
        (row,) = await store.report(lambda reports: reports.access_tokens("anna"))
        assert (row.last_used, row.last_address) == (20, "192.0.2.2")
        newest, oldest = await store.report(lambda reports: reports.uses("anna"))
        assert (newest.fingerprint, newest.first, newest.last) == ("cd34", 30, 30)
        assert (oldest.fingerprint, oldest.last, oldest.address) == ("ab12", 20, "192.0.2.2")

    async def test_every_change_is_told_in_the_record_and_no_secret_is(
        self, store: Store, read_events: ReadEvents, check_chain: CheckChain
    ) -> None:
        for change in (
            later(put_role, "team", RULES, ADMIN),
            later(put_role, "team", RULES[:1], ADMIN),
            later(add_account, ANNA, ADMIN),
            later(change_account, "anna", AccountChange(password_hash="$argon2id$canary-new"), ADMIN),
            later(add_access_token, token(), By("anna")),
            later(revoke_access_token, "anna", token().id, ADMIN),
            later(remove_account, "anna", ADMIN),
            later(remove_role, "team", [], ADMIN),
        ):
            await store.write(change)
        events = await read_events()
        assert [(kind, who) for kind, who, _ in events] == [
            ("role.created", "admin"),
            ("role.changed", "admin"),
            ("account.created", "admin"),
            ("account.changed", "admin"),
            ("access_token.made", "anna"),
            ("access_token.revoked", "admin"),
            ("account.removed", "admin"),
            ("role.removed", "admin"),
        ]
        bodies = [json.loads(body) for _, _, body in events]
        assert bodies[3] == {"name": "anna", "password": "changed", "address": "192.0.2.7"}
        assert bodies[4]["rules"][1]["tags"] == ["main-*", "{version}"]
        told = " ".join(body for _, _, body in events)
        assert "canary" not in told
        assert hash_of("canary-secret-1").hex() not in told
        assert await check_chain() == 8
