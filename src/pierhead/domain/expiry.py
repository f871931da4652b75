"""Expiry as data: rules, what they decide about a tag, and which pulls of the past they would have broken.

The first rule that is about a tag decides; a tag that no rule is about stays. What a rule says of a tag is all or
nothing: with several conditions a tag goes only if each of them holds. Instants and lengths in microseconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Tag
from pierhead.domain.patterns import EVERY, Patterns, TagPatterns
from pierhead.domain.pull_days import DAY

_HOUR: Final = 3600 * 1_000_000


class Rule(Struct, frozen=True):
    """About tags that ``tags`` meets, or with ``untagged`` about manifests that nothing names any more.

    ``unused``: not pulled, and not set either, for so long. ``older``: set longer ago. ``newest``: not among so many
    newest tags of the image that the rule is about. ``keep``: such tags stay.
    """

    images: Patterns = EVERY
    tags: TagPatterns | None = None
    unused: int | None = None
    older: int | None = None
    newest: int | None = None
    untagged: int | None = None
    keep: bool = False

    def about(self, image: ImageName, tag: Tag) -> bool:
        """Whether it decides about the tag, if no rule before it does."""
        return self.tags is not None and self.images.meets(image) and self.tags.meets(tag)

    def __str__(self) -> str:
        where = "" if self.images == EVERY else f" of {', '.join(self.images.texts)}"
        if self.untagged is not None:
            return f"untagged{where} for {words(self.untagged)}"
        what = ", ".join(self.tags.texts) if self.tags is not None else ""
        conditions = [
            *([f"unused for {words(self.unused)}"] if self.unused is not None else []),
            *([f"older than {words(self.older)}"] if self.older is not None else []),
            *([f"not of the newest {self.newest}"] if self.newest is not None else []),
        ]
        return f"{what}{where} {'stay' if self.keep else ' and '.join(conditions)}"


class Rules(Struct, frozen=True):
    """Of one repository, in their order. ``cache_bytes``: build caches stay up to so many bytes, the last used first;
    None lets them all stay. No other rule is about a build cache."""

    rules: tuple[Rule, ...] = ()
    cache_bytes: int | None = None

    def first(self, image: ImageName, tag: Tag) -> Rule | None:
        """The rule that decides about a tag; None if it stays because none is about it."""
        return next((one for one in self.rules if one.about(image, tag)), None)


class TagFacts(Struct, frozen=True):
    """A tag that stands. ``pulled`` is when it, its digest or something below it was last pulled; ``days`` how often on
    which day. ``cache`` if it is a build cache."""

    tag: Tag
    digest: Digest
    since: int
    pulled: int | None = None
    days: Mapping[int, int] = field(default_factory=dict)
    once: bool = False
    cache: bool = False


class Expired(Struct, frozen=True):
    """A tag that has to go, by which rule, and why in words."""

    facts: TagFacts
    rule: Rule
    why: str


class Broken(Struct, frozen=True):
    """A pull that would have found nothing, had the rule been in force: ``times`` on a ``day`` since 1970."""

    tag: Tag
    rule: Rule
    day: int
    times: int


def expired(rules: Rules, image: ImageName, tags: Sequence[TagFacts], now: int, counted: int) -> list[Expired]:
    """Which of all standing tags of an image have to go. Pulls are known since ``counted``: what was pulled before
    that counts as used then."""
    found: list[Expired] = []
    for rule, members in _divided(rules, image, tags).items():
        if rule.keep:
            continue
        for rank, facts in enumerate(members):
            if not facts.once and goes(rule, facts, rank, now, counted):
                found.append(Expired(facts, rule, _why(rule, facts, rank)))
    return found


def goes(rule: Rule, facts: TagFacts, newer: int, now: int, counted: int) -> bool:
    """Whether all that the rule asks for holds of a tag; ``newer`` are that many other tags that it is about."""
    return (
        (rule.unused is None or last_use(facts, counted) + rule.unused < now)
        and (rule.older is None or facts.since + rule.older < now)
        and (rule.newest is None or newer >= rule.newest)
    )


def last_use(facts: TagFacts, counted: int) -> int:
    """When the tag was last pulled or set; no earlier than pulls are counted."""
    return max(facts.since, facts.pulled or 0, counted)


def broken(rules: Rules, image: ImageName, tags: Sequence[TagFacts], counted: int) -> list[Broken]:
    """Pulls of the last days that would have found nothing, had the rules been in force all the time.

    Tags that have gone meanwhile are not known here, so that ``newest`` is judged a little too kindly.
    """
    found: list[Broken] = []
    for rule, members in _divided(rules, image, tags).items():
        if rule.keep:
            continue
        for facts in members:
            found += _broken(rule, facts, members, counted)
    return found


def broken_untagged(length: int, since: int, days: Mapping[int, int], counted: int) -> list[tuple[int, int]]:
    """The same for a manifest without a tag ``since`` then: (day, times)."""
    used, found = max(since, counted), []
    for day, times in sorted(days.items()):
        if used + length < day * DAY:
            found.append((day, times))
        used = max(used, (day + 1) * DAY)
    return found


def words(length: int) -> str:
    """A length of time in its largest whole unit."""
    if length % DAY == 0:
        return f"{length // DAY} d"
    return f"{length // _HOUR} h" if length % _HOUR == 0 else f"{length // 1_000_000} s"


def _divided(rules: Rules, image: ImageName, tags: Collection[TagFacts]) -> dict[Rule, list[TagFacts]]:
    """Each rule with the tags that it decides about, the newest first. Tags under which clients keep signatures go with
    what they belong to and never by a rule."""
    found: dict[Rule, list[TagFacts]] = {}
    for facts in sorted(tags, key=lambda one: (one.since, one.tag), reverse=True):
        if facts.cache or facts.tag.is_fallback:
            continue
        rule = rules.first(image, facts.tag)
        if rule is not None:
            found.setdefault(rule, []).append(facts)
    return found


def _broken(rule: Rule, facts: TagFacts, members: Sequence[TagFacts], counted: int) -> list[Broken]:
    used, found = max(facts.since, counted), []
    for day, times in sorted(facts.days.items()):
        begin = day * DAY
        newer = sum(1 for one in members if facts.since < one.since < begin) if rule.newest is not None else 0
        then = TagFacts(facts.tag, facts.digest, facts.since, used)
        if begin > facts.since and goes(rule, then, newer, begin, counted):
            found.append(Broken(facts.tag, rule, day, times))
        used = max(used, begin + DAY)
    return found


def _why(rule: Rule, facts: TagFacts, newer: int) -> str:
    parts: list[str] = []
    if rule.unused is not None:
        parts.append("never pulled" if facts.pulled is None else "last pulled long ago")
    if rule.older is not None:
        parts.append("too old")
    if rule.newest is not None:
        parts.append("1 is newer" if newer == 1 else f"{newer} are newer")
    return ", ".join(parts)
