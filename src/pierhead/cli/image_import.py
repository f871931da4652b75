"""``pierhead import``: an archive into a repository."""

from __future__ import annotations

import os
from dataclasses import dataclass

import click

from pierhead.cli.carry.archive import Archive
from pierhead.cli.carry.cargo import Cargo, present
from pierhead.cli.carry.layout import Root, split
from pierhead.cli.carry.registry import Registry
from pierhead.cli.carry.sending import Sending
from pierhead.cli.carry.sessions import Sessions
from pierhead.cli.carry.taken import refuse_taken
from pierhead.cli.client import Fault, Json
from pierhead.cli.tables import counted, human_size
from pierhead.cli.talk import Talk, talks
from pierhead.domain.names import ImageName, Tag


@dataclass(frozen=True, slots=True)
class Group:
    """One image of an archive: its entries, and the tags that they get."""

    image: ImageName
    roots: list[Root]
    tags: dict[Tag, Root]


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--to", "repository", metavar="REPOSITORY", help="Where to; without it, the only hosted repository.")
@click.option("--as", "name", metavar="NAME[:TAG]", help="What it is called there; without it, as the archive says.")
@talks
def import_(talk: Talk, file: str, repository: str | None, name: str | None) -> None:
    """Push all images of FILE, an OCI image layout in a tar file, with their digests as they are.

    Reads what `pierhead export`, `skopeo copy … oci-archive:FILE`, buildkit and `docker save` of Docker 25 or newer
    write. Signatures and SBOMs in it come along. What the server has already is not sent. Broken off, the same command
    goes on where it stopped. Tags are set at the very end.
    """
    with open(file, "rb") as opened:
        archive = Archive(opened, file)
        groups = _groups(archive.roots, name, file)
        target = repository or _only_hosted(talk)
        registry = Registry(talk.client)
        work = [(group, _cargo(archive, group)) for group in groups]
        for group, cargo in work:
            another = f"--as {group.image}:TAG"
            refuse_taken(talk.client, registry, target, group.image, cargo.tags, another)
            present(cargo, lambda digest: archive.blob_size(digest) is not None)
        told = [_carry(registry, archive, target, group, cargo) for group, cargo in work]
    if talk.as_json:
        talk.print_json({"items": told, "next": None})
        return
    for one in told:
        _say(one)


def _cargo(archive: Archive, group: Group) -> Cargo:
    cargo = archive.cargo(group.roots)
    cargo.tags = {tag: root.digest for tag, root in group.tags.items()}
    return cargo


def _carry(registry: Registry, archive: Archive, target: str, group: Group, cargo: Cargo) -> Json:
    name = f"{target}/{group.image}"
    sending = Sending(registry, name, archive, Sessions(os.environ))
    sending.carry(cargo, "import")
    sent = sending.sent
    return {
        "repository": target,
        "image": group.image,
        "tags": sorted(tag for tag in group.tags if not tag.is_fallback),
        "digests": sorted({root.digest for root in group.roots if not root.attached}),
        "manifests": len(cargo.items),
        "referrers": sum(1 for item in cargo.items if item.subject is not None or _is_companion(item.digest, group)),
        "blobs_sent": sent.blobs,
        "blobs_mounted": sent.mounted,
        "blobs_there": sent.there,
        "bytes_sent": sent.bytes,
        "bytes_resumed": sent.resumed_bytes,
    }


def _is_companion(digest: str, group: Group) -> bool:
    return any(tag.is_fallback and root.digest == digest for tag, root in group.tags.items())


def _say(told: Json) -> None:
    tags = "".join(f":{tag}" for tag in told["tags"][:1]) or f"@{told['digests'][0]}"
    more = "".join(f", :{tag}" for tag in told["tags"][1:])
    print(f"{told['repository']}/{told['image']}{tags}{more}")
    for digest in told["digests"]:
        print(f"  digest   {digest}")
    words = [f"{human_size(told['bytes_sent'])} sent in {counted(told['blobs_sent'], 'blob')}"]
    if told["bytes_resumed"]:
        words.append(f"{human_size(told['bytes_resumed'])} were there from the last time")
    if told["blobs_there"] or told["blobs_mounted"]:
        words.append(f"{told['blobs_there'] + told['blobs_mounted']} blobs were on the server")
    print(f"  content  {counted(told['manifests'], 'manifest')}, {told['referrers']} of them signatures and the like")
    print(f"  moved    {', '.join(words)}")
    if not told["tags"]:
        print("  no tag: the archive names none; say one with --as NAME:TAG, or pull it by its digest")


# --- what it is called --------------------------------------------------------------------------------------------


def _groups(roots: list[Root], name: str | None, where: str) -> list[Group]:
    """Entries by image. What has no name of its own goes with the only image that there is. Raises Fault."""
    image, tag = (None, None) if name is None else _called(name)
    own = [one for one in roots if not one.attached] or roots
    mains = [one for one in own if one.tag is not None] or own
    if tag is not None and len({one.digest for one in mains}) > 1:
        listed = ", ".join(f"{one.image or ''}:{one.tag}" if one.tag else one.digest for one in mains)
        raise Fault(f"{where} holds several images: {listed}. Say a name without a tag after --as.")
    names = {str(image)} if image else {str(one.image) for one in own if one.image is not None}
    if not names:
        raise Fault(f"{where} does not say what its image is called. Say it: --as NAME:TAG")
    if len(names) > 1 and any(one.image is None for one in roots):
        raise Fault(f"{where} holds several images, and something that says of none that it belongs to it.")
    groups: list[Group] = []
    for each in sorted(names):
        belonging = [one for one in roots if len(names) == 1 or one.image == each]
        tags = {one.tag: one for one in belonging if one.tag is not None}
        if tag is not None:
            tags = {key: one for key, one in tags.items() if key.is_fallback} | {tag: mains[0]}
        groups.append(Group(ImageName.parse(each), belonging, tags))
    return groups


def _called(name: str) -> tuple[ImageName, Tag | None]:
    image, tag = split(name if ":" in name or "/" in name else f"{name}:")
    if image is None or (":" in name and tag is None) or not name.startswith(image):
        example = name.partition(":")[0] if image is not None else "server"
        raise Fault(f"`{name}` is no name of an image: it looks like orchestrator/server:1.0.0, or {example}.")
    return image, tag


def _only_hosted(talk: Talk) -> str:
    hosted = [str(one["name"]) for one in talk.client.items("repositories") if one["kind"] == "hosted"]
    if len(hosted) == 1:
        return hosted[0]
    raise Fault(
        f"Say where it goes with --to: {', '.join(hosted) or 'there is no hosted repository that you may see'}."
    )
