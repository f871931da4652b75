"""Refusals of names that a house does not use; see ``domain/refusals.py``."""

from __future__ import annotations

from pierhead.domain.refusals import Refusal


class NameRefused(Refusal):
    """A push under a name that a rule of the configuration refuses. ``right`` is the name that was probably meant,
    empty where none is known or the account may not be told."""

    def __init__(self, repository: str, image: str, rule: str, sentence: str, right: str) -> None:
        super().__init__(sentence, repository=repository, image=image, rule=rule, push_to=right)
        self.rule = rule
