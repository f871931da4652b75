"""The routes of the REST API as data: matching, the reference page and the tests of every route come from this tuple.

An image's name contains slashes, so ``/-/`` ends it: no part of a name begins with a hyphen.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes

from pierhead.domain.refusals import MethodUnsupported, NameInvalid, RouteUnknown
from pierhead.faces.rest import accounts, audit, house, images, login, promotions, routes_board, routes_tags
from pierhead.faces.rest.explain import explain
from pierhead.faces.rest.record_keys import record_keys
from pierhead.faces.rest.route import LIMIT, PAGE, Need, Parameter, Route
from pierhead.faces.rest.route import ROOT as ROOT
from pierhead.faces.rest.services import ROUTE as SERVICES

_EVENTS: Final = (
    Parameter("account", "only what this account did"),
    Parameter("repository", "only what concerns this repository"),
    Parameter("image", "only what concerns this image"),
    Parameter("kind", "only events of this kind, such as `push` or `login failed`"),
    Parameter("since", "from this instant on: RFC 3339, or a time ago such as `2h`"),
    Parameter("until", "before this instant"),
)
_AFTER: Final = Parameter("after", "only events behind this number; without it and `since`, from now on")
_IMAGES: Final = "/repositories/{repository}/images"
_IMAGE: Final = f"{_IMAGES}/{{image}}/-"

_ROLES: Final = Parameter("roles", "a list of roles, at least one")
_KIND: Final = Parameter("kind", "`person` or `service`")
_DISABLED: Final = Parameter("disabled", "true or false")
_RULES: Final = Parameter("rules", "a list of rules as in the configuration file: rights, repositories, images, tags")
_ACCOUNT: Final = (
    Parameter("name", "of the account"),
    _KIND,
    _ROLES,
    Parameter("password", "12 to 1024 characters; without it only access tokens hold"),
    _DISABLED,
)
_CHANGE: Final = (_KIND, _ROLES, _DISABLED)
_PASSWORD: Final = (Parameter("password", "the new one"), Parameter("old", "the one before, to change one's own"))
_ROLE: Final = (_RULES,)
_TOKEN: Final = (
    Parameter("name", "by which people know it"),
    Parameter("expires_in", "in seconds; null for never, 90 days without it"),
    Parameter("rules", "what it is narrowed to; without them it may what the account may"),
)
_EXPLAIN: Final = (
    Parameter("action", "`pull`, `push` or `promote`; `pull` without it"),
    Parameter("image", "the image, or REPOSITORY/IMAGE"),
    Parameter("reference", "a tag or a digest"),
    Parameter("repository", "where; without it the first group, or where pushes to it go"),
    Parameter("account", "whose; one's own without it"),
    Parameter("to", "stage or repository, for `promote`; the second stage without it"),
    Parameter("from", "stage or repository, for `promote`; the stage before `to` without it"),
)
_PROMOTION: Final = (
    Parameter("image", "the image, such as `orchestrator/server`"),
    Parameter("tag", "which of its tags, where it comes from"),
    Parameter("digest", "the digest; with `tag`, the promotion is refused if the tag is another by now"),
    Parameter("to", "stage or repository"),
    Parameter("from", "stage or repository; the stage before `to` without it"),
    Parameter("as", "a list of tags that it gets there; the one that it has without it"),
    Parameter("back", "true: the stage goes back to what it was before, or to `back_to`"),
    Parameter("back_to", "a tag or a digest that the stage held"),
    Parameter("empty", "true: the stage holds nothing of the image any more; its tags stay, and `back` undoes it"),
    Parameter("follow_referrers", "true: what is attached to it later goes there too"),
    Parameter("dry_run", "true: only say what it would do"),
    Parameter("comment", "text for people, kept in the record"),
)

ROUTES: Final = (
    Route(
        "GET",
        "/status",
        Need.ACCOUNT,
        house.status,
        "Version, readiness, ports; for `operator` and `admin` storage, upstreams and warnings too.",
    ),
    Route("GET", "/repositories", Need.ACCOUNT, house.repositories, "The repositories that the account may read."),
    Route("GET", "/repositories/{repository}", Need.PULL, house.repository, "One repository."),
    Route("GET", _IMAGES, Need.PULL, images.images, "Images that are kept, by name.", PAGE, pages=True),
    Route("GET", f"{_IMAGE}/tags", Need.PULL, images.tags, "Tags of an image, by name.", PAGE, pages=True),
    Route("GET", f"{_IMAGE}/tags/{{tag}}", Need.PULL, images.by_tag, "One image, whole."),
    Route("DELETE", f"{_IMAGE}/tags/{{tag}}", Need.DELETE, images.delete_tag, "Deletes the tag; its manifest stays."),
    Route(
        "GET",
        f"{_IMAGE}/tags/{{tag}}/history",
        Need.PULL,
        images.history,
        "What the tag stood for, newest first, also after it was deleted.",
        (LIMIT,),
    ),
    Route("GET", f"{_IMAGE}/manifests/{{digest}}", Need.PULL, images.by_digest, "One image by its digest, whole."),
    Route(
        "DELETE",
        f"{_IMAGE}/manifests/{{digest}}",
        Need.DELETE,
        images.delete_manifest,
        "Deletes the manifest and the tags that point at it.",
    ),
    Route(
        "GET", "/record-keys", Need.ACCOUNT, record_keys, "Public keys that verify records of promotions, newest first."
    ),
    *routes_board.ROUTES,
    SERVICES,
    *routes_tags.ROUTES,
    Route("GET", "/storage", Need.OPERATE, house.storage, "Counts and sizes, by repository too, and the room left."),
    Route("GET", "/upstreams", Need.OPERATE, house.upstreams, "What proxies keep, and how their upstreams do."),
    Route("GET", "/gc", Need.OPERATE, house.gc_preview, "What nothing refers to, and how much. Changes nothing."),
    Route("GET", "/audit", Need.AUDIT, audit.events, "What happened, newest first.", (*_EVENTS, *PAGE[1:]), pages=True),
    Route(
        "GET",
        "/audit/stream",
        Need.AUDIT,
        audit.stream,
        "What happens, as JSON lines, without an end; a line of the kind `heartbeat` at least every 15 s.",
        (*_EVENTS, _AFTER),
    ),
    Route("POST", "/gc", Need.OPERATE, house.gc_run, "Runs reclaim now; leases and quarantine hold as ever."),
    Route("GET", "/account", Need.ACCOUNT, accounts.me, "Who asks, with roles and rules in words."),
    Route("GET", "/account/tokens", Need.ACCOUNT, accounts.my_tokens, "One's own access tokens, without secrets."),
    Route(
        "POST",
        "/account/tokens",
        Need.OWN,
        accounts.make_my_token,
        "Makes an access token; its secret is in this answer only.",
        body=_TOKEN,
        status=201,
    ),
    Route("DELETE", "/account/tokens/{token}", Need.OWN, accounts.revoke_my_token, "Revokes an access token at once."),
    Route("GET", "/accounts", Need.ADMINISTER, accounts.accounts, "Every account."),
    Route("POST", "/accounts", Need.ADMINISTER, accounts.add, "Makes an account.", body=_ACCOUNT, status=201),
    Route("GET", "/accounts/{account}", Need.ADMINISTER, accounts.account, "One account: roles, rules, secrets, uses."),
    Route(
        "PATCH",
        "/accounts/{account}",
        Need.ADMINISTER,
        accounts.change,
        "Changes what the body has, and nothing else.",
        body=_CHANGE,
    ),
    Route("DELETE", "/accounts/{account}", Need.ADMINISTER, accounts.remove, "Removes the account and its tokens."),
    Route(
        "PUT",
        "/accounts/{account}/password",
        Need.OWN,
        accounts.password,
        "Sets a password: one's own with the old one, as `admin` that of others.",
        body=_PASSWORD,
    ),
    Route("GET", "/accounts/{account}/tokens", Need.ADMINISTER, accounts.tokens, "Access tokens of the account."),
    Route(
        "POST",
        "/accounts/{account}/tokens",
        Need.ADMINISTER,
        accounts.make_token,
        "Makes an access token for the account.",
        body=_TOKEN,
        status=201,
    ),
    Route(
        "DELETE",
        "/accounts/{account}/tokens/{token}",
        Need.ADMINISTER,
        accounts.revoke_token,
        "Revokes an access token of the account.",
    ),
    Route(
        "POST",
        "/login",
        Need.NOBODY,
        login.ask,
        "Asks to be logged in by somebody at a page: a code for them, a secret to ask again with.",
        body=(Parameter("machine", "what people call the machine that asks"),),
        status=201,
        braked=True,
    ),
    Route(
        "POST",
        "/login/token",
        Need.NOBODY,
        login.take,
        "`state` is `waiting`, `refused`, `ended` or `approved`; then the access token, once.",
        body=(Parameter("secret", "what `POST /login` gave"),),
    ),
    Route(
        "GET",
        "/explain",
        Need.OWN,
        explain,
        "Why an account may or may not do something, and where content comes from; about others for `admin`.",
        _EXPLAIN,
    ),
    Route(
        "POST",
        "/promotions",
        Need.PROMOTE,
        promotions.ask,
        "Promotes an image, or has that wait for approvals; the same again is answered the same. Takes an "
        "`Idempotency-Key`.",
        body=_PROMOTION,
    ),
    Route(
        "GET",
        "/promotions",
        Need.SEE,
        promotions.promotions,
        "Promotions, newest first.",
        (
            Parameter("state", "`waiting`, `done`, `rejected` or `expired`"),
            Parameter("image", "only those of this image"),
            Parameter("to", "only those to this stage or repository"),
            *PAGE[1:],
        ),
        pages=True,
    ),
    Route("GET", "/promotions/{promotion}", Need.SEE, promotions.promotion, "One promotion, whole."),
    Route(
        "POST",
        "/promotions/{promotion}/approve",
        Need.PROMOTE,
        promotions.approve,
        "Approves one that waits; the last approval that was missing does it.",
        body=(Parameter("comment", "text for people, kept in the record"),),
    ),
    Route(
        "POST",
        "/promotions/{promotion}/reject",
        Need.PROMOTE,
        promotions.reject,
        "Ends one that waits.",
        body=(Parameter("reason", "text for people, kept in the record"),),
    ),
    Route("GET", "/roles", Need.ADMINISTER, accounts.roles, "Every role: built in, of the file, of REST."),
    Route("GET", "/roles/{role}", Need.ADMINISTER, accounts.role, "One role."),
    Route("PUT", "/roles/{role}", Need.ADMINISTER, accounts.put_role, "Makes a role, or changes it.", body=_ROLE),
    Route("DELETE", "/roles/{role}", Need.ADMINISTER, accounts.remove_role, "Removes a role that no account has."),
)

OPEN: Final = frozenset(ROOT + route.path for route in ROUTES if route.need is Need.NOBODY)
"""Addresses at which nobody is asked who they are."""

_HINT: Final = f"The addresses of the REST API begin with {ROOT}/, such as {ROOT}/status."


def find(method: str, target: str) -> tuple[Route, dict[str, str]]:
    """The route of a raw path, and what stands for the names in its braces, decoded.

    Raises RouteUnknown, MethodUnsupported, NameInvalid.
    """
    if not target.startswith(ROOT + "/"):
        raise RouteUnknown(_HINT)
    parts = [_decoded(part) for part in target[len(ROOT) + 1 :].split("/")]
    allowed: list[str] = []
    for route in ROUTES:
        values = _match(route.path.split("/")[1:], parts)
        if values is None:
            continue
        if route.method == method or (route.method == "GET" and method == "HEAD"):
            return route, values
        allowed += ["GET", "HEAD"] if route.method == "GET" else [route.method]
    if allowed:
        raise MethodUnsupported(method, allowed)
    raise RouteUnknown(_HINT)


def _match(pattern: list[str], parts: list[str]) -> dict[str, str] | None:
    if "{image}" in pattern:
        at = pattern.index("{image}")
        if "-" not in parts[at + 1 :]:
            return None
        end = parts.index("-", at + 1)
        parts = [*parts[:at], "/".join(parts[at:end]), *parts[end:]]
    if len(pattern) != len(parts):
        return None
    values: dict[str, str] = {}
    for wanted, part in zip(pattern, parts, strict=True):
        if wanted.startswith("{"):
            values[wanted[1:-1]] = part
        elif wanted != part:
            return None
    return values


def _decoded(part: str) -> str:
    """An encoded slash counts as one, since clients encode whole names; a zero byte or what is no ASCII is no name."""
    if "%" not in part:
        return part
    try:
        text = unquote_to_bytes(part).decode("ascii")
    except UnicodeDecodeError as error:
        raise NameInvalid(part, "it holds something other than ASCII") from error
    if not text.isprintable():
        raise NameInvalid(text, "it holds a control character")
    return text
