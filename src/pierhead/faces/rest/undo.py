"""What tags were, and undo: back to an earlier digest, back from deletion, or gone for good."""

from __future__ import annotations

from pierhead.actions.undo import bring_back, give_up, roll_back_tag
from pierhead.commits.restoring import Undone
from pierhead.domain.access import Grant, require_tags
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Reference, Tag
from pierhead.domain.refusals import QueryInvalid
from pierhead.domain.refusals_accounts import BodyInvalid
from pierhead.faces.rest import shapes
from pierhead.faces.rest.bodies import Body, body_of
from pierhead.faces.rest.call import Call, cursor_of
from pierhead.faces.rest.shapes import Json
from pierhead.ports.metadata.trash import Deleted
from pierhead.repositories.hosted import Hosted

_STEPS_MAX = 1000


async def rollback(call: Call) -> Json:
    """The tag back to where it pointed; compare and set against what the caller saw."""
    hosted, grant, tag = _for_tag(call)
    body = await _body(call)
    to, seen = body.text_or_none("to"), body.text_or_none("seen")
    steps = body.whole("steps", 1)
    if steps is None or not 1 <= steps <= _STEPS_MAX:
        raise BodyInvalid("steps", f"has to be a whole number from 1 to {_STEPS_MAX}")
    if to is not None and "steps" in body:
        raise BodyInvalid("steps", "stands beside `to`: say one of them")
    done = await roll_back_tag(hosted, grant, tag, _digest(to), steps, _digest(seen), call.circumstances())
    return _done(done, hosted, grant, tag)


async def restore_tag(call: Call) -> Json:
    """A deleted tag is there again."""
    hosted, grant, tag = _for_tag(call)
    body = await _body(call)
    done = await bring_back(hosted, grant, tag, _digest(body.text_or_none("digest")), call.circumstances())
    return _done(done, hosted, grant, tag)


async def restore_manifest(call: Call) -> Json:
    """A deleted image is there again, with its tags."""
    digest = call.digest()
    hosted, grant = call.for_push(digest)
    (await _body(call)).refuse_others(call.keys)
    done = await bring_back(hosted, grant, digest, None, call.circumstances())
    return _done(done, hosted, grant, None)


async def purge(call: Call) -> Json:
    """A deleted image is gone for good."""
    digest = call.digest()
    hosted, grant = call.for_deletion()
    await give_up(hosted, grant, digest, call.circumstances())
    return {"repository": hosted.name, "image": grant.image, "digest": digest, "purged": True}


async def deleted(call: Call) -> Json:
    """What can be brought back, of a whole repository."""
    return await _deleted(call, None)


async def deleted_of_image(call: Call) -> Json:
    """The same, of one image."""
    return await _deleted(call, call.image())


async def _deleted(call: Call, image: ImageName | None) -> Json:
    entry = call.entry()
    limit, behind = call.limit(), _behind(call.cursor())
    parts, who = call.parts, call.who
    since = parts.clock.now() - parts.keep_deleted
    found = await parts.store.report(lambda reports: reports.deleted(entry.name, image, since, behind, limit + 1))
    shown = [_deleted_shape(one, parts.keep_deleted) for one in found[:limit] if entry.shows(who, one.image)]
    last = found[limit - 1] if len(found) > limit else None
    return shapes.page(shown, cursor_of(None if last is None else f"{last.at} {last.image} {last.tag or ''}"))


def _behind(cursor: str) -> tuple[int, str, str] | None:
    if not cursor:
        return None
    at, _, rest = cursor.partition(" ")
    image, found, tag = rest.partition(" ")
    if not found or not at.isdigit() or len(at) > 18:
        raise QueryInvalid("cursor", "it is not what `next` of the page before said")
    return int(at), image, tag


def _deleted_shape(found: Deleted, keep: int) -> Json:
    return {
        "repository": found.repository,
        "image": found.image,
        "tag": found.tag,
        "digest": found.digest,
        "size": found.size,
        "deleted": shapes.instant(found.at),
        "until": shapes.instant(found.at + keep),
        "how": found.kind or None,
        "by": found.account or None,
        "rule": found.rule or None,
        "now": found.now,
    }


def _for_tag(call: Call) -> tuple[Hosted, Grant, Tag]:
    """Raises TagInvalid, WrongPort, StageFilledByPromotion, Denied, TagDenied."""
    tag = call.tag()
    hosted, grant = call.for_push(tag)
    require_tags(grant, [tag])
    return hosted, grant, tag


async def _body(call: Call) -> Body:
    """A request without one says nothing."""
    body = Body({}) if call.ask.length == 0 else await body_of(call.ask)
    body.refuse_others(call.keys)
    return body


def _digest(text: str | None) -> Digest | None:
    """Raises DigestInvalid, DigestUnsupported."""
    return None if text is None else Digest.parse(text)


def _done(done: Undone, hosted: Hosted, grant: Grant, reference: Reference | None) -> Json:
    return {
        "repository": hosted.name,
        "image": grant.image,
        "tag": reference,
        "digest": done.digest,
        "tags": list(done.tags),
        "before": done.before,
        "changed": done.changed,
    }
