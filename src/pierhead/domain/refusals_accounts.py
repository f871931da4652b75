"""Refusals of what is asked of accounts, roles and access tokens; see ``domain/refusals.py``."""

from __future__ import annotations

from collections.abc import Sequence

from pierhead.domain.refusals import Refusal, shown


class BodyInvalid(Refusal):
    """Of the REST API. ``where`` is the place in the document, empty for all of it."""

    def __init__(self, where: str, why: str) -> None:
        what = f"`{shown(where)}`" if where else "The body"
        super().__init__(f"{what} {why}.", where=shown(where))


class BodyTooLarge(Refusal):
    def __init__(self, limit: int) -> None:
        super().__init__(f"A body has at most {limit} bytes here.", limit=limit)


class AccountUnknown(Refusal):
    def __init__(self, name: str) -> None:
        super().__init__(f"There is no account `{shown(name)}` here.", account=shown(name))


class RoleUnknown(Refusal):
    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"There is no role `{shown(name)}` here; known are {', '.join(known)}.", role=shown(name))


class AccessTokenUnknown(Refusal):
    def __init__(self, account: str) -> None:
        super().__init__(f"{account} has no such access token, or it was revoked.", account=account)


class NotHere(Refusal):
    """Something of an account or a role that is changed elsewhere, or not at all; ``why`` says where."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} is not changed here: {why}.", what=what)


class NameTaken(Refusal):
    """``where`` continues the sentence: " of anna"."""

    def __init__(self, kind: str, name: str, where: str) -> None:
        super().__init__(f"There is {kind} `{shown(name)}` already{where}. Take another name.", name=shown(name))


class RoleInUse(Refusal):
    def __init__(self, name: str, accounts: Sequence[str]) -> None:
        more = f" and {len(accounts) - 5} more" if len(accounts) > 5 else ""
        super().__init__(
            f"The role {name} is in use: {', '.join(accounts[:5])}{more}. Take it from them first.",
            role=name,
            accounts=list(accounts),
        )


class TooManyAccessTokens(Refusal):
    def __init__(self, account: str, limit: int) -> None:
        super().__init__(
            f"{account} has {limit} access tokens, which is all that are allowed. Revoke one first.", limit=limit
        )
