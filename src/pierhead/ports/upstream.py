"""Another registry, which a proxy asks for what it does not keep.

Three outcomes, never mixed:

- the thing that was asked for;
- ``Absent``, **returned**: the upstream itself said a definite no. That is an answer 404 of the upstream's own host, or
  a 401 or 403 to a token which the upstream had granted for this very request (Docker Hub's answer for what is
  private or missing). A group goes on to its next member;
- ``Unavailable`` or ``UpstreamLimited`` (429), **raised**: neither yes nor no can be said. A 5xx, silence, a refused
  login, a lie, an answer that is no registry's: never a 404 to our own client, for a group that went on after it would
  let anybody on the upstream fill in for us (confusion by fault).

Every sentence names the upstream and the reason, and holds no credential and no signed address.

Traps for whoever writes an adapter: a GET of a manifest costs Docker Hub's quota, a HEAD does not, a blob does not;
credentials and tokens never follow a redirect to another origin; addresses that an upstream leads to are checked when
they are connected to, not when they are read (DNS rebinding); a body is capped while it comes, not after.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator
from typing import Protocol

from msgspec import Struct

from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.discreet import Discreet
from pierhead.domain.names import ImageName, Reference, Tag


class UpstreamSettings(Discreet, frozen=True):
    """Which registry, and how patient to be. Times are seconds, rates bytes per second.

    ``url`` is ``http(s)://host[:port][/folder]`` without ``/v2``. ``allow_private`` names what the upstream may lead to
    although it is no public address: networks (``10.0.0.0/8``) or places (``cdn.internal:443``). ``any_address`` is
    false for an upstream that did not come from the config file: its own address is then checked like a redirect.
    """

    url: str
    username: str = ""
    password: str = ""
    ca: str | None = None
    allow_private: tuple[str, ...] = ()
    any_address: bool = True
    connect_seconds: float = 5.0
    answer_seconds: float = limits.UPSTREAM_ANSWER_SECONDS_MAX - 0.5
    """From leaving the queue to the last byte of a manifest or the beginning of a blob, retries included."""
    list_seconds: float = 30.0
    """For all pages of a list of tags together."""
    queue_seconds: float = 300.0
    """How long a fetch waits for its turn while the upstream answers others; when it stops answering, none waits on."""
    stall_seconds: float = 20.0
    """Silence in the midst of a blob after which the connection is given up."""
    silent_seconds: float = 5.0
    """Silence in the midst of a blob after which the next one has its turn, though it may go on."""
    rate_window_seconds: float = 20.0
    rate_bytes_min: int = 1024
    """Less than this per second, measured over a window, gives the connection up as well."""
    retry_seconds: float = 0.25
    """The pause before the first retry is random below this; it doubles with each."""
    failures_to_open: int = 3
    probe_seconds: float = 2.0
    probe_seconds_max: float = 30.0
    probe_awaited_seconds: float = 0.0
    """How long after its time a probe may be late, before a call that comes then is the trial in its place."""
    limited_seconds: int = 60
    """How long a 429 without ``Retry-After`` is taken to mean."""
    fetches_at_once: int = limits.UPSTREAM_FETCHES_AT_ONCE


class UpstreamManifest(Struct, frozen=True):
    """``digest`` was computed here over ``body``; after a HEAD, ``body`` is None and ``digest`` what the upstream said.

    The bytes are not parsed: whether they are a manifest is for ``domain.manifest`` to say.
    """

    digest: Digest
    media_type: str
    size: int
    body: bytes | None


class Absent(Struct, frozen=True):
    """A definite no of the upstream; ``why`` is for the log."""

    why: str


class BlobStream(Protocol):
    """The bytes of one blob as they come; iterate once, then ``aclose``, in any case.

    The digest is **not** compared here but where the bytes land. A cut is mended up to three times by asking for the
    rest (``Range``), unseen by the reader. Iterating raises Unavailable when it cannot be mended.
    """

    @property
    def size(self) -> int | None:
        """In bytes, if the upstream said; a body of another length is raised as Unavailable."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def aclose(self) -> None: ...


class Circuit(enum.Enum):
    """CLOSED lets calls through; OPEN fails them at once; HALF_OPEN while one trial is under way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class RateLimit(Struct, frozen=True):
    """Docker Hub's ``ratelimit-*`` headers as last seen. ``source`` is an address, or the account's id."""

    limit: int | None
    remaining: int | None
    window_seconds: int | None
    source: str
    seen_at: int
    """Microseconds since 1970."""


class UpstreamState(Struct, frozen=True):
    """What status and metrics show. Instants are microseconds since 1970."""

    circuit: Circuit
    reason: str
    """Why the circuit is open, or what failed last; empty if nothing did."""
    since: int | None
    """When it stopped answering; None while the circuit is closed."""
    next_probe_at: int | None
    limited_until: int | None
    """Until when it allows no more pulls, if it said so."""
    rate_limit: RateLimit | None
    last_answer_at: int | None
    requests: int
    failures: int
    """Fetches that ended in Unavailable of the kinds down and slow, since the start."""
    bad_answers: int
    """Wrong digests, lies, foreign content: fetches that ended in Unavailable of the kind bad_answer."""
    fetching: int
    waiting: int
    failed_at: int | None = None
    """When a fetch last ended in Unavailable of any kind."""


class Upstream(Protocol):
    """The verbs with an image raise Unavailable and UpstreamLimited, and return Absent."""

    @property
    def name(self) -> str:
        """How sentences call it: ``Docker Hub``, or host and port."""

    @property
    def host(self) -> str:
        """``host[:port]`` as configured."""

    async def head(self, image: ImageName, reference: Reference) -> UpstreamManifest | Absent:
        """What a reference stands for, without a pull; a GET where the upstream's HEAD does not say enough."""

    async def manifest(self, image: ImageName, reference: Reference) -> UpstreamManifest | Absent:
        """A GET, of at most ``limits.MANIFEST_BYTES_MAX``. A digest that does not fit the bytes is a ``bad_answer``."""

    async def blob(self, image: ImageName, digest: Digest) -> BlobStream | Absent:
        """Returns when the upstream begins to answer with the bytes."""

    async def tags(self, image: ImageName) -> tuple[Tag, ...] | Absent:
        """All pages, in the upstream's order; what is no tag is left out. A list without end is a ``bad_answer``."""

    async def referrers(self, image: ImageName, digest: Digest, artifact_type: str | None) -> bytes | Absent:
        """An image index as JSON, all pages in one. Filter again: an upstream may ignore ``artifact_type``.

        Absent also where the upstream has no such address; then the tag ``Tag`` of the digest may hold the list.
        """

    def state(self) -> UpstreamState: ...

    async def probe(self) -> bool:
        """Asks ``/v2/``, whatever the circuit says, and opens or closes it. True if it answers; never raises.

        To be called at ``state().next_probe_at`` while the circuit is open.
        """

    def renew(self, username: str, password: str) -> None:
        """New credentials: tokens and remembered failures of the old ones are dropped, the circuit closes."""

    async def aclose(self) -> None:
        """Ends all connections."""
