"""What every metadata store must do for promotions: the graph of an image, rows, votes, what stages hold."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from pierhead.commits.deletion import delete_manifest, delete_tag
from pierhead.commits.promotion import approve, expire, promote, reject
from pierhead.commits.promotion_plan import plan
from pierhead.commits.promotion_pointer import name_pointer
from pierhead.commits.promotion_values import Done, End, Move
from pierhead.domain.digest import Digest
from pierhead.domain.gates import Approvals, Gate, StageBefore
from pierhead.domain.names import Tag
from pierhead.domain.policy import WritePolicy
from pierhead.domain.promotion import Kind, Stage
from pierhead.domain.refusals import ManifestNeeded, RepositoryReadOnly
from pierhead.domain.refusals_promotion import (
    PointerReserved,
    PromotionGatesShut,
    PromotionOver,
    PromotionTagTaken,
    PromotionTooLarge,
)
from pierhead.ports.metadata.promotions import DONE, EXPIRED, REJECTED, WAITING, Vote
from pierhead.ports.metadata.store import Store, Tx
from tests.contracts.metadata import CheckChain, MetadataFixtures
from tests.contracts.rows import DAY, HOUR, IMAGE, HandClock, Shelf, index, later, manifest, shelf

CURRENT = Tag("current")


@dataclass
class Line:
    """Three stages of one image."""

    dev: Shelf
    uat: Shelf
    prod: Shelf
    gates: tuple[Approvals, ...] = ()

    def end(self, at: Shelf, name: str) -> End:
        gates: tuple[Gate, ...] = (StageBefore(), *self.gates) if name != "dev" else ()
        return End(at.repository.id, at.repository.name, Stage(name, at.repository.name, gates))

    def move(self, tag: str = "1.0", to: str = "uat", *, follow: bool = False) -> Move:
        order = ["dev", "uat", "prod"]
        before = order[order.index(to) - 1]
        source, target = (self.end(getattr(self, name), name) for name in (before, to))
        return Move(
            image=IMAGE, source=source, target=target, account="anna", roles_of=lambda account: (),
            reference=Tag(tag), before=source, wait=DAY, pointer=CURRENT, follow=follow,
        )  # fmt: skip

    def back(self, to: str = "uat") -> Move:
        return replace(self.move("", to), reference=None, kind=Kind.BACK, source=self.move(to=to).target)


def held(tx: Tx, at: Shelf, tag: str) -> Digest | None:
    image = tx.images.find(at.repository.id, at.image)
    return None if image is None else tx.tags.pointing(image, [Tag(tag)]).get(Tag(tag))


def push_whole(tx: Tx, at: Shelf, *tags: str) -> dict[str, Digest]:
    """An index in an index, a referrer of a child, one of that one, and a signature under cosign's tag."""
    at.land(tx, b"config")
    at.land(tx, b"layer")
    child = manifest(b"config", b"layer")
    inner, found = index(child), {}
    outer = index(inner)
    sbom = manifest(b"config", subject=child, artifact_type="text/sbom")
    signature = manifest(b"config", subject=sbom, artifact_type="text/signature")
    for name, body in (("child", child), ("inner", inner), ("outer", outer), ("sbom", sbom), ("signed", signature)):
        found[name] = at.push(tx, body, *(tags if name == "outer" else ())).digest
    at.land(tx, b"cosign")
    cosign = f"sha256-{found['outer'].hex}.sig"
    found["cosign"] = at.push(tx, manifest(b"cosign"), cosign).digest
    return found


class PromotionsContract(MetadataFixtures):
    @pytest.fixture
    async def line(self, store: Store) -> Line:
        once = WritePolicy.ALLOW_ONCE
        await store.write(lambda tx: name_pointer(tx, CURRENT))
        return Line(await shelf(store, "dev"), await shelf(store, "uat", once), await shelf(store, "prod", once))

    async def test_the_whole_graph_goes_along_and_nothing_else(
        self, store: Store, line: Line, check_chain: CheckChain
    ) -> None:
        whole = await store.write(lambda tx: push_whole(tx, line.dev, "1.0"))
        await store.write(lambda tx: line.dev.push_image(tx, "another", "2.0"))
        row = await store.write(lambda tx: promote(tx, line.move()))
        assert (row.state, row.digest, row.tags) == (DONE, whole["outer"], ("1.0",))
        assert row.told["counts"] == {"manifests": 6, "platforms": 1, "referrers": 3, "bytes_to_copy": 0}

        def look(tx: Tx) -> None:
            image = tx.images.find(line.uat.repository.id, IMAGE)
            assert image is not None
            assert set(tx.manifests.find(image, whole.values())) == set(whole.values())
            blobs = [Digest.of(body) for body in (b"config", b"layer", b"cosign")]
            assert set(tx.blobs.linked(image, blobs)) == set(blobs)
            other = Digest.of(b'{"text": "another"}')
            assert not tx.blobs.linked(image, [other])
            assert held(tx, line.uat, "1.0") == held(tx, line.uat, "current") == whole["outer"]
            assert held(tx, line.uat, f"sha256-{whole['outer'].hex}.sig") == whole["cosign"]
            assert held(tx, line.uat, "2.0") is None

        await store.write(look)
        found = await store.lookups.referrers((line.uat.repository.id,), IMAGE, whole["child"], None, 0, 10)
        assert [one.digest for one in found] == [whole["sbom"]]
        assert await check_chain() > 0

    async def test_the_same_again_is_the_same_row_and_the_board_reads_now_and_before(
        self, store: Store, line: Line
    ) -> None:
        one = await store.write(lambda tx: line.dev.push_image(tx, "one", "1.0"))
        two = await store.write(lambda tx: line.dev.push_image(tx, "two", "2.0"))
        first = await store.write(lambda tx: promote(tx, line.move("1.0")))
        assert await store.write(lambda tx: promote(tx, line.move("1.0"))) == first
        second = await store.write(lambda tx: promote(tx, line.move("2.0")))
        assert second.before == one
        assert await store.write(lambda tx: promote(tx, line.move("1.0"))) == first, "no way back by asking again"
        uat, prod = line.uat.repository.name, line.prod.repository.name
        found = await store.report(lambda reports: reports.held(uat))
        assert list(found) == [IMAGE]
        pair = found[IMAGE]
        assert pair.previous is not None
        assert (pair.current.digest, pair.current.promotion, pair.previous.digest) == (two, second.id, one)
        assert await store.report(lambda reports: reports.held(prod, [IMAGE])) == {}
        back = await store.write(lambda tx: promote(tx, line.back()))
        history = await store.report(lambda reports: reports.pointers(uat, IMAGE, 10))
        assert [(row.digest, row.promotion, row.until is None) for row in history] == [
            (one, back.id, True), (two, second.id, False), (one, first.id, False),
        ]  # fmt: skip
        pages = await store.report(lambda reports: reports.promotions(None, 2))
        assert [row.id for row in pages] == [back.id, second.id]
        rest = await store.report(lambda reports: reports.promotions(second.id, 2, stage="uat", state=DONE))
        assert [row.id for row in rest] == [first.id]

    async def test_what_is_refused_leaves_nothing(self, store: Store, line: Line, check_chain: CheckChain) -> None:
        await store.write(lambda tx: line.dev.push_image(tx, "one", "1.0"))
        await store.write(lambda tx: promote(tx, line.move()))
        await store.write(lambda tx: line.dev.push_image(tx, "two", "1.0"))
        before = await check_chain()
        with pytest.raises(PromotionTagTaken):
            await store.write(lambda tx: promote(tx, line.move()))
        skip = replace(line.move(to="prod"), source=line.end(line.dev, "dev"))
        with pytest.raises(PromotionGatesShut):
            await store.write(lambda tx: promote(tx, skip))
        with pytest.raises(PointerReserved):
            await store.write(lambda tx: promote(tx, replace(line.move(), tags=(CURRENT,))))
        name = line.prod.repository.name
        await store.write(lambda tx: tx.repositories.ensure(name, "hosted", WritePolicy.DENY))
        with pytest.raises(RepositoryReadOnly):
            await store.write(lambda tx: promote(tx, line.move(to="prod")))
        assert await check_chain() == before
        assert len(await store.report(lambda reports: reports.promotions(None, 10))) == 1

    async def test_a_plan_writes_nothing(self, store: Store, line: Line, check_chain: CheckChain) -> None:
        await store.write(lambda tx: push_whole(tx, line.dev, "1.0"))
        before = await check_chain()
        found = await store.write(lambda tx: plan(tx, line.move()))
        assert (len(found.members), found.repeated) == (6, None)
        assert await check_chain() == before
        assert await store.write(lambda tx: tx.images.find(line.uat.repository.id, IMAGE)) is None

    async def test_one_that_waits_is_done_with_the_last_approval_or_never(
        self, store: Store, line: Line, clock: HandClock
    ) -> None:
        line.gates = (Approvals(2),)
        digest = await store.write(lambda tx: line.dev.push_image(tx, "one", "1.0"))
        row = await store.write(lambda tx: promote(tx, line.move()))
        assert (row.state, row.ended) == (WAITING, None)
        assert (await store.write(lambda tx: promote(tx, line.move()))).id == row.id
        asked = replace(line.move(), reference=None, digest=digest, tags=(Tag("1.0"),))

        def agree(who: str) -> object:
            return later(approve, row.id, asked, Vote(who, 0, True, "fine"), {})

        for who, state in (("ben", WAITING), ("ben", WAITING), ("anna", WAITING), ("chidi", DONE)):
            assert (await store.write(agree(who))).state == state  # type: ignore[arg-type]
        found = await store.report(lambda reports: reports.promotion(row.id))
        assert found is not None
        assert [vote.account for vote in found[1]] == ["ben", "anna", "chidi"]
        with pytest.raises(PromotionOver):
            await store.write(later(reject, row.id, Vote("ben", 0, False, ""), {}))
        await store.write(lambda tx: line.dev.push_image(tx, "two", "2.0"))
        second = await store.write(lambda tx: promote(tx, line.move("2.0")))
        rejected = await store.write(later(reject, second.id, Vote("ben", 0, False, "no"), {}))
        assert rejected.state == REJECTED
        third = await store.write(lambda tx: promote(tx, line.move("2.0")))
        assert third.id > second.id
        clock.advance(2 * DAY)
        assert await store.report(lambda reports: reports.promotions_due(clock.now()))
        fourth = await store.write(lambda tx: promote(tx, line.move("2.0")))
        assert fourth.id > third.id, "asked anew before anybody had ended the one that is too late"
        clock.advance(2 * DAY)
        assert await store.write(lambda tx: expire(tx, 10)) == 1
        assert not await store.report(lambda reports: reports.promotions_due(clock.now()))
        assert (await store.write(lambda tx: tx.promotions.find(third.id))).state == EXPIRED  # type: ignore[union-attr]
        assert (await store.write(lambda tx: tx.promotions.find(fourth.id))).state == EXPIRED  # type: ignore[union-attr]

    async def test_what_a_stage_holds_is_pinned_and_its_tag_has_the_name_of_the_configuration(
        self, store: Store, line: Line
    ) -> None:
        digest = await store.write(lambda tx: line.dev.push_image(tx, "one", "1.0"))
        await store.write(lambda tx: promote(tx, line.move()))
        with pytest.raises(PointerReserved):
            await store.write(later(delete_tag, line.uat.deletion(), CURRENT))
        await store.write(later(delete_tag, line.uat.deletion(), Tag("1.0")))
        with pytest.raises(ManifestNeeded, match="holds now"):
            await store.write(later(delete_manifest, line.uat.deletion(), digest))
        await store.write(later(delete_manifest, line.dev.deletion(), digest))
        for name, before in ((Tag("live"), "current"), (None, "live"), (CURRENT, "live")):
            await store.write(later(name_pointer, name))
            assert await store.write(lambda tx, old=before: held(tx, line.uat, old)) is None  # type: ignore[misc]
            if name is not None:
                assert await store.write(lambda tx, new=name: held(tx, line.uat, new)) == digest  # type: ignore[misc]

    async def test_what_the_blobs_of_a_promoted_image_need_is_kept_when_the_source_forgets_it(
        self, store: Store, line: Line, clock: HandClock
    ) -> None:
        digest = await store.write(lambda tx: line.dev.push_image(tx, "one", "1.0"))
        await store.write(lambda tx: promote(tx, line.move()))
        await store.write(later(delete_manifest, line.dev.deletion(), digest))
        clock.advance(10 * DAY)
        blob = await store.lookups.blob((line.uat.repository.id,), IMAGE, Digest.of(b'{"text": "one"}'))
        assert blob is not None
        assert await store.write(lambda tx: tx.reclaims.wanted(blob[1].id)) == 0

    async def test_whoever_is_told_may_add_manifests_in_the_same_transaction(self, store: Store, line: Line) -> None:
        await store.write(lambda tx: line.dev.push_image(tx, "one", "1.0"))
        added: list[Digest] = []

        def add(tx: Tx, done: Done) -> None:
            line.uat.land(tx, b"record")
            subject = tx.manifests.stored(done.manifest).body
            added.append(line.uat.push(tx, manifest(b"record", subject=subject, artifact_type="text/record")).digest)
            assert (done.row.state, [one.id for one in done.members]) == (DONE, [done.manifest])

        row = await store.write(lambda tx: promote(tx, replace(line.move(), on_done=add)))
        found = await store.lookups.referrers((line.uat.repository.id,), IMAGE, row.digest, "text/record", 0, 10)
        assert [one.digest for one in found] == added

    async def test_more_than_is_allowed_does_not_go_along(
        self, store: Store, line: Line, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pierhead.domain.limits.PROMOTION_MANIFESTS_MAX", 5)
        await store.write(lambda tx: push_whole(tx, line.dev, "1.0"))
        with pytest.raises(PromotionTooLarge):
            await store.write(lambda tx: promote(tx, line.move()))

    async def test_an_age_counts_from_when_it_came_there(self, store: Store, line: Line, clock: HandClock) -> None:
        await store.write(lambda tx: line.dev.push_image(tx, "one", "1.0"))
        clock.advance(3 * HOUR)
        await store.write(lambda tx: line.dev.push_image(tx, "one", "1.1"))
        found = await store.write(lambda tx: plan(tx, line.move("1.1")))
        arrived = await store.write(lambda tx: tx.graph.arrived(found.found.source, found.found.manifest))
        assert arrived is not None
        assert clock.now() - arrived > 2 * HOUR
