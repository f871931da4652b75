"""Which tags a hosted repository has written once although its write policy would let them move."""

from __future__ import annotations

from pierhead.boot.settings import Settings
from pierhead.domain.names import RepositoryName
from pierhead.domain.policy import OnceRule


def once_rules(settings: Settings, repository: RepositoryName) -> tuple[OnceRule, ...]:
    """The rules that have tags written once in this repository, with where they stand in the file."""
    moving = settings.tags.moving
    found = []
    for rule in settings.tags.rules:
        if rule.once.meets(repository):
            line = settings.lines.get(f"tags.{rule.name}")
            at = f" ({settings.source} line {line})" if line else ""
            found.append(OnceRule(f"tags.{rule.name}{at}", rule.tags, moving))
    return tuple(found)
