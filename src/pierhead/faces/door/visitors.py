"""Who a browser belongs to: its session cookie becomes a visitor.

Nothing is remembered in the process, so a session that was ended is over for every worker at once.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from types import MappingProxyType
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from pierhead.domain import limits
from pierhead.domain.access import Principal
from pierhead.domain.refusals import ForgedRequest, Unavailable
from pierhead.faces.door.ask import Ask
from pierhead.faces.door.cookies import cookie_name, cookie_of, set_cookie
from pierhead.faces.door.origin import require_same_origin
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.identity import People
from pierhead.ports.metadata.sessions import SessionRow
from pierhead.ports.metadata.store import Store

SESSION_COOKIE: Final = "pierhead"
TOKEN_HEADER: Final = "X-Pierhead-Token"
_SECRET_BYTES: Final = 32
_SECRET_CHARACTERS: Final = 43


class Visitor(Struct, frozen=True):
    """``token`` goes into every form and every request of a script, to show that a page of ours sends it."""

    who: Principal
    session: SessionRow
    token: str


class SessionRules(Struct, frozen=True):
    """How sessions are kept, as the configuration says: times in seconds, ``external_url`` for cookies and origins."""

    external_url: str
    idle_seconds: int
    longest_seconds: int

    @property
    def secure(self) -> bool:
        """Whether people come over TLS, here or at a proxy in front."""
        return self.external_url.startswith("https:")


class Visitors:
    """Looks sessions up, and makes what a new one needs. ``rules`` is replaced with the configuration."""

    def __init__(self, store: Store, clock: Clock, entropy: Entropy, people: People) -> None:
        self.rules = SessionRules("", 0, 0)
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._people = people

    async def of(self, ask: Ask) -> Visitor | None:
        """None without a session that holds; the time of its use is noted once a minute. Raises Unavailable."""
        secret = decoded(cookie_of(ask, cookie_name(SESSION_COOKIE, self.rules.secure)))
        if secret is None:
            return None
        row = await self._store.lookups.session(hashlib.sha256(secret).digest())
        now = self._clock.now()
        if row is None or row.expires <= now or row.seen + self.rules.idle_seconds * 1_000_000 <= now:
            return None
        who = await self._principal(row)
        if who is None:
            return None
        if row.seen + limits.SESSION_SEEN_SECONDS * 1_000_000 <= now:
            await self._note_use(row.id, now)
        return Visitor(who, row, form_token(secret))

    async def _principal(self, row: SessionRow) -> Principal | None:
        """None if the account is gone, or its password is not the one that opened the session."""
        known = await self._people.person(row.account)
        if known is None or not hmac.compare_digest(known.stamp, row.stamp):
            return None
        through = MappingProxyType({"how": "session", "by": row.through})
        return replace(known.principal, through=through)

    async def _note_use(self, session: bytes, now: int) -> None:
        try:
            await self._store.write(lambda tx: tx.sessions.touch(session, now), durable=False)
        except Unavailable:
            return  # nobody is signed out because the disk is full

    async def stamp_of(self, account: str) -> bytes | None:
        """What a new session of the account has to remember; None if there is no such account."""
        known = await self._people.person(account)
        return None if known is None else known.stamp

    def new_secret(self) -> tuple[str, bytes]:
        """What a new session's cookie holds, and the id that it is found by."""
        secret = self._entropy.token(_SECRET_BYTES)
        return encoded(secret), hashlib.sha256(secret).digest()

    def set_session(self, value: str) -> tuple[str, str]:
        """The header that gives the browser its session; it outlives the browser, and ends with the session."""
        return set_cookie(SESSION_COOKIE, value, self.rules.secure, self.rules.longest_seconds)

    def clear_session(self) -> tuple[str, str]:
        """The header that takes it away."""
        return set_cookie(SESSION_COOKIE, "", self.rules.secure, 0)

    async def caller(self, ask: Ask) -> Principal | None:
        """Who makes a REST request without credentials, by a script of a page of ours. None without a session.

        Raises ForgedRequest unless the page shows the session's token and, to change something, sends JSON: a form of
        another site can do neither.
        """
        if cookie_of(ask, cookie_name(SESSION_COOKIE, self.rules.secure)) is None:
            return None
        visitor = await self.of(ask)
        if visitor is None:
            return None
        require_same_origin(ask, self.rules.external_url)
        reads = ask.method in ("GET", "HEAD")
        if reads and ask.get("Sec-Fetch-Site") == "same-origin":
            return visitor.who  # somebody follows a link of our own page; no script can say so instead
        if not hmac.compare_digest((ask.get(TOKEN_HEADER) or "").encode(), visitor.token.encode()):
            raise ForgedRequest(f"the header {TOKEN_HEADER} does not hold the token of the session")
        kind = (ask.get("Content-Type") or "").partition(";")[0].strip().lower()
        if not reads and kind != "application/json":
            raise ForgedRequest("with the cookie of a session, requests are sent as application/json")
        return visitor.who


def form_token(secret: bytes) -> str:
    """Shows that a page was read which only the owner of the cookie gets; tells nothing of the cookie itself."""
    return hashlib.blake2b(secret, digest_size=16, person=b"pierhead form").hexdigest()


def encoded(secret: bytes) -> str:
    """As it stands in a cookie."""
    return urlsafe_b64encode(secret).decode().rstrip("=")


def decoded(value: str | None) -> bytes | None:
    """What ``encoded`` made of 32 bytes; None for anything else."""
    if value is None or len(value) != _SECRET_CHARACTERS or not value.isascii():
        return None
    try:
        secret = urlsafe_b64decode(value + "=")
    except ValueError:
        return None
    return secret if len(secret) == _SECRET_BYTES else None
