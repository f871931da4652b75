"""Refusals of the tokens that jobs bring in place of a password; see ``domain/refusals.py``.

``through`` is what the record tells of such a token (how, issuer, subject …); never the token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pierhead.domain.refusals import NotAuthenticated, Refusal


class TokenNotAccepted(NotAuthenticated):
    """A token that does not hold: forged, ended, for somebody else. ``about`` is one word for what is wrong with it, of
    a few; ``why`` may quote the token, which whoever sends it can make say anything."""

    def __init__(self, why: str, about: str, through: Mapping[str, object]) -> None:
        super().__init__(f"The id_token is not accepted: {why}.")
        self.about = about
        self.through = through


class TokenNotTrusted(Refusal):
    """A token whose signature holds, and that no trust rule is about. ``where`` is the issuer's key in the config."""

    told = True

    def __init__(self, where: str, why: str, looked_at: Sequence[str], through: Mapping[str, object]) -> None:
        super().__init__(
            f"The id_token is genuine, but no rule of {where} fits it: {why}.",
            trust=where,
            looked_at=list(looked_at),
        )
        self.through = through
