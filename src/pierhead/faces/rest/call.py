"""One request of the REST API, parsed, on its way to a verb; and what verbs need besides."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol
from urllib.parse import parse_qsl

from msgspec import Struct

from pierhead.actions.measure_storage import StorageGauge
from pierhead.domain import limits
from pierhead.domain.access import Grant, Principal, Right, require
from pierhead.domain.board import BoardPlan
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.refusals import DeletionUnsupported, Denied, QueryInvalid, RepositoryUnknown
from pierhead.faces.door.ask import Ask
from pierhead.faces.door.circumstances import circumstances
from pierhead.faces.door.ids import RequestIds
from pierhead.jobs.expire import Expiry
from pierhead.jobs.follow_record import Tail
from pierhead.jobs.loop import Outcome
from pierhead.ports.record_keys import RecordSigner
from pierhead.repositories.directory import Desk
from pierhead.repositories.facts import FactsShelf
from pierhead.repositories.hosted import Hosted
from pierhead.repositories.parts import Parts
from pierhead.repositories.proxy_status import ProxyStatus
from pierhead.repositories.table import Entry, Table

ITEMS_DEFAULT: Final = 100
ITEMS_MAX: Final = limits.PAGE_ITEMS_MAX
_PARAMETERS_MAX: Final = 32


class Listening(Struct, frozen=True):
    """A port: host:port where it listens and as people reach it. ``repository`` is None for the main one."""

    repository: RepositoryName | None
    listen: str
    external: str


class Server(Protocol):
    """What the API tells of the process itself. Instants are microseconds since 1970."""

    @property
    def version(self) -> str: ...
    @property
    def started(self) -> int: ...
    @property
    def external_url(self) -> str: ...
    @property
    def warnings(self) -> Sequence[str]: ...
    @property
    def reclaim(self) -> Callable[[], Awaitable[Outcome]]:
        """One step of reclaim, now."""

    @property
    def expiry(self) -> Expiry:
        """The rules in force, and what they would take away."""

    @property
    def tail(self) -> Tail:
        """Where the record of events is followed."""

    @property
    def plan(self) -> BoardPlan:
        """Stages, services and rules of the board, as the configuration has them."""

    def hosts(self) -> Iterable[tuple[str, RepositoryName | None]]:
        """host:port of every port, as it listens and as people reach it; None is the main one."""

    @property
    def facts(self) -> FactsShelf:
        """What is remembered of images' labels."""

    @property
    def record_signer(self) -> RecordSigner:
        """Whose public halves verify records of promotions."""

    def why_not_ready(self) -> str | None: ...
    async def proxies(self) -> Sequence[ProxyStatus]: ...
    def listening(self) -> Sequence[Listening]: ...


class Call(Struct, frozen=True):
    """``values`` are what the path gave, by the names in the route's braces, not yet parsed; ``keys`` are what its body
    may have."""

    ask: Ask
    who: Principal
    table: Table
    parts: Parts
    server: Server
    storage: StorageGauge
    values: Mapping[str, str]
    query: Mapping[str, str]
    desk: Desk
    keys: tuple[str, ...]
    ids: RequestIds
    again: Callable[[], Awaitable[Principal]]
    """Who asks, looked up anew: an answer may go on for longer than an account's rights. Raises NotAuthenticated."""

    # --- what the path names ---------------------------------------------------------------------------------------

    def entry(self) -> Entry:
        """The repository. Raises NameInvalid, RepositoryUnknown: also for one of which the account may see nothing."""
        name = RepositoryName.parse(self.values["repository"])
        known = [entry.name for entry in self.table.entries.values() if self.reads(entry)]
        if name not in known:
            raise RepositoryUnknown(name, known)
        self.ask.note["repository"] = name
        return self.table.entry(name)

    def image(self) -> ImageName:
        """Raises NameInvalid."""
        image = ImageName.parse(self.values["image"])
        self.ask.note["image"] = image
        return image

    def tag(self) -> Tag:
        """Raises TagInvalid."""
        return Tag.parse(self.values["tag"])

    def digest(self) -> Digest:
        """Raises DigestInvalid, DigestUnsupported."""
        return Digest.parse(self.values["digest"])

    # --- what the query says ---------------------------------------------------------------------------------------

    def prefix(self) -> str:
        """Empty if none is given."""
        return self.query.get("prefix", "")

    def limit(self) -> int:
        """How many entries a page has. Raises QueryInvalid."""
        text = self.query.get("limit")
        if text is None:
            return ITEMS_DEFAULT
        if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= ITEMS_MAX:
            raise QueryInvalid("limit", f"it is a whole number from 1 to {ITEMS_MAX}")
        return int(text)

    def cursor(self) -> str:
        """What the page begins behind, empty for the first. Raises QueryInvalid for what no answer ever gave."""
        text = self.query.get("cursor", "")
        try:
            return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
        except (ValueError, binascii.Error) as error:
            raise QueryInvalid("cursor", "it is not what `next` of the page before said") from error

    # --- rights ----------------------------------------------------------------------------------------------------

    def reads(self, entry: Entry) -> bool:
        """Whether the account sees a repository; of a group it sees the members that it may read."""
        return entry.readable_by(self.who)

    @property
    def operates(self) -> bool:
        """Whether it may see storage, upstreams and tasks."""
        return self.who.holds(Right.OPERATE)

    def need_operator(self, what: str) -> None:
        """Raises Denied. ``what`` continues "X may not"."""
        if not self.operates:
            raise Denied(self.who.name, what, "here", "That needs the role `operator` or `admin`.")

    def need_administrator(self, what: str) -> None:
        """Raises Denied. ``what`` continues "X may not"."""
        if not self.who.holds(Right.ADMINISTER):
            raise Denied(self.who.name, what, "here", "That needs the role `admin`.")

    def for_deletion(self) -> tuple[Hosted, Grant]:
        """Raises Denied, DeletionUnsupported for a group or a proxy."""
        entry = self.entry()
        if not isinstance(entry.repository, Hosted):
            hosted = [one.name for one in self.table.hosted_below(entry, self.who, self.image())]
            raise DeletionUnsupported(entry.name, entry.kind, hosted)
        return entry.repository, require(self.who, Right.DELETE, entry.name, self.image())

    def for_push(self, reference: str) -> tuple[Hosted, Grant]:
        """Raises Denied, StageFilledByPromotion; WrongPort for a proxy, and for a group without ``writable``."""
        target, grant = self.table.for_push(self.entry(), self.who, self.image(), reference, None)
        assert isinstance(target.repository, Hosted)
        return target.repository, grant

    def circumstances(self) -> Mapping[str, object]:
        """What an event tells of the request besides its subject."""
        return circumstances(self.ask, self.who, self.ids)


def cursor_of(last: str | None) -> str | None:
    """What ``next`` says for a page that ends with ``last``; None for the last page."""
    return None if last is None else base64.urlsafe_b64encode(last.encode()).decode().rstrip("=")


def query_of(ask: Ask, known: Sequence[str]) -> Mapping[str, str]:
    """The query. Raises QueryInvalid for a parameter that the route does not know, or that is given twice."""
    try:
        pairs = parse_qsl(ask.query, keep_blank_values=True, max_num_fields=_PARAMETERS_MAX, errors="strict")
    except ValueError as error:
        raise QueryInvalid("query", f"it has more than {_PARAMETERS_MAX} parameters, or is not UTF-8") from error
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            these = f"known are {', '.join(known)}" if known else "this address knows none"
            raise QueryInvalid(name[:64] if name.isprintable() else "query", these)
        if name in found:
            raise QueryInvalid(name, "it is given twice")
        found[name] = value
    return found
