"""Refusals of what is asked of the past of tags: to put them back, to bring them back; see ``domain/refusals.py``."""

from __future__ import annotations

from pierhead.domain.refusals import Refusal


class TagMoved(Refusal):
    """A tag does not point any more where somebody saw it pointing. ``now`` is empty if it is gone."""

    def __init__(self, image: str, tag: str, seen: str, now: str) -> None:
        there = f"points at {now}" if now else "is not there"
        super().__init__(
            f"Somebody was faster: {image}:{tag} {there} and no longer at {seen}. Look at its history, then try again.",
            image=image,
            tag=tag,
            seen=seen,
            now=now or None,
        )


class TagStands(Refusal):
    """Restoring is for tags that are not there."""

    def __init__(self, image: str, tag: str, now: str) -> None:
        super().__init__(
            f"{image}:{tag} is not deleted: it points at {now}. `pierhead tag rollback` puts it back.",
            image=image,
            tag=tag,
            now=now,
        )


class TagNeverThere(Refusal):
    """``digest`` is empty where the tag has no past to go back to, or none that is ``steps`` changes and more ago."""

    def __init__(self, image: str, tag: str, digest: str, repository: str, steps: int = 0) -> None:
        what = f"never stood for {digest}" if digest else "never stood for anything else"
        if steps:
            what = f"goes back {'1 step' if steps == 1 else f'{steps} steps'} at most"
        super().__init__(
            f"{image}:{tag} in {repository} {what}. `pierhead tag history` shows what it stood for.",
            image=image,
            tag=tag,
            digest=digest or None,
            repository=repository,
        )


class NotKept(Refusal):
    """Something that cannot be brought back, since it was purged or was never there."""

    def __init__(self, image: str, digest: str, repository: str) -> None:
        super().__init__(
            f"{image}@{digest} is neither in {repository} nor among what can be brought back. "
            "`pierhead tag deleted` lists that; push the image again.",
            image=image,
            digest=digest,
            repository=repository,
        )
