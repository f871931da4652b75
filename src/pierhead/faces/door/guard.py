"""Credentials of a request become a principal; what was checked once is remembered for a minute by its keyed hash.

A check costs tens of milliseconds of a processor by design, so who asks for checks is bounded: failures per account
and place, and checks that wait, per place and in all. What was right before is never held up by either.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
from base64 import b64decode, b64encode
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Final

from pierhead.domain import limits
from pierhead.domain.access import Principal
from pierhead.domain.refusals import NotAuthenticated, TooManyLogins
from pierhead.domain.secrets import is_access_token
from pierhead.faces.door.ask import Ask
from pierhead.faces.door.connectors import address_of
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.identity import Checked, Credential, IdentitySource, NotMine, Wrong

_HEADER_CHARACTERS_MAX: Final = 8_192
_FAILURES_MAX: Final = 10
_FAILURE_SECONDS: Final = 60.0
_FAILURE_ENTRIES_MAX: Final = 10_000
_WAITING_MAX: Final = 256
_WAITING_PER_PLACE_MAX: Final = 64
_WAITING_RETRY_SECONDS: Final = 5


_Still = Callable[[], Awaitable[Principal | None]]
_Outcome = Principal | Checked | str
"""Who it is, or why it is nobody."""


@dataclass(slots=True, eq=False)
class _Tries:
    """Failed logins to one account from one place, with those that are being checked: many at once are no way round."""

    until: float
    count: int = 0


@dataclass(slots=True)
class _Check:
    """A credential that is checked once for all who sent it. ``tries`` by the keyed hash of account and place."""

    outcome: asyncio.Future[_Outcome]
    tries: dict[bytes, _Tries] = field(default_factory=dict)


class Guard:
    """Asks the identity sources in turn. Slows guessing down per account and address, so nobody locks out another."""

    def __init__(self, sources: Sequence[IdentitySource], clock: Clock, entropy: Entropy) -> None:
        self._sources = sources
        self._clock = clock
        self._key = entropy.token(32)
        self._known: OrderedDict[bytes, tuple[Principal, float, _Still | None]] = OrderedDict()
        self._checking: dict[bytes, _Check] = {}
        self._waiting: Counter[str] = Counter()
        self._failures: OrderedDict[bytes, _Tries] = OrderedDict()
        self.used: Callable[[Principal, str], None] = lambda _who, _address: None
        """Told who signed in from which address, whenever that was checked."""

    def replace(self, sources: Sequence[IdentitySource]) -> None:
        """New sources; what was remembered of the old ones is forgotten, and what they still check counts no more."""
        self._sources = sources
        self._known.clear()
        self._checking.clear()
        self._failures.clear()

    def forget(self, accounts: Collection[str]) -> None:
        """These accounts are not what they were. Failed logins count on: one of them may belong to who guesses."""
        self._sources = [*self._sources]  # what they check just now counts no more
        self._checking.clear()
        for mark in [mark for mark, known in self._known.items() if known[0].name in accounts]:
            del self._known[mark]

    async def principal(self, ask: Ask) -> Principal:
        """Raises NotAuthenticated, TooManyLogins. Answers at once what was right within the last minute."""
        header = ask.get("Authorization")
        if header is None:
            raise NotAuthenticated
        return await self._principal(ask, header)

    async def of_form(self, ask: Ask, name: str, password: str) -> Principal:
        """The same for what somebody typed into a form. Raises NotAuthenticated, TooManyLogins."""
        if ":" in name:  # no account is called so, and the header has no room for it
            raise NotAuthenticated("Name or password is wrong.")
        pair = f"{name}:{password}".encode("utf-8", "surrogatepass")
        return await self._principal(ask, f"Basic {b64encode(pair).decode()}")

    async def _principal(self, ask: Ask, header: str) -> Principal:
        mark = self._mark(header)
        known = self._known.get(mark)
        if known is not None and known[1] > self._clock.monotonic():
            if known[2] is None:
                return known[0]
            holder = await known[2]()
            if holder is not None:
                self.used(holder, address_of(ask))
                return holder
            self._known.pop(mark, None)
        credential = _credential(header)
        address = address_of(ask)
        place = _place_of(address)
        while True:
            sources = self._sources
            check = self._check(mark, credential, place)
            outcome = await asyncio.shield(check.outcome)
            if sources is not self._sources:
                continue  # the configuration was read again meanwhile: what the old one says holds no more
            if isinstance(outcome, Checked):
                holder = await outcome.still()
                if holder is None:
                    continue  # it was taken back meanwhile, and the next check says so
                outcome = holder
            if isinstance(outcome, str):
                raise NotAuthenticated(outcome)
            self.used(outcome, address)
            return outcome

    def _mark(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).digest()

    def _check(self, mark: bytes, credential: Credential, place: str) -> _Check:
        """The check that runs already, or a new one. Raises TooManyLogins."""
        check = self._checking.get(mark)
        # Nobody guesses a secret of 256 bits, and looking it up costs nothing.
        trusted = mark in self._known or is_access_token(credential.password)
        target = self._mark(f"{place}\0{credential.name}")
        if check is not None:
            if not trusted and target not in check.tries:
                check.tries[target] = self._try(target)
            return check
        tries: dict[bytes, _Tries] = {}
        if not trusted:
            if self._waiting.total() >= _WAITING_MAX or self._waiting[place] >= _WAITING_PER_PLACE_MAX:
                raise TooManyLogins(_WAITING_RETRY_SECONDS, at_once=True)
            tries[target] = self._try(target)
        self._waiting[place] += 1
        work = self._verify(self._sources, mark, credential, place, tries)
        self._checking[mark] = check = _Check(asyncio.ensure_future(work), tries)
        return check

    async def _verify(
        self,
        sources: Sequence[IdentitySource],
        mark: bytes,
        credential: Credential,
        place: str,
        tries: dict[bytes, _Tries],
    ) -> _Outcome:
        """A principal, or why there is none. Only a failure leaves its mark on ``tries``."""
        outcome = None
        try:
            outcome = await _ask_in_turn(sources, credential)
        finally:
            self._waiting[place] -= 1
            if not self._waiting[place]:
                del self._waiting[place]
            if not isinstance(outcome, str):
                for one in tries.values():
                    one.count -= 1
            if sources is self._sources:
                self._checking.pop(mark, None)
                self._remember(mark, outcome)
        return outcome

    def _remember(self, mark: bytes, outcome: _Outcome | None) -> None:
        if isinstance(outcome, str):
            self._known.pop(mark, None)
        elif outcome is not None:
            who, still = (outcome.principal, outcome.still) if isinstance(outcome, Checked) else (outcome, None)
            self._known[mark] = (who, self._clock.monotonic() + limits.CREDENTIAL_CACHE_SECONDS, still)
            self._known.move_to_end(mark)
            while len(self._known) > limits.CREDENTIAL_CACHE_ENTRIES_MAX:
                self._known.popitem(last=False)

    def _try(self, target: bytes) -> _Tries:
        """Counts one more. Raises TooManyLogins."""
        now = self._clock.monotonic()
        tries = self._failures.get(target)
        if tries is None or tries.until <= now:
            tries = self._failures[target] = _Tries(now + _FAILURE_SECONDS)
            self._failures.move_to_end(target)
            while len(self._failures) > _FAILURE_ENTRIES_MAX:
                self._failures.popitem(last=False)
        if tries.count >= _FAILURES_MAX:
            raise TooManyLogins(int(tries.until - now) + 1)
        tries.count += 1
        return tries


async def _ask_in_turn(sources: Sequence[IdentitySource], credential: Credential) -> _Outcome:
    for source in sources:
        match await source.verify(credential):
            case Principal() | Checked() as found:
                return found
            case Wrong(why):
                return why
            case NotMine():
                continue
    return "Name or password is wrong."


def _place_of(address: str) -> str:
    """Where somebody logs in from: an IPv4 address, or the /64 of an IPv6 one, all of which a single customer has."""
    if ":" not in address:
        return address
    try:
        six = IPv6Address(address)
    except ValueError:
        return address
    return str(six.ipv4_mapped or IPv6Address(int(six) >> 64 << 64))


def _credential(header: str) -> Credential:
    """Basic credentials (RFC 7617) in UTF-8. Raises NotAuthenticated."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise NotAuthenticated("Log in with a name and a password (Basic authentication).")
    if len(encoded) > _HEADER_CHARACTERS_MAX:
        raise NotAuthenticated("The name and the password are too long.")
    try:
        name, colon, password = b64decode(encoded.strip(" "), validate=True).decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise NotAuthenticated("The Authorization header is not understood.") from error
    if not colon or "\0" in name or "\0" in password:
        raise NotAuthenticated("The Authorization header is not understood.")
    return Credential(name, password)
