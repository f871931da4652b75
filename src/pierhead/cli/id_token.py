"""What an id_token says of itself. Nothing is verified here: whoever it is shown to does that."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from pierhead.cli.client import Fault
from pierhead.cli.tables import clean

_TEXT_MAX = 120
_SECONDS_MAX = 1 << 40


@dataclass(frozen=True, slots=True, repr=False)
class IdToken:
    """A JWT (RFC 7519) as it came in ``variable``, and its claims."""

    variable: str
    text: str
    claims: dict[str, Any]

    def claim(self, name: str) -> str:
        """A claim as it can stand in a sentence; several values joined; "nothing" if it is not there."""
        found = self.claims.get(name)
        told = ", ".join(map(clean, found)) if isinstance(found, list) else clean(found)
        return told[:_TEXT_MAX] or "nothing"

    def must_not_be_over(self, now: float) -> None:
        """``now`` in seconds since 1970. Raises Fault for one without a good `exp` or with one that has passed."""
        ends = self.claims.get("exp")
        if not isinstance(ends, int | float) or isinstance(ends, bool) or not 0 <= ends < _SECONDS_MAX:
            raise Fault(f"The token in {self.variable} has no time at which it ends (exp): it is no id_token of a job.")
        if ends <= now:
            raise Fault(
                f"The token in {self.variable} is over since {now - ends:.0f} s: GitLab gives each job a new one, "
                "good until the job's time-out. Run the job again."
            )


def id_token(variable: str, environment: dict[str, str]) -> IdToken:
    """The token in this variable. Raises Fault if it is not set, or holds no JWT; its text is in no message."""
    text = environment.get(variable, "").strip()
    if not text:
        raise Fault(
            f"{variable} is not set: let GitLab give the job an id_token of that name "
            f"(id_tokens: {{{variable}: {{aud: …}}}}), or see docs/ci.md."
        )
    parts = text.split(".")
    head, claims = (_json(part) for part in parts[:2]) if len(parts) == 3 else (None, None)
    if head is None or claims is None or "alg" not in head or not parts[2] or not text.isascii():
        raise Fault(f"What stands in {variable} is no JWT: name the variable of the job's id_token.")
    return IdToken(variable, text, claims)


def _json(part: str) -> dict[str, Any] | None:
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
