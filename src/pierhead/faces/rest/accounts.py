"""Accounts, roles and access tokens: one's own, and those of others for who administers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pierhead.actions import access_tokens, edit_account, edit_role
from pierhead.commits.account import AccountChange, By, NewAccount
from pierhead.domain.access import Principal, Right, Rules
from pierhead.domain.refusals import Denied, NameInvalid
from pierhead.domain.refusals_accounts import AccountUnknown, BodyInvalid, RoleUnknown
from pierhead.domain.roles import ACCOUNT_GRAMMAR, ROLE_GRAMMAR, in_words, is_account_name, is_role_name, rules_document
from pierhead.domain.secrets import fingerprint_of
from pierhead.domain.trust import trusted_by
from pierhead.faces.rest import shapes
from pierhead.faces.rest.bodies import Body, body_of
from pierhead.faces.rest.call import Call
from pierhead.faces.rest.rotations import kept_elsewhere, old_password_used
from pierhead.faces.rest.shapes import Json
from pierhead.ports.metadata.accounts import AccessTokenRow, Use
from pierhead.repositories.directory import Account, Origin

_TOKEN_SECONDS: Final = 90 * 24 * 3600
_RAISING: Final = ("is_admin", "admin", "administer", "roles", "disabled", "kind", "account")
_SECRETS_OF_ONES_OWN: Final = ("password", "session")


# --- one's own -------------------------------------------------------------------------------------------------------


async def me(call: Call) -> Json:
    """Who asks, and what that account may, in words."""
    who = call.who
    account = call.desk.directory.account(who.name)
    told: Json = {"name": who.name, "kind": None, "origin": None, "disabled": False, "roles": [], "created": None}
    return {
        **(told if account is None else _account(account, call)),
        "rules": _trusted(who) if account is None else _words(call, account),
        "through": dict(who.through),
        "limit": _limit(who.limit),
    }


async def my_tokens(call: Call) -> Json:
    """Those that hold, and expired ones; no secret is among them."""
    return shapes.page(await _tokens(call, call.who.name))


async def make_my_token(call: Call) -> Json:
    """The secret is in this answer and nowhere else."""
    _on_ones_own(call, "make an access token")
    return await _make_token(call, call.who.name, await _body(call, own=True))


async def revoke_my_token(call: Call) -> Json:
    """Also by the token itself, such as at the end of a job."""
    return await _revoke(call, call.who.name)


# --- accounts --------------------------------------------------------------------------------------------------------


async def accounts(call: Call) -> Json:
    """All of them, by name."""
    call.need_administrator("see accounts")
    await call.desk.directory.fresh()
    listed = call.desk.directory.accounts
    last = await call.parts.store.report(
        lambda reports: {name: _latest(reports.uses(name), reports.access_tokens(name)) for name in listed}
    )
    kept = {name: await call.desk.rotations.told(name) for name in listed}
    return shapes.page(
        [
            {
                **_account(one, call),
                "last_used": shapes.instant(last[name]),
                "old_password_used": shapes.instant(old_password_used(kept[name])),
            }
            for name, one in sorted(listed.items())
        ]
    )


async def account(call: Call) -> Json:
    """One of them, with its rules in words, its secrets and when they were used."""
    call.need_administrator("see accounts")
    return await _whole(call, await _named(call))


async def add(call: Call) -> Json:
    """Without a password only access tokens hold, which administrators make for it."""
    call.need_administrator("make accounts")
    body = await _body(call)
    name = body.text("name")
    if not is_account_name(name):
        raise BodyInvalid("name", f"cannot be an account: {ACCOUNT_GRAMMAR}")
    new = NewAccount(
        name,
        body.text_or_none("kind") or "service",
        body.texts("roles"),
        disabled=body.flag("disabled") or False,
    )
    password = body.text_or_none("password")
    return await _whole(call, await edit_account.add_account(call.parts.store, call.desk, new, password, _by(call)))


async def change(call: Call) -> Json:
    """Roles, kind, disabled; what is left out stays."""
    call.need_administrator("change accounts")
    name = _account_name(call)
    body = await _body(call)
    wanted = AccountChange(
        roles=body.texts("roles") if "roles" in body else None,
        disabled=body.flag("disabled"),
        kind=body.text_or_none("kind"),
    )
    return await _whole(call, await edit_account.change_account(call.parts.store, call.desk, name, wanted, _by(call)))


async def remove(call: Call) -> Json:
    """With its access tokens."""
    call.need_administrator("remove accounts")
    name = _account_name(call)
    await edit_account.remove_account(call.parts.store, call.desk, name, _by(call))
    return {"removed": name}


async def password(call: Call) -> Json:
    """One's own takes the old one; who administers sets those of others."""
    name = _account_name(call)
    own, administers = name == call.who.name, call.who.holds(Right.ADMINISTER)
    if not own:
        call.need_administrator("set the password of others")
    else:
        _on_ones_own(call, "change its password")
    body = await _body(call, own=own and not administers)
    new = body.text("password")
    old = body.text_or_none("old")
    if own and not administers:
        old = body.text("old")
    await edit_account.set_password(call.parts.store, call.desk, name, new, _by(call), old=old)
    return {"changed": name}


async def tokens(call: Call) -> Json:
    """Of any account."""
    call.need_administrator("see access tokens of others")
    return shapes.page(await _tokens(call, (await _named(call)).name))


async def make_token(call: Call) -> Json:
    """For any account."""
    call.need_administrator("make access tokens for others")
    return await _make_token(call, (await _named(call)).name, await _body(call))


async def revoke_token(call: Call) -> Json:
    """Of any account."""
    call.need_administrator("revoke access tokens of others")
    return await _revoke(call, _account_name(call))


# --- roles -----------------------------------------------------------------------------------------------------------


async def roles(call: Call) -> Json:
    """Built-in ones, those of the file, those of REST."""
    call.need_administrator("see roles")
    await call.desk.directory.fresh()
    return shapes.page([_role(name, *found) for name, found in call.desk.directory.roles.items()])


async def role(call: Call) -> Json:
    """One of them."""
    call.need_administrator("see roles")
    await call.desk.directory.fresh()
    name, known = _role_name(call), call.desk.directory.roles
    if name not in known:
        raise RoleUnknown(name, list(known))
    return _role(name, *known[name])


async def put_role(call: Call) -> Json:
    """Accounts that have it may at once what it says now."""
    call.need_administrator("change roles")
    name = _role_name(call)
    rules = (await _body(call)).rules("rules")
    if rules is None:
        raise BodyInvalid("rules", "is missing")
    await edit_role.put_role(call.parts.store, call.desk, name, rules, _by(call))
    return _role(name, Origin.REST, rules)


async def remove_role(call: Call) -> Json:
    """One that nobody has."""
    call.need_administrator("remove roles")
    name = _role_name(call)
    await edit_role.remove_role(call.parts.store, call.desk, name, _by(call))
    return {"removed": name}


# --- parts of these --------------------------------------------------------------------------------------------------


def _on_ones_own(call: Call, what: str) -> None:
    """Raises Denied for who signed in with a token: what it is narrowed to, and when it ends, would mean nothing if it
    could make others."""
    who: Principal = call.who
    how = who.through.get("how", "password")
    if who.limit is not None or who.asked is not None or how not in _SECRETS_OF_ONES_OWN:
        if how == "id_token":
            raise Denied(who.name, what, "as a job", "It has no account, and its id_token is its login.")
        raise Denied(who.name, what, "with a token", "Sign in with the password, or do it on your own page, /-/me.")


async def _body(call: Call, *, own: bool = False) -> Body:
    """With ``own``, what would raise one's own rights is denied rather than unknown."""
    body = await body_of(call.ask)
    if own:
        for key in _RAISING:
            if key in body:
                raise Denied(call.who.name, "set", f"`{key}` of its own account")
    body.refuse_others(call.keys)
    return body


def _by(call: Call) -> By:
    return By(call.who.name, call.circumstances())


def _account_name(call: Call) -> str:
    name = call.values["account"]
    if not is_account_name(name):
        raise NameInvalid(name, f"an account's name is {ACCOUNT_GRAMMAR}")
    return name


def _role_name(call: Call) -> str:
    name = call.values["role"]
    if not is_role_name(name):
        raise NameInvalid(name, f"a role's name is {ROLE_GRAMMAR}")
    return name


async def _named(call: Call) -> Account:
    """Also one that another worker made a moment ago. Raises AccountUnknown."""
    name = _account_name(call)
    await call.desk.directory.fresh()
    found = call.desk.directory.account(name)
    if found is None:
        raise AccountUnknown(name)
    return found


async def _tokens(call: Call, account: str) -> list[Json]:
    rows = await call.parts.store.report(lambda reports: reports.access_tokens(account))
    return [_token(row, call.parts.clock.now()) for row in rows]


async def _make_token(call: Call, account: str, body: Body) -> Json:
    row, secret = await access_tokens.make_access_token(
        call.parts.store,
        call.desk,
        call.parts.entropy,
        account,
        body.text("name"),
        body.rules("rules"),
        body.whole("expires_in", _TOKEN_SECONDS),
        _by(call),
    )
    return {**_token(row, call.parts.clock.now()), "secret": secret}


async def _revoke(call: Call, account: str) -> Json:
    token = call.values["token"]
    await access_tokens.revoke_access_token(call.parts.store, account, token, _by(call))
    return {"revoked": token}


def _token(row: AccessTokenRow, now: int) -> Json:
    return {
        "id": row.id,
        "account": row.account,
        "name": row.name,
        "rules": None if row.limit is None else rules_document(row.limit),
        "limit": _limit(row.limit),
        "created": shapes.instant(row.created),
        "created_by": row.created_by,
        "expires": shapes.instant(row.expires),
        "expired": row.expires is not None and row.expires <= now,
        "last_used": shapes.instant(row.last_used),
        "last_address": row.last_address,
    }


def _limit(limit: Rules | None) -> list[str] | None:
    return None if limit is None else [in_words(rule) for rule in limit]


def _account(found: Account, call: Call) -> Json:
    row = found.row
    return {
        "name": found.name,
        "kind": None if row is None else row.kind,
        "origin": found.origin.value,
        "roles": list(found.roles),
        "disabled": found.disabled,
        "password": call.desk.password_of(found) is not None,
        "created": None if row is None else shapes.instant(row.created),
        "created_by": None if row is None else row.created_by,
    }


async def _whole(call: Call, found: Account) -> Json:
    uses, rows = await call.parts.store.report(
        lambda reports: (reports.uses(found.name), reports.access_tokens(found.name))
    )
    now = call.parts.clock.now()
    return {
        **_account(found, call),
        "last_used": shapes.instant(_latest(uses, rows)),
        "rules": _words(call, found),
        "passwords": [_use(one, found, call) for one in uses],
        "kept": kept_elsewhere(await call.desk.rotations.told(found.name)),
        "tokens": [_token(row, now) for row in rows],
    }


def _trusted(who: Principal) -> list[Mapping[str, object]]:
    """Of a job, which has no account and no role: what the rules of its issuer gave."""
    return [{"role": trusted_by(who), "may": [in_words(rule) for rule in who.rules]}]


def _words(call: Call, found: Account) -> list[Mapping[str, object]]:
    return [
        {"role": name, "may": [in_words(rule) for rule in rules]}
        for name, rules in call.desk.directory.rules_by_role(found)
    ]


def _use(one: Use, found: Account, call: Call) -> Json:
    """``current`` is null where it cannot be said: ``admin``'s password is set anew on the machine itself."""
    hashed = call.desk.password_of(found)
    known = found.origin is not Origin.BUILT_IN
    current = hashed is not None and fingerprint_of(hashed) == one.fingerprint
    return {
        "fingerprint": one.fingerprint,
        "current": current if known else None,
        "first": shapes.instant(one.first),
        "last": shapes.instant(one.last),
        "address": one.address,
    }


def _latest(uses: Sequence[Use], rows: Sequence[AccessTokenRow]) -> int | None:
    instants = [one.last for one in uses] + [row.last_used for row in rows if row.last_used is not None]
    return max(instants, default=None)


def _role(name: str, origin: Origin, rules: Rules) -> Json:
    return {
        "name": name,
        "origin": origin.value,
        "may": [in_words(rule) for rule in rules],
        "rules": rules_document(rules),
    }
