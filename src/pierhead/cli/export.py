"""``pierhead export``: an image whole, in one file."""

from __future__ import annotations

from pathlib import Path

import click

from pierhead.cli.carry import layout, tar_writing
from pierhead.cli.carry.cargo import Cargo, Remote, parsed_of, present
from pierhead.cli.carry.place import parsed
from pierhead.cli.carry.registry import Body, Registry
from pierhead.cli.client import Fault, Json
from pierhead.cli.tables import counted, human_size
from pierhead.cli.talk import Named, Talk, named, talking
from pierhead.domain.manifest import Index
from pierhead.domain.names import Tag

_FORMS = ("table", "json")


@click.command()
@click.argument("reference")
@click.option("-o", "--output", "outputs", multiple=True, metavar="FILE",
              help="The file to write; `-o json` beside it prints JSON for programs.")  # fmt: skip
@click.option("--repository", help="Where; without it the first group, or what REFERENCE begins with.")
@click.option("--no-referrers", is_flag=True, help="Leave out signatures, SBOMs and whatever else refers to it.")
@talking
def export(talk: Talk, reference: str, outputs: tuple[str, ...], repository: str | None, no_referrers: bool) -> None:
    """Write REFERENCE, [REPOSITORY/]IMAGE[:TAG|@DIGEST], into FILE; `latest` without a tag.

    FILE is an OCI image layout in a tar file: all platforms, and all that refers to them. Broken off, the same command
    goes on where it stopped. `pierhead import` and skopeo read it.
    """
    files = [one for one in outputs if one not in _FORMS]
    talk = Talk(talk.client, "json" in outputs, talk.color)
    if len(files) != 1:
        raise Fault(f"Say one file to write, as in: pierhead export {reference} -o image.tar")
    where = named(talk, reference, repository)
    image, wanted = parsed(where)
    source = Remote(Registry(talk.client), f"{where.repository}/{image}")
    root = source.registry.manifest(source.name, wanted)
    if root is None:
        raise Fault(f"{where} is not there. `pierhead tags {where.repository}/{image}` lists what is.")
    tag = wanted if isinstance(wanted, Tag) else None
    cargo = source.gather(root.digest, root.media_type, tag, referrers=not no_referrers)
    present(cargo, lambda digest: source.blob_size(digest) is not None)
    index = layout.index_of(cargo, root.digest, image, source.registry.host, where.repository)
    path = Path(files[0])
    written = tar_writing.write(path, tar_writing.parts_of(cargo, index, source), "export")
    told = _told(path, where, root, cargo, written)
    if talk.as_json:
        talk.print_json(told)
        return
    _say(told)


def _told(path: Path, where: Named, root: Body, cargo: Cargo, written: tar_writing.Written) -> Json:
    found = parsed_of(root)
    platforms = [str(one.platform) for one in found.children if one.platform] if isinstance(found, Index) else []
    companions = {digest for tag, digest in cargo.tags.items() if tag.is_fallback}
    return {
        "file": str(path),
        "repository": where.repository,
        "image": where.image,
        "reference": where.reference or "latest",
        "digest": root.digest,
        "platforms": platforms,
        "manifests": len(cargo.items),
        "referrers": sum(1 for one in cargo.items if one.subject is not None or one.digest in companions),
        "blobs": len(cargo.blobs),
        "bytes": written.bytes,
        "bytes_resumed": written.resumed_bytes,
    }


def _say(told: Json) -> None:
    resumed = f", {human_size(told['bytes_resumed'])} of it from the last time" if told["bytes_resumed"] else ""
    print(f"{told['file']}  {human_size(told['bytes'])}{resumed}")
    print(f"  image    {told['repository']}/{told['image']} {told['reference']}")
    print(f"  digest   {told['digest']}")
    if told["platforms"]:
        print(f"  for      {', '.join(told['platforms'])}")
    print(f"  content  {counted(told['manifests'], 'manifest')}, {told['referrers']} of them signatures and the like; "
          f"{counted(told['blobs'], 'blob')}")  # fmt: skip
