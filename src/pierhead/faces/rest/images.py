"""Images and tags: lists, one image whole, history, deletion."""

from __future__ import annotations

from pierhead.actions.delete_content import delete_reference
from pierhead.actions.inspect_image import inspect_image
from pierhead.actions.list_images import list_images
from pierhead.actions.list_kept_tags import list_kept_tags, tag_history
from pierhead.domain.names import ImageName, Reference, Tag
from pierhead.domain.refusals import ImageUnknown, ManifestUnknown
from pierhead.faces.rest import shapes
from pierhead.faces.rest.call import Call, cursor_of
from pierhead.faces.rest.shapes import Json
from pierhead.repositories.table import Entry


async def images(call: Call) -> Json:
    """What is kept; no upstream is asked."""
    entry = call.entry()
    found, following = await list_images(
        call.parts.store, call.table.leaves(entry, call.who), call.who, call.prefix(), call.cursor(), call.limit()
    )
    return shapes.page([shapes.image(one, entry.name) for one in found], cursor_of(following))


async def tags(call: Call) -> Json:
    """Of a group, each tag as the member has it that answers for it."""
    entry, image = call.entry(), call.image()
    prefix, after = call.prefix(), call.cursor()
    keeping = call.table.keeping(entry, call.who, image)
    found, following = await list_kept_tags(call.parts.store, keeping, prefix, after, call.limit())
    if not found and not after and not await _known(call, entry, image):
        raise ImageUnknown(image, entry.name)
    return shapes.page([shapes.tag(one, call.table.tags.class_of(one.row.name)) for one in found], cursor_of(following))


async def by_tag(call: Call) -> Json:
    """One image whole."""
    return await _inspect(call, call.tag())


async def by_digest(call: Call) -> Json:
    """The same for a digest, tagged or not."""
    return await _inspect(call, call.digest())


async def history(call: Call) -> Json:
    """What a tag stood for, newest first."""
    entry, image, tag = call.entry(), call.image(), call.tag()
    keeping = call.table.keeping(entry, call.who, image)
    found = await tag_history(call.parts.store, keeping, tag, call.limit())
    if found is None:
        raise ManifestUnknown(image, tag, entry.name)
    return shapes.page([shapes.interval(one, found[0]) for one in found[1]])


async def delete_tag(call: Call) -> Json:
    """The tag alone; its manifest stays."""
    return await _delete(call, call.tag())


async def delete_manifest(call: Call) -> Json:
    """The manifest, with the tags that point at it."""
    return await _delete(call, call.digest())


async def _inspect(call: Call, reference: Reference) -> Json:
    entry, image = call.entry(), call.image()
    found = await inspect_image(call.parts, call.table.keeping(entry, call.who, image), reference)
    if found is None:
        raise ManifestUnknown(image, reference, entry.name)
    call.ask.note["member"] = found.member
    return shapes.inspection(found, entry.name, image, reference if isinstance(reference, Tag) else None)


async def _known(call: Call, entry: Entry, image: ImageName) -> bool:
    """Whether anything is kept under the name, tagged or not."""
    for member, name in call.table.keeping(entry, call.who, image).items():
        rows = await call.parts.store.report(lambda reports, m=member, n=name: reports.images(m, n, "", 1))  # type: ignore[misc]
        if any(row.name == name for row in rows):
            return True
    return False


async def _delete(call: Call, reference: Reference) -> Json:
    hosted, grant = call.for_deletion()
    await delete_reference(hosted, grant, reference, call.circumstances())
    tagged = isinstance(reference, Tag)
    return {
        "repository": hosted.name,
        "image": grant.image,
        "tag": reference if tagged else None,
        "digest": None if tagged else reference,
        "deleted": True,
    }
