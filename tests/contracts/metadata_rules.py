"""Rules that have tags written once: what every metadata store makes of them."""

from __future__ import annotations

import asyncio

import pytest

from pierhead.commits.deletion import delete_manifest, delete_tag
from pierhead.domain.names import Tag
from pierhead.domain.patterns import TagPatterns
from pierhead.domain.policy import OnceRule
from pierhead.domain.refusals import ManifestNeeded
from pierhead.domain.refusals_tags import TagWrittenOnce
from pierhead.ports.metadata.store import Store
from tests.contracts.metadata import CheckChain, MetadataFixtures, pointed_at
from tests.contracts.rows import shelf

ONCE = OnceRule("tags.main (c.yaml line 3)", TagPatterns(["main-*", "{version}"]), frozenset({"main-latest"}))


class TagRulesContract(MetadataFixtures):
    async def test_a_rule_writes_tags_once_although_the_policy_lets_others_move(
        self, store: Store, check_chain: CheckChain
    ) -> None:
        ruled = await shelf(store, once=(ONCE,))
        assert ruled.repository.once == (ONCE,)

        async def push(number: int, tag: str) -> str | None:
            try:
                return await store.write(lambda tx: ruled.push_image(tx, str(number), tag))
            except TagWrittenOnce as refused:
                assert f"and {ONCE.where} has such tags written once there" in refused.message
                return None

        for tag in ("main-a1b2c3d4", "1.0.0"):
            answers = await asyncio.gather(*(push(number, tag) for number in range(64)))
            (winner,) = {answer for answer in answers if answer is not None}
            assert answers.count(winner) == 1
            assert await pointed_at(store, ruled, tag) == winner
        for number in range(3):
            for tag in ("latest", "main-latest", "branch-x", "sha256-" + "a" * 64):
                digest = await push(number, tag)
                assert await pointed_at(store, ruled, tag) == digest
        assert await check_chain() == 2 + 12

    async def test_a_tag_that_a_rule_writes_once_is_spent_when_it_is_deleted(self, store: Store) -> None:
        before = await shelf(store)
        first = await store.write(lambda tx: before.push_image(tx, "first", "main-1", "latest"))
        ruled = await shelf(store, once=(ONCE,))
        with pytest.raises(ManifestNeeded):
            await store.write(lambda tx: delete_manifest(tx, ruled.deletion(), first))
        await store.write(lambda tx: delete_tag(tx, ruled.deletion(), Tag("main-1")))
        with pytest.raises(TagWrittenOnce):
            await store.write(lambda tx: ruled.push_image(tx, "second", "main-1"))
        await store.write(lambda tx: ruled.push_image(tx, "first", "main-1"))
        assert await pointed_at(store, ruled, "main-1") == first
        # Without the rule it moves again, as under a policy that became ALLOW.
        free = await shelf(store)
        second = await store.write(lambda tx: free.push_image(tx, "second", "main-1"))
        assert await pointed_at(store, free, "main-1") == second

    async def test_rules_are_read_back_as_they_were_put(self, store: Store) -> None:
        other = OnceRule("tags.\N{LATIN SMALL LETTER U WITH DIAERESIS} (c)", TagPatterns(["x"]))
        for once in ((ONCE, other), (other,), ()):
            row = (await shelf(store, once=once)).repository
            assert await store.write(lambda tx, id_=row.id: tx.repositories.writing(id_)) == row.writing  # type: ignore[misc]
            assert (await store.report(lambda reports: reports.repositories()))[row.name] == row
            assert row in await store.write(lambda tx: tx.repositories.all())
