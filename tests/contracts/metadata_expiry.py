"""The contract of expiry: what a plan says, what it carries out, and what it never touches."""

from __future__ import annotations

from pierhead.commits.deletion import delete_tag
from pierhead.commits.restoring import restore_manifest, restore_tag
from pierhead.domain.digest import Digest
from pierhead.domain.expiry import Rule, Rules
from pierhead.domain.names import Reference, Tag
from pierhead.domain.patterns import TagPatterns
from pierhead.domain.policy import WritePolicy
from pierhead.jobs.empty_trash import EmptyTrash
from pierhead.jobs.expire import Expiry, Plan
from pierhead.jobs.keep_pulls import KeepPulls
from pierhead.jobs.loop import Idle, Worked
from pierhead.ports.metadata.store import Store, Tx
from pierhead.ports.metadata.values import ImageId
from pierhead.repositories.pulls import Pulls
from tests.contracts.metadata import MetadataFixtures
from tests.contracts.metadata_undo import deletion, has, listed, points_at, pushed, undo
from tests.contracts.rows import DAY, HOUR, HandClock, Shelf, index, later, manifest, shelf

BRANCHES = Rule(tags=TagPatterns(["branch-*"]), unused=14 * DAY)
NEWEST = Rule(tags=TagPatterns(["main-*"]), newest=2)
LOOSE = Rule(untagged=7 * DAY)
KEEP = 14 * DAY


def expiry(store: Store, clock: HandClock, at: Shelf, *rules: Rule, caches: int | None = None) -> Expiry:
    pulls = KeepPulls(store, Pulls())
    return Expiry(store, clock, "one", {at.repository.name: Rules(rules, caches)}, KEEP, DAY, HOUR, pulls, term=0)


async def pull(store: Store, at: Shelf, digest: Digest, reference: Reference, times: int = 1) -> None:
    pulls = Pulls()
    for _ in range(times):
        pulls.note(at.repository.name, at.image, digest, reference)
    assert isinstance(await KeepPulls(store, pulls)(), Idle)


async def begin(store: Store) -> None:
    """From now on pulls are counted."""
    await store.write(lambda tx: tx.pulls.begin())


def tags_of(plan: Plan) -> list[str]:
    return sorted(str(one.removal.tag) for one in plan.going)


class ExpiryContract(MetadataFixtures):
    async def test_a_tag_goes_when_nobody_pulled_it_for_so_long_and_comes_back_whole(
        self, store: Store, clock: HandClock
    ) -> None:
        await begin(store)
        dev = await shelf(store)
        for tag in ("branch-used", "branch-idle", "main-1"):
            await pushed(store, dev, tag, tag=tag)
        clock.advance(10 * DAY)
        used = await points_at(store, dev, "branch-used")
        assert used is not None
        await pull(store, dev, used, Tag("branch-used"))
        clock.advance(5 * DAY)
        job = expiry(store, clock, dev, BRANCHES)
        plan, done = await job.run(100)
        assert tags_of(plan) == ["branch-idle"]
        assert (done.removed, done.stayed, done.left) == (1, 0, 0)
        going = plan.going[0]
        assert (going.removal.words, going.why) == ("branch-* unused for 14 d", "never pulled")
        assert going.size == plan.size == len(b'{"text": "branch-idle"}')
        assert await points_at(store, dev, "branch-idle") is None
        assert not await has(store, dev, going.removal.digest)
        back = (await listed(store, dev))[0]
        assert (back.tag, back.rule, back.account) == ("branch-idle", "branch-* unused for 14 d", "pierhead")
        await store.write(later(restore_tag, undo(dev), Tag("branch-idle"), None))
        assert await points_at(store, dev, "branch-idle") == going.removal.digest
        assert not (await job.plan()).going, "what was brought back was used just now"

    async def test_a_pull_by_digest_or_of_something_below_counts_for_the_tag(
        self, store: Store, clock: HandClock
    ) -> None:
        await begin(store)
        dev = await shelf(store)
        (first,) = await pushed(store, dev, "first", tag="branch-1")
        child = manifest(b'{"text": "child"}')

        def both(tx: Tx) -> None:
            dev.push_image(tx, "child")
            dev.push(tx, index(child), "branch-2")

        await store.write(both)
        clock.advance(10 * DAY)
        await pull(store, dev, first, first)
        await pull(store, dev, Digest.of(child), Digest.of(child))
        clock.advance(10 * DAY)
        assert not (await expiry(store, clock, dev, BRANCHES).plan()).going

    async def test_before_pulls_were_counted_everything_counts_as_used(self, store: Store, clock: HandClock) -> None:
        dev = await shelf(store)
        await pushed(store, dev, "old", tag="branch-1")
        clock.advance(100 * DAY)
        job = expiry(store, clock, dev, BRANCHES)
        assert not (await job.plan()).going
        await begin(store)
        clock.advance(13 * DAY)
        assert not (await job.plan()).going
        clock.advance(2 * DAY)
        assert tags_of(await job.plan()) == ["branch-1"]

    async def test_the_newest_stay_and_what_moved_since_the_plan_is_judged_again(
        self, store: Store, clock: HandClock
    ) -> None:
        await begin(store)
        dev = await shelf(store)
        for number in range(4):
            await pushed(store, dev, f"main {number}", tag=f"main-{number}")
            clock.advance(HOUR)
        job = expiry(store, clock, dev, NEWEST)
        old = await job.plan()
        assert tags_of(old) == ["main-0", "main-1"]
        assert {one.why for one in old.going} == {"2 are newer", "3 are newer"}
        # Meanwhile two newer ones are deleted, so that those of the plan are the newest.
        for tag in ("main-2", "main-3"):
            await store.write(later(delete_tag, deletion(dev), Tag(tag)))
        removals = [one.removal for one in old.going]
        assert await store.write(lambda tx: job._expire(tx, removals, 0)) == 0
        assert await points_at(store, dev, "main-0") is not None

    async def test_what_was_pulled_moved_or_became_write_once_since_the_plan_stays(
        self, store: Store, clock: HandClock
    ) -> None:
        await begin(store)
        dev = await shelf(store)
        for tag in ("branch-pulled", "branch-moved", "branch-gone", "branch-once"):
            await pushed(store, dev, tag, tag=tag)
        clock.advance(20 * DAY)
        job = expiry(store, clock, dev, BRANCHES)
        plan = await job.plan()
        assert len(plan.going) == 4
        pulled = await points_at(store, dev, "branch-pulled")
        assert pulled is not None
        await pull(store, dev, pulled, pulled)
        await pushed(store, dev, "anew", tag="branch-moved")
        await store.write(later(delete_tag, deletion(dev), Tag("branch-gone")))
        once = await shelf(store, "dev", WritePolicy.ALLOW_ONCE)
        await store.write(lambda tx: once.push_image(tx, "branch-once", "branch-once", "other"))
        removals = [one.removal for one in plan.going]
        assert await store.write(lambda tx: job._expire(tx, removals, 0)) == 0, (
            "not in a repository that is written once"
        )
        await shelf(store, "dev", WritePolicy.ALLOW)
        await store.write(lambda tx: dev.push_image(tx, "branch-once", "spent"))
        assert await store.write(lambda tx: job._expire(tx, removals, 0)) == 1
        assert await points_at(store, dev, "branch-once") is None
        assert await points_at(store, dev, "spent") is not None

    async def test_a_manifest_stays_for_another_tag_an_index_or_its_subject(
        self, store: Store, clock: HandClock
    ) -> None:
        await begin(store)
        dev = await shelf(store)
        child, other = manifest(b'{"text": "child"}'), manifest(b'{"text": "other"}')
        signature = manifest(b'{"text": "signature"}', subject=other)

        def push(tx: Tx) -> None:
            for text in ("child", "other", "signature"):
                dev.land(tx, b'{"text": "%s"}' % text.encode())
            dev.push(tx, child, "branch-child")
            dev.push(tx, other, "branch-other", "kept")
            dev.push(tx, signature, "branch-signature")
            dev.push(tx, index(child), "whole")

        await store.write(push)
        clock.advance(20 * DAY)
        plan, done = await expiry(store, clock, dev, BRANCHES, LOOSE).run(100)
        assert done.removed == 3
        stays = {str(one.removal.tag): one.stays for one in plan.going}
        assert stays["branch-child"] == f"the index {Digest.of(index(child))} names it"
        assert stays["branch-other"] == "the tag kept points at it"
        assert stays["branch-signature"] == f"it belongs to {Digest.of(other)}"
        assert plan.size == 0
        for body in (child, other, signature):
            assert await has(store, dev, Digest.of(body))
        clock.advance(100 * DAY)
        assert not (await expiry(store, clock, dev, LOOSE).plan()).going, "children and referrers are never untagged"

    async def test_an_index_goes_with_what_only_it_names_and_with_its_signatures(
        self, store: Store, clock: HandClock
    ) -> None:
        await begin(store)
        dev = await shelf(store)
        shared, own = manifest(b'{"text": "shared"}'), manifest(b'{"text": "own"}')
        whole = index(shared, own)
        signature = manifest(b'{"text": "signature"}', subject=whole)
        cosign = manifest(b'{"text": "cosign"}')
        fallback = f"{Digest.of(whole)}.sig".replace(":", "-")

        def push(tx: Tx) -> None:
            for text in ("shared", "own", "signature", "cosign"):
                dev.land(tx, b'{"text": "%s"}' % text.encode())
            for body in (shared, own):
                dev.push(tx, body)
            dev.push(tx, whole, "branch-1")
            dev.push(tx, index(shared), "kept")
            dev.push(tx, signature)
            dev.push(tx, cosign, fallback)

        await store.write(push)
        clock.advance(20 * DAY)
        plan, _ = await expiry(store, clock, dev, BRANCHES).run(100)
        assert [len(one.manifests) for one in plan.going] == [4]
        gone = [Digest.of(body) for body in (whole, own, signature, cosign)]
        assert [await has(store, dev, digest) for digest in gone] == [False] * 4
        assert await has(store, dev, Digest.of(shared))
        assert await points_at(store, dev, fallback) is None
        await store.write(later(restore_tag, undo(dev), Tag("branch-1"), None))
        assert [await has(store, dev, digest) for digest in gone] == [True] * 4
        assert await points_at(store, dev, fallback) == Digest.of(cosign)
        found = await store.lookups.referrers((dev.repository.id,), dev.image, Digest.of(whole), None, 0, 10)
        assert [row.digest for row in found] == [Digest.of(signature)]

    async def test_untagged_manifests_go_some_time_after_their_last_tag_and_pull(
        self, store: Store, clock: HandClock
    ) -> None:
        await begin(store)
        dev = await shelf(store)
        first, second, third = await pushed(store, dev, "first", "second", "third")
        job = expiry(store, clock, dev, LOOSE)
        await pull(store, dev, first, first)
        clock.advance(5 * DAY)
        await pull(store, dev, second, second)
        clock.advance(3 * DAY)
        plan, _ = await job.run(100)
        assert [one.removal.digest for one in plan.going] == [first]
        assert (plan.going[0].removal.words, plan.going[0].removal.tag) == ("untagged for 7 d", None)
        clock.advance(5 * DAY)
        await job.run(100)
        assert [await has(store, dev, digest) for digest in (first, second, third)] == [False, False, True]
        await store.write(later(restore_manifest, undo(dev), second))
        assert not (await job.plan()).going
        clock.advance(30 * DAY)
        trash = EmptyTrash(store, clock, "one", KEEP, DAY, term=0)
        assert isinstance(await trash(), Worked)
        assert await pushed(store, dev, "first", tag="again") == [first]
        facts = await store.write(lambda tx: tx.expiry.tag(_image(tx, dev), dev.image, Tag("again")))
        assert facts is not None
        assert facts.pulled is None, "what is gone takes its pulls along"
        assert await store.write(lambda tx: tx.trash.find(_image(tx, dev), [first])) == {}

    async def test_a_child_that_is_pushed_again_before_its_index_is_as_new(
        self, store: Store, clock: HandClock
    ) -> None:
        await begin(store)
        dev = await shelf(store)
        (child,) = await pushed(store, dev, "child", tag="moving")
        await pushed(store, dev, "other", tag="moving")
        clock.advance(20 * DAY)
        await store.write(lambda tx: dev.push(tx, manifest(b'{"text": "child"}')))
        _, done = await expiry(store, clock, dev, LOOSE).run(100)
        assert done.removed == 0
        assert await has(store, dev, child)

    async def test_the_least_recently_used_build_caches_go_at_once_until_the_rest_fits(
        self, store: Store, clock: HandClock
    ) -> None:
        await begin(store)
        dev = await shelf(store, image="orchestrator/server/cache")
        for number in range(4):
            await pushed(store, dev, f"cached {number}", tag=f"{number:064x}")
            clock.advance(HOUR)
        await pushed(store, dev, "an image", tag="branch-1")
        first = await points_at(store, dev, f"{0:064x}")
        assert first is not None
        await pull(store, dev, first, first)
        clock.advance(60 * DAY)
        size = len(b'{"text": "cached 0"}')
        plan, _ = await expiry(store, clock, dev, Rule(tags=TagPatterns(["*"]), older=30 * DAY), caches=2 * size).run(
            100
        )
        assert tags_of(plan) == [f"{1:064x}", f"{2:064x}", "branch-1"], "no other rule is about a cache"
        assert await points_at(store, dev, f"{0:064x}") == first
        assert [one.tag for one in await listed(store, dev)] == ["branch-1"], "nobody brings a cache back"

    async def test_a_plan_tells_which_pulls_the_rules_would_have_broken(self, store: Store, clock: HandClock) -> None:
        await begin(store)
        dev = await shelf(store)
        (used,) = await pushed(store, dev, "used", tag="branch-1")
        for pause, times in ((10, 1), (20, 3), (1, 2), (5, 1)):
            clock.advance(pause * DAY)
            await pull(store, dev, used, Tag("branch-1"), times)
        plan = await expiry(store, clock, dev, BRANCHES).plan()
        assert not plan.going
        assert [(one.reference, one.times) for one in plan.broken] == [("branch-1", 3)]
        assert plan.broken[0].day == (clock.now() - 6 * DAY) // DAY

    async def test_the_loop_plans_now_and_then_and_goes_on_in_small_steps(self, store: Store, clock: HandClock) -> None:
        await begin(store)
        dev = await shelf(store)
        for number in range(25):
            await pushed(store, dev, str(number), tag=f"branch-{number}")
        clock.advance(20 * DAY)
        job = expiry(store, clock, dev, BRANCHES)
        steps = [await job() for _ in range(3)]
        assert [(step.what, step.more) for step in steps if isinstance(step, Worked)] == [
            ("20 removed by rules of expiry", True),
            ("5 removed by rules of expiry", False),
        ]
        await pushed(store, dev, "late", tag="branch-late")
        clock.advance(20 * DAY)
        assert isinstance(await job(), Worked)
        assert isinstance(await job(), Idle), "not before its time"


def _image(tx: Tx, at: Shelf) -> ImageId:
    found = tx.images.find(at.repository.id, at.image)
    assert found is not None
    return found
