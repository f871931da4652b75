"""An image with all that refers to it, in a server or in an archive, as a command names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from pierhead.cli.carry.archive import Archive
from pierhead.cli.carry.cargo import Cargo, Remote, Source
from pierhead.cli.carry.registry import Registry
from pierhead.cli.client import Fault
from pierhead.cli.talk import Named, Talk, named
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Tag, parse_reference
from pierhead.domain.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Place:
    """``shown`` is how people call it; ``image`` its name within the repository, if it says one."""

    source: Source
    cargo: Cargo
    digest: Digest
    shown: str
    image: str


def open_place(talk: Talk, reference: str, repository: str | None, stack: ExitStack, *, archive: bool) -> Place:
    """Raises Fault. ``stack`` closes what is opened."""
    return _in_archive(reference, stack) if archive else _in_server(talk, reference, repository)


def parsed(where: Named) -> tuple[ImageName, Tag | Digest]:
    """`latest` where nothing else is said. Raises Fault."""
    try:
        return ImageName.parse(where.image), parse_reference(where.reference or "latest")
    except Refusal as refusal:
        raise Fault(refusal.message) from None


def _in_server(talk: Talk, reference: str, repository: str | None) -> Place:
    where = named(talk, reference, repository)
    image, wanted = parsed(where)
    source = Remote(Registry(talk.client), f"{where.repository}/{image}")
    root = source.registry.manifest(source.name, wanted)
    if root is None:
        raise Fault(f"{where} is not there. `pierhead tags {where.repository}/{image}` lists what is.")
    cargo = source.gather(root.digest, root.media_type, None, referrers=True)
    return Place(source, cargo, root.digest, str(where), image)


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    try:
        file = open(path, "rb")  # noqa: SIM115  # only what cannot be opened is our sentence
    except OSError as error:
        raise Fault(f"{path} cannot be read: {error.strerror}.") from error
    with file:
        yield file


def _in_archive(path: str, stack: ExitStack) -> Place:
    source = Archive(stack.enter_context(_opened(path)), path)
    mains = [one for one in source.roots if not one.attached]
    if len({one.digest for one in mains}) != 1:
        raise Fault(f"{path} holds several images, or none: export them into an archive each.")
    cargo = source.cargo(source.roots)
    cargo.tags = {one.tag: one.digest for one in source.roots if one.tag is not None}
    return Place(source, cargo, mains[0].digest, path, mains[0].image or "")
