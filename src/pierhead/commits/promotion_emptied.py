"""A stage lets go of what it holds of an image: for a service that is no more. Tags and bytes stay as they are."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from pierhead.commits.audit import record
from pierhead.commits.promotion_values import End
from pierhead.domain.names import ImageName, Tag
from pierhead.ports.metadata.promotions import PointerRow
from pierhead.ports.metadata.store import Tx


class Emptying(Struct, frozen=True):
    """``pointer`` is the tag under which what a stage holds can be pulled, None for none."""

    target: End
    image: ImageName
    account: str
    pointer: Tag | None
    comment: str = ""
    circumstances: Mapping[str, object] = field(default_factory=dict)


def empty_stage(tx: Tx, asked: Emptying) -> PointerRow | None:
    """What the stage held until now; None if it held nothing, and then nothing is written. A promotion or a roll-back
    fills it again."""
    image = tx.images.find(asked.target.id, asked.image)
    held = None if image is None else tx.pointers.now(image)
    if image is None or held is None:
        return None
    what = {
        "repository": asked.target.name,
        "image": asked.image,
        "to": asked.target.said,
        "digest": held.digest,
        "tags": [held.tag] if held.tag else [],
        "comment": asked.comment,
    }
    event = record(tx, "stage emptied", asked.account, what, asked.circumstances, image)
    tx.pointers.let_go(image)
    if asked.pointer is not None and tx.tags.spent(image, asked.pointer) is None:
        tx.tags.close(image, asked.pointer, event, spend=False)
    return held
