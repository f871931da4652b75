"""The tag under which what a stage holds can be pulled: it is a tag as any other, so that a pull of it, and of every
other, costs what a pull of a tag costs."""

from __future__ import annotations

from typing import Final

from pierhead.commits.audit import PROGRAM, record
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.refusals_promotion import PointerReserved
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import ImageId

POINTER_NOTE: Final = "promotion.pointer"


def refuse_pointer(tx: Tx, image: ImageId, repository: RepositoryName, name: ImageName, tag: Tag) -> None:
    """Nobody but a promotion changes what a stage holds, or held before it was emptied. Raises PointerReserved."""
    if tag != tx.notes.get(POINTER_NOTE):
        return
    if tx.pointers.now(image) is not None or tx.pointers.before(image, None) is not None:
        raise PointerReserved(repository, name, tag, repository)


def name_pointer(tx: Tx, name: Tag | None) -> None:
    """The configuration calls it ``name`` from now on; None for nothing. Every stage's tag of the old name goes, and
    one of the new name comes, unless it was pushed as a tag that is written once."""
    before, now = tx.notes.get(POINTER_NOTE) or "", name or ""
    if before == now:
        return
    tx.notes.put(POINTER_NOTE, now)
    held = tx.pointers.open()
    if not held:
        return
    event = record(tx, "pointer renamed", PROGRAM, {"from": before, "to": now}, {})
    for image, manifest in held:
        if before and tx.tags.spent(image, Tag(before)) is None:
            tx.tags.close(image, Tag(before), event, spend=False)
        if name is not None and tx.tags.spent(image, name) is None:
            tx.tags.move(image, name, manifest, event)
