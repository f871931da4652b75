"""Promotions: asked for, planned, listed, approved, rejected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pierhead.actions import decide_promotion as decide
from pierhead.actions.promote import Wanted, plan_promotion, promote
from pierhead.commits.promotion_emptied import Emptying, empty_stage
from pierhead.domain import limits
from pierhead.domain.access import Right, require
from pierhead.domain.digest import Digest
from pierhead.domain.gates import StageBefore
from pierhead.domain.names import ImageName, RepositoryName, Tag, parse_reference
from pierhead.domain.refusals import Denied, QueryInvalid
from pierhead.domain.refusals_accounts import BodyInvalid
from pierhead.domain.refusals_promotion import PromotionUnknown
from pierhead.faces.rest import shapes_promotion as shapes
from pierhead.faces.rest.bodies import Body, body_of
from pierhead.faces.rest.call import Call, cursor_of
from pierhead.faces.rest.shapes import Json, page
from pierhead.ports.metadata.promotions import DONE, EXPIRED, REJECTED, WAITING, Held, PromotionId, PromotionRow, Vote
from pierhead.ports.metadata.reports import Reports
from pierhead.repositories.hosted import Hosted
from pierhead.repositories.table import Entry

STATES: Final = (WAITING, DONE, REJECTED, EXPIRED)


async def ask(call: Call) -> Json:
    """Does it, or has it wait for approvals, or says what it would do. The same again is answered the same."""
    body = await body_of(call.ask)
    body.refuse_others(call.keys)
    await call.desk.directory.fresh()
    image = ImageName.parse(body.text("image"))
    target = _hosted(call, "to", body.text("to"))
    call.ask.note["repository"], call.ask.note["image"] = target.name, image
    if body.flag("empty"):
        return await _emptied(call, body, target, image)
    back = bool(body.flag("back"))
    source = target if back else _source(call, body, target)
    wanted = _wanted(call, body, back)
    pull = require(call.who, Right.PULL, source.name, image)
    put = require(call.who, Right.PROMOTE, target.name, image)
    if body.flag("dry_run"):
        move, found = await plan_promotion(call.parts.store, call.table.rails, pull, put, wanted)
        return shapes.plan(move, found)
    row = await promote(call.parts.store, call.table.rails, pull, put, wanted)
    return await one(call, row.id)


async def _emptied(call: Call, body: Body, target: Entry, image: ImageName) -> Json:
    """The stage holds nothing of the image any more. Gates are about images that come, and not one of them may be gone
    round so: where a stage has gates of its own, an administrator does it."""
    body.refuse_others(("image", "to", "empty", "comment"))
    rails = call.table.rails
    end = rails.end(target.name)
    if rails.train.later(target.name) is None or end.stage is None:
        raise BodyInvalid("to", "names no stage behind the first: only what promotion fills can be emptied")
    require(call.who, Right.PROMOTE, target.name, image)
    if any(not isinstance(gate, StageBefore) for gate in end.stage.gates) and not call.who.holds(Right.ADMINISTER):
        hint = f"{end.stage.name} has gates, and nobody goes round them so: that needs the role `admin`."
        raise Denied(call.who.name, "empty", f"{target.name}/{image}", hint)
    asked = Emptying(end, image, call.who.name, rails.train.pointer, comment_of(body, "comment"), call.circumstances())
    held = await call.parts.store.write(lambda tx: empty_stage(tx, asked))
    return {
        "image": image,
        "to": {"stage": end.stage.name, "repository": target.name},
        "emptied": held is not None,
        "held": shapes.pointer(held),
    }


async def promotions(call: Call) -> Json:
    """Newest first; those alone whose image the account may see at one end."""
    state, image, stage = (call.query.get(name, "") for name in ("state", "image", "to"))
    if state and state not in STATES:
        raise QueryInvalid("state", f"it is one of {', '.join(STATES)}")
    after, limit = call.cursor(), call.limit()
    if after and not (after.isascii() and after.isdigit() and len(after) < 19):
        raise QueryInvalid("cursor", "it is not what `next` of the page before said")
    before = PromotionId(int(after)) if after else None
    shown: list[PromotionRow] = []
    while True:
        rows = await call.parts.store.report(
            lambda reports, before=before: reports.promotions(before, limit + 1, state=state, image=image, stage=stage)  # type: ignore[misc]
        )
        shown += [row for row in rows if sees(call, row)]
        if len(shown) > limit or len(rows) <= limit:
            break
        before = rows[-1].id
    now = call.parts.clock.now()
    items = [shapes.promotion(row, (), now) for row in shown[:limit]]
    return page(items, cursor_of(str(shown[limit - 1].id)) if len(shown) > limit else None)


async def promotion(call: Call) -> Json:
    """One, with its gates and approvals, and what the stage holds now."""
    return await one(call, number_of(call))


async def one(call: Call, number: PromotionId) -> Json:
    """Raises PromotionUnknown, also for one that the account may not see."""
    found, held = await call.parts.store.report(lambda reports: _whole(reports, number))
    if found is None or not sees(call, found[0]):
        raise PromotionUnknown(str(number))
    row, votes = found
    return {**shapes.promotion(row, votes, call.parts.clock.now()), "current": shapes.current(held)}


def _whole(reports: Reports, number: PromotionId) -> tuple[tuple[PromotionRow, Sequence[Vote]] | None, Held | None]:
    """One, and what its stage holds now."""
    found = reports.promotion(number)
    if found is None or not found[0].target_stage:
        return found, None
    row = found[0]
    return found, reports.held(row.target_repository, [row.image]).get(row.image)


def number_of(call: Call) -> PromotionId:
    """Raises PromotionUnknown."""
    text = call.values["promotion"]
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise PromotionUnknown(text)
    return PromotionId(int(text))


def sees(call: Call, row: PromotionRow) -> bool:
    """Whoever may see the image at one end, or promote there."""
    who, image = call.who, row.image
    ends = (row.source_repository, row.target_repository)
    return any(who.may(Right.PULL, name, image) for name in ends) or who.may(Right.PROMOTE, ends[1], image)


# --- what the body says ----------------------------------------------------------------------------------------------


def _wanted(call: Call, body: Body, back: bool) -> Wanted:
    """Raises BodyInvalid, TagInvalid, DigestInvalid, QueryInvalid for an Idempotency-Key that is none."""
    tag, digest = body.text_or_none("tag"), body.text_or_none("digest")
    back_to = body.text_or_none("back_to")
    if back and (tag or digest):
        raise BodyInvalid("back", "goes with `back_to`, which takes a tag or a digest, and not with `tag` or `digest`")
    if back_to is not None and not back:
        raise BodyInvalid("back_to", "goes with `back`: true")
    if not back and not tag and not digest:
        raise BodyInvalid("tag", "is missing: say a tag, a digest, or both")
    return Wanted(
        tag=None if tag is None else Tag.parse(tag),
        digest=None if digest is None else Digest.parse(digest),
        tags=_tags(body),
        back=back,
        back_to=None if back_to is None else parse_reference(back_to),
        follow=bool(body.flag("follow_referrers")),
        comment=comment_of(body, "comment"),
        key=_key(call),
        circumstances=call.circumstances(),
    )


def comment_of(body: Body, key: str) -> str:
    """Text for people, on one line or several. Raises BodyInvalid."""
    text = body.text_or_none(key) or ""
    if len(text) > limits.PROMOTION_COMMENT_CHARACTERS_MAX:
        raise BodyInvalid(key, f"has more than {limits.PROMOTION_COMMENT_CHARACTERS_MAX} characters")
    return text.encode("utf-8", "replace").decode()


def _tags(body: Body) -> tuple[Tag, ...] | None:
    if "as" not in body:
        return None
    found = body.texts("as")
    if not 1 <= len(found) <= limits.TAGS_PER_PUSH_MAX:
        raise BodyInvalid("as", f"has to be a list of 1 to {limits.TAGS_PER_PUSH_MAX} tags")
    tags = tuple(dict.fromkeys(Tag.parse(text) for text in found))
    if any(tag.is_fallback for tag in tags):
        raise BodyInvalid("as", "names a tag under which clients keep signatures; those go along by themselves")
    return tags


def _key(call: Call) -> str:
    """What the client sends with a request that it may send again (draft-ietf-httpapi-idempotency-key-header)."""
    key = call.ask.get("Idempotency-Key") or ""
    if len(key) > limits.IDEMPOTENCY_KEY_CHARACTERS_MAX or not key.isascii() or (key and not key.isprintable()):
        most = limits.IDEMPOTENCY_KEY_CHARACTERS_MAX
        raise BodyInvalid("Idempotency-Key", f"has to be up to {most} characters of ASCII, such as a UUID")
    return key


# --- the ends --------------------------------------------------------------------------------------------------------


def _source(call: Call, body: Body, target: Entry) -> Entry:
    """The stage before, unless it is said. Raises BodyInvalid."""
    said = body.text_or_none("from")
    train = call.table.rails.train
    if said is None:
        stage = train.named(target.name)
        before = None if stage is None else train.before(stage)
        if before is None:
            what = "is the first stage" if stage is not None else "is no stage"
            raise BodyInvalid("from", f"has to be said: {target.name} {what}, so nothing stands before it")
        said = before.repository
    source = _hosted(call, "from", said)
    if source.name == target.name:
        raise BodyInvalid("from", f"is {target.name} itself. To go back to an earlier image there, send `back`: true")
    return source


def _hosted(call: Call, key: str, said: str) -> Entry:
    """A stage by its name, or a repository. Raises BodyInvalid, also for one of which the account may see nothing."""
    stages = call.table.rails.train.stages
    stage = next((one for one in stages if one.name == said), None)
    name = RepositoryName.parse(said) if stage is None else stage.repository
    known = [entry.name for entry in call.table.entries.values() if entry.kind == "hosted" and _concerns(call, entry)]
    if name not in call.table.entries or not _concerns(call, call.table.entry(name)):
        told = ", ".join([one.name for one in stages if one.repository in known] or known) or "none that you may see"
        raise BodyInvalid(key, f"names no {'stage and no ' if stages else ''}repository of this server. Known: {told}")
    entry = call.table.entry(name)
    if not isinstance(entry.repository, Hosted):
        raise BodyInvalid(key, f"is a {entry.kind}, and promotion goes between hosted repositories")
    return entry


def _concerns(call: Call, entry: Entry) -> bool:
    return call.reads(entry) or call.who.may_somewhere(Right.PROMOTE, entry.name)


# --- of one that waits -----------------------------------------------------------------------------------------------


async def approve(call: Call) -> Json:
    """Agrees. The last approval that was missing does it, in the same transaction."""
    row, body = await _waiting(call)
    await call.desk.directory.fresh()
    put = require(call.who, Right.PROMOTE, row.target_repository, row.image)
    comment = comment_of(body, "comment")
    await decide.approve(call.parts.store, call.table.rails, row, put, comment, call.circumstances())
    return await one(call, row.id)


async def reject(call: Call) -> Json:
    """Ends it; also by who asked."""
    row, body = await _waiting(call)
    put = require(call.who, Right.PROMOTE, row.target_repository, row.image)
    await decide.reject(call.parts.store, row, put, comment_of(body, "reason"), call.circumstances())
    return await one(call, row.id)


async def _waiting(call: Call) -> tuple[PromotionRow, Body]:
    """Raises PromotionUnknown. A request without a body says nothing more."""
    number = number_of(call)
    found = await call.parts.store.report(lambda reports: reports.promotion(number))
    if found is None or not sees(call, found[0]):
        raise PromotionUnknown(str(number))
    body = await body_of(call.ask) if call.ask.get("Content-Type") is not None else Body({})
    body.refuse_others(call.keys)
    return found[0], body
