"""One's own secrets: access tokens, made and revoked, and the password."""

from __future__ import annotations

from typing import Final

from pierhead.actions import access_tokens
from pierhead.actions.edit_account import set_password
from pierhead.domain.access import Right, Rule, Rules
from pierhead.domain.patterns import Patterns
from pierhead.domain.refusals import Denied, NotAuthenticated, Refusal
from pierhead.domain.refusals_accounts import BodyInvalid, NameTaken, NotHere, TooManyAccessTokens
from pierhead.domain.roles import is_image_pattern, is_repository_pattern
from pierhead.faces.door.ask import Answer
from pierhead.faces.web.pages.account import PATH, TokenForm, account_of
from pierhead.faces.web.pages.sign_in import begin_session
from pierhead.faces.web.visit import Visit

_DAY: Final = 24 * 3600
_DAYS: Final = ("7", "30", "90", "365", "")
_RIGHTS: Final = {"pull": frozenset({Right.PULL}), "push": frozenset({Right.PULL, Right.PUSH})}


async def make_token(visit: Visit) -> Answer:
    """Shows the secret, this once. What is refused gives the form again."""
    form = visit.form
    typed = TokenForm(form.get("name", "").strip(), form.get("days", ""), form.get("rights", ""))
    try:
        seconds = _seconds(typed.days)
        row, secret = await access_tokens.make_access_token(
            visit.shop.store,
            visit.shop.desk,
            visit.shop.entropy,
            visit.guest.who.name,
            typed.name,
            _limit(typed.rights, form.get("repository", "").strip(), form.get("image", "").strip()),
            seconds,
            visit.by(),
        )
    except (BodyInvalid, NameTaken, TooManyAccessTokens) as refusal:
        visit.ask.note["refused"] = type(refusal).__name__
        again = TokenForm(typed.name, typed.days, typed.rights, refusal.message)
        return visit.page("account", visit.guest.who.name, await account_of(visit, form=again), _status(refusal))
    page = await account_of(visit, secret=secret, secret_name=row.name)
    return visit.page("account", visit.guest.who.name, page)


async def revoke_token(visit: Visit) -> Answer:
    """From the next request on. Raises AccessTokenUnknown."""
    await access_tokens.revoke_access_token(visit.shop.store, visit.guest.who.name, visit.values["id"], visit.by())
    return visit.redirect(f"{PATH}?done=token")


async def change_password(visit: Visit) -> Answer:
    """Ends every session of the account; this browser gets another one at once."""
    name, form = visit.guest.who.name, visit.form
    try:
        if form.get("new", "") != form.get("again", ""):
            raise BodyInvalid("again", "is not the same as the new password")
        # Checked by the guard, so that a stolen session is no way round the brake on guessing.
        await visit.shop.guard.login(visit.ask, name, form.get("old", ""))
        await set_password(
            visit.shop.store, visit.shop.desk, name, form.get("new", ""), visit.by(), old=form.get("old", "")
        )
    except NotHere:
        raise
    except Refusal as refusal:
        visit.ask.note["refused"] = type(refusal).__name__
        said = "The old password is wrong." if _is_wrong(refusal) else refusal.message
        page = await account_of(visit, password_fault=said)
        return visit.page("account", name, page, _status(refusal))
    await begin_session(visit, name, "password", None)
    return visit.redirect(f"{PATH}?done=password")


def _is_wrong(refusal: Refusal) -> bool:
    return isinstance(refusal, Denied | NotAuthenticated)


def _status(refusal: Refusal) -> int:
    return 409 if isinstance(refusal, NameTaken | TooManyAccessTokens) else 400


def _seconds(days: str) -> int | None:
    if days not in _DAYS:
        raise BodyInvalid("days", "is none of the choices")
    return int(days) * _DAY if days else None


def _limit(rights: str, repository: str, image: str) -> Rules | None:
    """None if nothing is narrowed. Raises BodyInvalid."""
    if rights not in (*_RIGHTS, ""):
        raise BodyInvalid("rights", "is none of the choices")
    if repository and not is_repository_pattern(repository):
        raise BodyInvalid("repository", "is no pattern of repository names, such as docker-hosted-dev or docker-*")
    if image and not is_image_pattern(image):
        raise BodyInvalid("image", "is no pattern of image names, such as orchestrator/*")
    if not rights and not repository and not image:
        return None
    given = _RIGHTS.get(rights, frozenset(Right))
    return (Rule(given, repositories=Patterns([repository or "*"]), images=Patterns([image or "*"])),)
