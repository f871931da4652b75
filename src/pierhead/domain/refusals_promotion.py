"""Refusals of promotions; see ``domain/refusals.py``.

Three of them are about gates, since what answers them differs: who may not is 403, what is missing on the image is 422,
everything else 409. Each lists every gate that is shut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pierhead.domain.refusals import Refusal, shown


def _shut(what: str, where: str, shut: Sequence[str]) -> str:
    many = "a gate is shut" if len(shut) == 1 else f"{len(shut)} gates are shut"
    listed = " ".join(f"({number}) {one}" for number, one in enumerate(shut, 1))
    return f"{shown(what)} does not go to {where}: {many}. {listed}"


class PromotionForbidden(Refusal):
    """One of the gates that are shut is who may. ``shut`` are sentences, one a gate."""

    told = True

    def __init__(self, what: str, where: str, shut: Sequence[str], **detail: object) -> None:
        super().__init__(_shut(what, where, shut), to=where, shut=list(shut), **detail)


class PromotionUnproven(Refusal):
    """A signature or something else that has to be attached is missing."""

    told = True

    def __init__(self, what: str, where: str, shut: Sequence[str], **detail: object) -> None:
        super().__init__(_shut(what, where, shut), to=where, shut=list(shut), **detail)


class PromotionGatesShut(Refusal):
    told = True

    def __init__(self, what: str, where: str, shut: Sequence[str], **detail: object) -> None:
        super().__init__(_shut(what, where, shut), to=where, shut=list(shut), **detail)


class PromotionIncomplete(Refusal):
    """The image cannot be pulled whole where it is."""

    told = True

    def __init__(self, image: str, digest: str, repository: str, missing: Sequence[str], where: str) -> None:
        named = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        super().__init__(
            f"{image}@{digest} is not whole in {repository}: {named}. Push the image there again, then promote it.",
            digest=digest,
            to=where,
            missing=list(missing),
        )


class PromotionTooLarge(Refusal):
    told = True

    def __init__(self, image: str, digest: str, limit: int, where: str) -> None:
        super().__init__(
            f"More than {limit} manifests hang on {image}@{digest}, which is all that go along at once. "
            "Delete signatures and reports that are not needed any more.",
            digest=digest,
            to=where,
            limit=limit,
        )


class BuildCachePromoted(Refusal):
    """``whose`` is the builder's name, empty where only the tag tells."""

    def __init__(self, image: str, reference: str, whose: str) -> None:
        joint = "@" if ":" in reference else ":"
        by = f" of {shown(whose)}" if whose else ""
        super().__init__(
            f"{image}{joint}{shown(reference)} is a build cache{by}, which no stage takes. Promote the image that was "
            "built with it.",
            image=image,
            reference=shown(reference),
        )


class PromotionTagMoved(Refusal):
    """The tag was named with a digest, and is another one by now."""

    def __init__(self, repository: str, image: str, tag: str, found: str, asked: str) -> None:
        super().__init__(
            f"{image}:{tag} in {repository} is {found} by now, not {asked}. Look at what changed, and ask again with "
            "the digest that you mean.",
            found=found,
            asked=asked,
        )


class PromotionTagTaken(Refusal):
    """Something else has the tag where it is to go, and tags are written once there."""

    def __init__(self, repository: str, image: str, tag: str, held: str, asked: str, since: str, by: str) -> None:
        super().__init__(
            f"{image}:{tag} in {repository} is {held} since {since} ({by}) and is written once, so it does not become "
            f"{asked}. Promote it under a new version, with --as.",
            repository=repository,
            image=image,
            tag=tag,
            held=held,
            asked=asked,
        )


class PromotionUnknown(Refusal):
    def __init__(self, number: str) -> None:
        super().__init__(f"There is no promotion {shown(number)} here.", promotion=shown(number))


class PromotionOver(Refusal):
    def __init__(self, number: int, state: str) -> None:
        super().__init__(
            f"Promotion {number} waits for nobody any more: it is {state}. Ask for a new one if it is still wanted.",
            promotion=number,
            state=state,
        )


class OwnPromotion(Refusal):
    def __init__(self, number: int, account: str) -> None:
        super().__init__(
            f"{account} asked for promotion {number}, so another person must approve it.", promotion=number
        )


class NothingBefore(Refusal):
    def __init__(self, image: str, stage: str, what: str) -> None:
        told = (
            f"{stage} never held {shown(what)} of {image}" if what else f"{stage} held nothing else of {image} before"
        )
        super().__init__(f"{told}, so there is nothing to go back to. `pierhead promotions` shows what was there.")


class PointerReserved(Refusal):
    def __init__(self, repository: str, image: str, tag: str, stage: str) -> None:
        super().__init__(
            f"{image}:{tag} is what {stage} holds now, and is set by promotions alone. Use another tag; to go back: "
            f"`pierhead promote {image} --to {stage} --back`.",
            repository=repository,
            image=image,
            tag=tag,
        )


class IdempotencyKeyTaken(Refusal):
    def __init__(self, key: str) -> None:
        super().__init__(
            f"The Idempotency-Key `{shown(key)}` was sent with another request before. Send a new one.", key=shown(key)
        )


RECORDED: Final = (
    PromotionForbidden,
    PromotionUnproven,
    PromotionGatesShut,
    PromotionIncomplete,
    PromotionTooLarge,
)
"""Those that are an event of their own."""
