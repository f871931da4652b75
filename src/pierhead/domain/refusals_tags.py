"""Refusals about tags that stand, and about the past of tags: to put them back, to bring them back; see
``domain/refusals.py``."""

from __future__ import annotations

from pierhead.domain.refusals import Refusal


class TagWrittenOnce(Refusal):
    """Kaniko looks for the words that follow the tag (``pkg/executor/push.go``). ``rule`` is set where a rule about
    tags says so and not the policy of the repository; ``gone`` for a tag that was deleted."""

    def __init__(
        self,
        repository: str,
        image: str,
        tag: str,
        held: str,
        since: str,
        by: str,
        rule: str = "",
        *,
        gone: bool = False,
    ) -> None:
        why = f", and {rule} has such tags written once there" if rule else ""
        when = f"held {held} from {since} ({by}) until it was deleted" if gone else f"holds {held} since {since} ({by})"
        super().__init__(
            f"{image}:{tag} cannot be overwritten because the repository is immutable: {repository} {when}{why}. "
            f"Use a new {'tag' if rule else 'version'}; the same bytes would be accepted.",
            repository=repository,
            image=image,
            tag=tag,
            held=held,
            **({"rule": rule} if rule else {}),
        )


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
