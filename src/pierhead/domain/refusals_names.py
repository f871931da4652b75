"""Refusals of names that a house does not use; see ``domain/refusals.py``."""

from __future__ import annotations

from pierhead.domain.naming import Judgement
from pierhead.domain.refusals import Refusal


class NameRefused(Refusal):
    """A push under a name that a rule of the configuration refuses. ``tells`` if the account may push to the right one,
    and so may be told it."""

    def __init__(self, repository: str, found: Judgement, tells: bool) -> None:
        super().__init__(
            found.sentence(tells),
            repository=repository,
            image=found.image,
            rule=found.rule,
            push_to=found.right if tells else None,
        )
