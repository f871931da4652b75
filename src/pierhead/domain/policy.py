"""Write policies of hosted repositories, and rules that write tags once whatever the policy."""

from __future__ import annotations

import enum

from msgspec import Struct

from pierhead.domain.names import Tag
from pierhead.domain.patterns import TagPatterns


class WritePolicy(enum.Enum):
    """Whether tags may move (ALLOW), are written once (ALLOW_ONCE), or nothing may be written at all (DENY)."""

    ALLOW = "ALLOW"
    ALLOW_ONCE = "ALLOW_ONCE"
    DENY = "DENY"


class OnceRule(Struct, frozen=True):
    """Tags that meet ``tags`` are written once, but for those that are ``moving``.

    ``where`` names the rule for sentences: ``tags.main (shared.yaml line 31)``.
    """

    where: str
    tags: TagPatterns
    moving: frozenset[str] = frozenset()

    def holds(self, tag: Tag) -> bool:
        """Whether the rule is about ``tag``."""
        return tag not in self.moving and self.tags.meets(tag)


class Writing(Struct, frozen=True):
    """What decides on tags in one hosted repository."""

    policy: WritePolicy
    once: tuple[OnceRule, ...] = ()

    def is_once(self, tag: Tag) -> bool:
        """Whether ``tag`` is written once. Tags under which clients keep referrers never are."""
        if tag.is_fallback:
            return False
        return self.policy is WritePolicy.ALLOW_ONCE or self.rule_of(tag) is not None

    def rule_of(self, tag: Tag) -> OnceRule | None:
        """The rule that has ``tag`` written once where the policy alone would let it move."""
        if self.policy is WritePolicy.ALLOW_ONCE:
            return None
        return next((rule for rule in self.once if rule.holds(tag)), None)
