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
from ipaddress import IPv6Address
from typing import Final, Protocol

from msgspec import Struct, field

from pierhead.domain import limits
from pierhead.domain.access import Principal
from pierhead.domain.refusals import NotAuthenticated, Refusal, TooManyLogins
from pierhead.domain.refusals_id_tokens import TokenNotTrusted
from pierhead.domain.secrets import is_access_token
from pierhead.faces.door.ask import Ask
from pierhead.faces.door.connectors import address_of
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.identity import Checked, Credential, IdentitySource, Lagging, NotMine, Wrong

_HEADER_CHARACTERS_MAX: Final = 16_000  # an id_token that names two hundred groups comes to 12,000
_FAILURES_MAX: Final = 10
_FAILURE_SECONDS: Final = 60.0
_FAILURE_ENTRIES_MAX: Final = 10_000
_WAITING_MAX: Final = 256
_WAITING_PER_PLACE_MAX: Final = 64
_WAITING_RETRY_SECONDS: Final = 5

ReadToken = Callable[[str], tuple[Principal, float] | str | Lagging]
"""What a bearer token says: its principal and for how many seconds it still holds, or why it does not. Waits for
nothing."""

_Still = Callable[[], Awaitable[Principal | None]]


class LoginObserver(Protocol):
    """Is told of every check of a credential that a request waited for; ``place`` is where the request comes from."""

    def right(self, ask: Ask, place: str, who: Principal) -> None: ...
    def wrong(self, ask: Ask, place: str, name: str, refusal: Refusal) -> None: ...


class _Tries(Struct, eq=False):
    """Failed logins to one account from one place, with those that are being checked: many at once are no way round."""

    until: float
    count: int = 0


class _Check(Struct):
    """A credential that is checked once for all who sent it. ``tries`` by the keyed hash of account and place."""

    outcome: asyncio.Future[Checked | str]
    tries: dict[bytes, _Tries] = field(default_factory=dict)


class Guard:
    """Asks the identity sources in turn. Slows guessing down per account and address, so nobody locks out another."""

    def __init__(
        self, sources: Sequence[IdentitySource], clock: Clock, entropy: Entropy, told: LoginObserver | None = None
    ) -> None:
        self._sources = sources
        self._clock = clock
        self._told = told
        self._key = entropy.token(32)
        self._known: OrderedDict[bytes, tuple[Principal, float, _Still | None]] = OrderedDict()
        self._checking: dict[bytes, _Check] = {}
        self._waiting: Counter[str] = Counter()
        self._failures: OrderedDict[bytes, _Tries] = OrderedDict()
        self.used: Callable[[Principal, str], None] = lambda _who, _address: None
        """Told who signed in from which address, whenever that was checked."""
        self._read_token: ReadToken | None = None
        # Apart from passwords, which are dearer to check again: a client takes a token for each image.
        self._tokens: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()

    def replace(self, sources: Sequence[IdentitySource], read_token: ReadToken | None = None) -> None:
        """New sources; what was remembered of the old ones is forgotten, and what they still check counts no more."""
        self._sources = sources
        self._read_token = read_token
        self._tokens.clear()
        self._known.clear()
        self._checking.clear()
        self._failures.clear()

    def forget(self, accounts: Collection[str]) -> None:
        """These accounts are not what they were. Failed logins count on: one of them may belong to who guesses."""
        self._sources = [*self._sources]  # what they check just now counts no more
        self._checking.clear()
        self._tokens.clear()
        for mark in [mark for mark, known in self._known.items() if known[0].name in accounts]:
            del self._known[mark]

    def forget_tokens(self) -> None:
        """Every token is read anew: keys have changed."""
        self._tokens.clear()

    async def principal(self, ask: Ask, *, tokens: bool = False) -> Principal:
        """Raises NotAuthenticated, TooManyLogins, and what sources raise.

        Answers at once what was right within the last minute, or for as long as the source said if that is less.

        ``tokens``: bearer tokens are taken too. They are for images, and good for nothing else here.
        """
        header = ask.get("Authorization")
        if header is None:
            raise NotAuthenticated
        mark = self._mark(header)
        known = self._remembered(mark)
        if known is not None:
            return known
        if tokens and header[:7].lower() == "bearer ":
            return await self._bearer(mark, header[7:])
        return await self._login(ask, mark, _credential(header))

    async def login(self, ask: Ask, name: str, password: str) -> Principal:
        """The same for a name and a password that came in a form. Raises NotAuthenticated, TooManyLogins."""
        if ":" in name:  # no account is called so, and the header has no room for it
            raise NotAuthenticated("Name or password is wrong.")
        pair = f"{name}:{password}".encode("utf-8", "surrogatepass")
        header = f"Basic {b64encode(pair).decode()}"
        mark = self._mark(header)
        known = self._remembered(mark)
        if known is not None:
            return known
        return await self._login(ask, mark, _credential(header))

    def _remembered(self, mark: bytes) -> Principal | None:
        """Whom this stood for within the last minute, if nobody needs to be asked about it again."""
        known = self._known.get(mark)
        return known[0] if known is not None and known[2] is None and known[1] > self._clock.monotonic() else None

    def count_failure(self, ask: Ask, name: str) -> Callable[[], None]:
        """Counts a failed login as ``name`` before it is known to be one; what is returned takes that back.

        Raises TooManyLogins.
        """
        tries = self._try(self._mark(f"{_place_of(address_of(ask))}\0{name}"))

        def take_back() -> None:
            tries.count -= 1

        return take_back

    async def _bearer(self, mark: bytes, token: str) -> Principal:
        """Raises NotAuthenticated. The same principal for the same token, as long as nothing of it changes."""
        now = self._clock.monotonic()
        known = self._tokens.get(mark)
        if known is not None and known[1] > now:
            return known[0]
        read = self._read(token)
        if isinstance(read, Lagging):
            await read.caught_up()
            read = self._read(token)
        if isinstance(read, Lagging):
            read = read.why
        if isinstance(read, str):
            self._tokens.pop(mark, None)
            raise NotAuthenticated(read, bad_token=True)
        principal, seconds = read
        if known is not None and known[0] == principal:
            principal = known[0]
        self._tokens[mark] = (principal, now + min(seconds, limits.CREDENTIAL_CACHE_SECONDS))
        self._tokens.move_to_end(mark)
        if len(self._tokens) > limits.TOKEN_CACHE_ENTRIES_MAX:
            self._tokens.popitem(last=False)
        return principal

    def _read(self, token: str) -> tuple[Principal, float] | str | Lagging:
        return "Bearer tokens are not taken here." if self._read_token is None else self._read_token(token.strip(" "))

    async def _login(self, ask: Ask, mark: bytes, credential: Credential) -> Principal:
        """What was right before and is asked about again, or a check. Raises as ``principal``."""
        address = address_of(ask)
        known = self._known.get(mark)
        if known is not None and known[2] is not None and known[1] > self._clock.monotonic():
            holder = await known[2]()
            if holder is not None:
                self.used(holder, address)
                return holder
            self._known.pop(mark, None)
        place = _place_of(address)
        try:
            who = await self._checked(mark, credential, place)
        except (NotAuthenticated, TooManyLogins, TokenNotTrusted) as refusal:
            if self._told is not None:
                self._told.wrong(ask, place, credential.name, refusal)
            raise
        self.used(who, address)
        if self._told is not None:
            self._told.right(ask, place, who)
        return who

    async def _checked(self, mark: bytes, credential: Credential, place: str) -> Principal:
        while True:
            sources = self._sources
            check = self._check(mark, credential, place)
            outcome = await asyncio.shield(check.outcome)
            if sources is not self._sources:
                continue  # the configuration was read again meanwhile: what the old one says holds no more
            if isinstance(outcome, str):
                raise NotAuthenticated(outcome)
            if outcome.still is None:
                return outcome.principal
            holder = await outcome.still()
            if holder is not None:
                return holder
            # It was taken back meanwhile, and the next check says so.

    def _mark(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).digest()

    def _check(self, mark: bytes, credential: Credential, place: str) -> _Check:
        """The check that runs already, or a new one. Raises TooManyLogins."""
        check = self._checking.get(mark)
        # Nobody guesses a secret of 256 bits, and looking it up costs nothing.
        trusted = mark in self._known or is_access_token(credential.password)
        # Nobody comes by a signature through guessing, and all jobs of a machine log in under one name: one whose token
        # ended holds up no other. Counted, forged tokens could also push counts of guessed passwords out of the memory.
        counted = not trusted and not credential.is_id_token
        target = self._mark(f"{place}\0{credential.name}")
        if check is not None:
            if counted and target not in check.tries:
                check.tries[target] = self._try(target)
            return check
        tries: dict[bytes, _Tries] = {}
        many = self._waiting.total() >= _WAITING_MAX or self._waiting[place] >= _WAITING_PER_PLACE_MAX
        if many and not trusted:
            raise TooManyLogins(_WAITING_RETRY_SECONDS, at_once=True)
        if counted:
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
    ) -> Checked | str:
        """Somebody, or why it is nobody. Only a failure leaves its mark on ``tries``."""
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

    def _remember(self, mark: bytes, outcome: Checked | str | None) -> None:
        if isinstance(outcome, str) or (outcome is not None and outcome.seconds <= 0):
            self._known.pop(mark, None)
        elif outcome is not None:
            until = self._clock.monotonic() + min(outcome.seconds, limits.CREDENTIAL_CACHE_SECONDS)
            self._known[mark] = (outcome.principal, until, outcome.still)
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


async def _ask_in_turn(sources: Sequence[IdentitySource], credential: Credential) -> Checked | str:
    for source in sources:
        match await source.verify(credential):
            case Principal() as principal:
                return Checked(principal)
            case Checked() as checked:
                return checked
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
