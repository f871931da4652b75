"""What differs between two images, or between what two stages hold."""

from __future__ import annotations

from pierhead.actions.compare_images import Compared, Difference, NotThere, Side, compare_images
from pierhead.actions.show_board import Wanted, show_board
from pierhead.domain.access import Right
from pierhead.domain.board import BoardStage
from pierhead.domain.image_diff import Change, Layer, PackageChange
from pierhead.domain.lookup import split_path
from pierhead.domain.names import ImageName, parse_reference
from pierhead.domain.refusals import ManifestUnknown, NameInvalid, QueryInvalid
from pierhead.domain.refusals_running import StageEmpty
from pierhead.faces.rest.board import seen
from pierhead.faces.rest.call import Call
from pierhead.faces.rest.shapes import Json

_PLATFORM_CHARACTERS_MAX = 100


async def images(call: Call) -> Json:
    """Two images by their full names."""
    before, after = (_side(call, name) for name in ("from", "to"))
    return await _answer(call, before, after)


async def stages(call: Call) -> Json:
    """What two stages of a service hold now."""
    service = _given(call, "service")
    before, after = (_stage(call, name) for name in ("from", "to"))
    known = {one.name: one.image for one in call.server.plan.services}
    try:
        image = known[service] if service in known else ImageName.parse(service)
    except NameInvalid:
        raise QueryInvalid("service", "it is the name of a service or of an image") from None
    rows, _ = await show_board(call.parts, call.server.plan, call.server.facts, call.who, Wanted((service,)), "", 1)
    held = {cell.stage: cell.holds for row in rows for cell in row.cells}
    sides = []
    for stage in (before, after):
        holds = held.get(stage.name)
        if holds is None or not call.who.may(Right.PULL, stage.repository, image):
            raise StageEmpty(service, stage.name)
        sides.append(Side({stage.repository: image}, holds.tag or holds.digest))
    return {"service": service, **await _answer(call, *sides)}


def _given(call: Call, name: str) -> str:
    text = call.query.get(name, "")
    if not text:
        raise QueryInvalid(name, "it has to be given")
    return text


def _stage(call: Call, name: str) -> BoardStage:
    text, plan = _given(call, name), call.server.plan
    found = next((one for one in plan.stages if one.name == text), None)
    if found is None:
        raise QueryInvalid(name, f"the stages are {', '.join(one.name for one in plan.stages)}")
    return found


def _side(call: Call, name: str) -> Side:
    """Raises NameInvalid, RepositoryUnknown (also for one of which the account may see nothing), TagInvalid, …"""
    full, at, digest = _given(call, name).partition("@")
    path, tag = full, "latest"
    if ":" in full.rpartition("/")[2]:
        path, _, tag = full.rpartition(":")
    known = [entry.name for entry in call.table.entries.values() if call.reads(entry)]
    repository, image = split_path(path, known)
    reference = parse_reference(digest if at else tag)
    return Side(call.table.keeping(call.table.entry(repository), call.who, image), reference)


async def _answer(call: Call, before: Side, after: Side) -> Json:
    platform = call.query.get("platform", "")
    if len(platform) > _PLATFORM_CHARACTERS_MAX or not platform.isprintable():
        raise QueryInvalid("platform", "it is written like linux/amd64")
    try:
        found = await compare_images(call.parts, before, after, platform)
    except NotThere as missing:
        name = "from" if missing.side is before else "to"
        path = call.query.get(name, "").partition("@")[0]
        where, _, image = path.partition("/")
        raise ManifestUnknown(ImageName(image.partition(":")[0]), missing.side.reference, where) from None
    return _difference(found)


def _difference(found: Difference) -> Json:
    old, new = found.before, found.after
    packages = found.packages
    return {
        "from": _compared(old),
        "to": _compared(new),
        "equal": old.root == new.root,
        "same_image": old.image == new.image,
        "commits": {
            "from": old.seen.commit or old.facts.revision or None,
            "to": new.seen.commit or new.facts.revision or None,
            "compare": found.link,
        },
        "size": {"from": old.size, "to": new.size},
        "platforms": {
            "added": [one for one in new.platforms if one not in old.platforms],
            "removed": [one for one in old.platforms if one not in new.platforms],
            "shared": [one for one in new.platforms if one in old.platforms],
        },
        "layers": None
        if found.layers is None
        else {
            "shared": [_layer(one) for one in found.layers.shared],
            "added": [_layer(one) for one in found.layers.added],
            "removed": [_layer(one) for one in found.layers.removed],
            "shared_bytes": sum(one.size for one in found.layers.shared),
            "added_bytes": sum(one.size for one in found.layers.added),
            "removed_bytes": sum(one.size for one in found.layers.removed),
        },
        "config": None
        if found.env is None or found.labels is None or found.settings is None
        else {
            "env": [_change(one) for one in found.env],
            "labels": [_change(one) for one in found.labels],
            "settings": [_change(one) for one in found.settings],
        },
        "packages": None if packages is None else [_package(one) for one in packages],
    }


def _compared(one: Compared) -> Json:
    return {
        "repository": one.member,
        "image": one.image,
        "tag": one.tag,
        "digest": one.root,
        "platform": one.platform or None,
        "manifest": one.manifest,
        "size": one.size,
        "built_by": seen(one.seen),
        "sbom": one.packages is not None,
        "packages": None if one.packages is None else len(one.packages),
    }


def _layer(one: Layer) -> Json:
    return {"digest": one.digest, "size": one.size, "step": one.step or None}


def _change(one: Change) -> Json:
    how = "added" if one.before is None else "removed" if one.after is None else "changed"
    shown = (None, None) if one.masked else (one.before, one.after)
    return {"name": one.name, "change": how, "from": shown[0], "to": shown[1], "masked": one.masked}


def _package(one: PackageChange) -> Json:
    how = "added" if not one.before else "removed" if not one.after else "changed"
    return {"name": one.name, "change": how, "from": list(one.before), "to": list(one.after)}
