"""The metadata store: look-ups for the pull path, transactions for the rest.

A transaction is a plain function of a ``Tx``: it cannot wait, so nothing in it can depend on a network. ``tx.now`` is
its only clock, and never smaller than any instant that is stored. Statements decide, not questions before them:
``tags.claim`` inserts or says who holds the tag.

Verbs speak in plurals, since a database behind a network pays for each statement.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeVar

from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.policy import OnceRule, WritePolicy, Writing
from pierhead.ports.metadata.accounts import AccessTokenRow, AccessTokens, Accounts, Roles, Uses
from pierhead.ports.metadata.device_logins import DeviceLogins
from pierhead.ports.metadata.expiry import ExpiryChecks
from pierhead.ports.metadata.promotions import Graph, Pointers, Promotions
from pierhead.ports.metadata.pulls import PullCounts
from pierhead.ports.metadata.reports import Reports
from pierhead.ports.metadata.running import Running
from pierhead.ports.metadata.sessions import SessionRow, Sessions
from pierhead.ports.metadata.trash import Trash
from pierhead.ports.metadata.values import (
    BlobId,
    BlobRow,
    BlobState,
    CacheEntry,
    Claimed,
    Event,
    EventId,
    Held,
    ImageId,
    ManifestId,
    NewManifest,
    ReferrerRow,
    RefreshRow,
    RepositoryId,
    RepositoryRow,
    StoredManifest,
    TagHit,
    UploadRow,
)

T = TypeVar("T")

Members = tuple[RepositoryId, ...]
"""The repositories that a look-up searches; which of several hits counts is the caller's to say."""


class Repositories(Protocol):
    def ensure(
        self, name: RepositoryName, kind: str, policy: WritePolicy, once: tuple[OnceRule, ...] = ()
    ) -> RepositoryRow:
        """Makes or updates the row; a repository keeps its id, and so its content, for ever."""

    def all(self) -> Sequence[RepositoryRow]: ...

    def policy(self, repository: RepositoryId) -> WritePolicy: ...

    def writing(self, repository: RepositoryId) -> Writing:
        """The policy, and the rules that write tags once whatever it says."""


class Images(Protocol):
    def find(self, repository: RepositoryId, name: ImageName) -> ImageId | None: ...

    def ensure(self, repository: RepositoryId, name: ImageName) -> ImageId: ...


class Tags(Protocol):
    def claim(self, image: ImageId, name: Tag, manifest: ManifestId, event: EventId) -> Claimed | Held:
        """Writes a tag that is written once. A tag that was ever claimed takes only the manifest that it had."""

    def move(self, image: ImageId, name: Tag, manifest: ManifestId, event: EventId) -> Claimed:
        """Points a tag at a manifest, closing the interval before."""

    def close(self, image: ImageId, name: Tag, event: EventId, *, spend: bool) -> ManifestId | None:
        """Takes a tag away; None if there was none. With ``spend`` it counts as claimed from now on, if it did not."""

    def held(self, image: ImageId, names: Collection[Tag]) -> Mapping[Tag, ManifestId]:
        """What those of ``names`` that are there point at now."""

    def pointing(self, image: ImageId, names: Collection[Tag]) -> Mapping[Tag, Digest]:
        """The same as digests, for the record."""

    def spent(self, image: ImageId, name: Tag) -> Held | None:
        """What a tag was that was written once, be it there still or not."""

    def of_manifest(self, image: ImageId, manifest: ManifestId) -> Sequence[tuple[Tag, bool]]:
        """Tags that point at the manifest now, each with whether it is written once."""


class Manifests(Protocol):
    def put(self, new: NewManifest) -> ManifestId:
        """Stores it unless it is there, and returns its id. Blobs that were missing when it was cached are added."""

    def find(self, image: ImageId, digests: Collection[Digest]) -> Mapping[Digest, ManifestId]:
        """Which of ``digests`` the image holds."""

    def link(self, image: ImageId, manifests: Collection[ManifestId]) -> None: ...

    def touch(self, image: ImageId, digest: Digest) -> None:
        """Counts a manifest of the image as one that came just now; within a minute once."""

    def unlink(self, image: ImageId, manifest: ManifestId) -> bool:
        """Takes the manifest from the image, its referrer row too; forgets it if no image holds it."""

    def parents(self, image: ImageId, digest: Digest) -> Sequence[Digest]:
        """Indexes of the image that name ``digest`` among their manifests."""

    def sizes(self, manifests: Collection[ManifestId]) -> Mapping[Digest, int]:
        """Bytes of each, by digest."""

    def depth(self, digests: Collection[Digest], most: int) -> int:
        """How many manifests stand below each other from ``digests`` down, themselves counted; stops at ``most``."""

    def blobs(self, manifest: ManifestId) -> Sequence[BlobId]: ...

    def refer(self, image: ImageId, subject: Digest, artifact_type: str, manifest: ManifestId) -> None: ...

    def stored(self, manifest: ManifestId) -> StoredManifest: ...


class Blobs(Protocol):
    def rows(self, digests: Collection[Digest]) -> Mapping[Digest, BlobRow]:
        """What the store knows of ``digests``, whichever image holds them. Bodies are left out."""

    def linked(self, image: ImageId, digests: Collection[Digest]) -> Mapping[Digest, BlobRow]:
        """Those of ``digests`` that the image was given, in state LIVE or CONDEMNED. Bodies are left out."""

    def land(self, digest: Digest, size: int, generation: str, body: bytes | None) -> tuple[BlobId, str]:
        """Makes the blob LIVE with these bytes; returns its id and the generation that it replaces ("" if none)."""

    def expect(self, wanted: Sequence[tuple[Digest, int]]) -> Mapping[Digest, BlobRow]:
        """Rows for all of ``wanted`` (digest, size); those that are not there are made, ABSENT."""

    def link(self, image: ImageId, blobs: Collection[BlobId]) -> None: ...

    def unlink(self, image: ImageId, blob: BlobId) -> bool: ...

    def lease(self, image: ImageId, blobs: Collection[BlobId], until: int, *, live: bool = False) -> None:
        """Keeps ``blobs`` until then, whatever refers to them; makes CONDEMNED ones LIVE, puts them up for review.

        ``live``: the caller has seen in this transaction that all of them are.
        """

    def named_by(self, image: ImageId, blob: BlobId) -> Digest | None:
        """A manifest of the image that names the blob."""

    def verify(self, blobs: Collection[BlobRow]) -> None:
        """Notes that these bytes were read and are what their digests say; not where other bytes have come since."""

    def lose(self, blob: BlobRow) -> bool:
        """Makes a LIVE or CONDEMNED blob ABSENT, whose bytes of this generation are not what its digest says: from now
        on no look-up finds it, and whoever pushes or fetches it brings it back. False if it has other bytes by now."""


class Reclaims(Protocol):
    """The review queue. Every blob that no manifest names stands in it, so that none is overlooked for ever."""

    def review(self, blobs: Collection[BlobId], at: int) -> None:
        """Puts blobs into the review queue, due ``at``; an earlier date stands."""

    def due(self, limit: int) -> Sequence[BlobRow]:
        """Blobs whose review is due at ``tx.now``, the longest due first; none that are DELETING."""

    def wanted(self, blob: BlobId) -> int | None:
        """None if nothing refers to the blob; else when to look again: the end of the last lease, or 0 for a blob that
        a manifest names and no lease keeps."""

    def postpone(self, blob: BlobId, review: int) -> None:
        """Sets the date of the next review, later or earlier than it was."""

    def mark(self, blob: BlobRow, state: BlobState) -> None:
        """Moves a blob from the state that ``blob`` says to ``state``; DELETING is found by no look-up."""

    def deleting(self, limit: int) -> Sequence[BlobRow]: ...

    def forget(self, blob: BlobId, generation: str) -> None:
        """Forgets a DELETING blob of this generation, or an ABSENT one, with its links and its place in the queue.

        One that a cached manifest names meanwhile becomes ABSENT instead. Does nothing if new bytes have landed.
        """

    def settle(self, blob: BlobId) -> None:
        """Takes a blob out of the review queue, since a manifest names it; a CONDEMNED one is LIVE again."""


class Uploads(Protocol):
    def open(self, row: UploadRow) -> None: ...

    def find(self, upload: str) -> UploadRow | None: ...

    def count(self, account: str) -> int:
        """Sessions of the account that are open."""

    def end(self, upload: str, digest: Digest | None) -> bool:
        """Ends a session: with the digest it is remembered for a while, without it is forgotten. False if not open."""

    def conclude(self, row: UploadRow, digest: Digest) -> bool:
        """Opens and ends a session at once, as ``end`` does; False if it was ended before."""

    def idle(self, before: int, limit: int) -> Sequence[str]:
        """Ids of sessions, open or ended, that were begun before then."""

    def prolong(self, uploads: Mapping[str, int]) -> None:
        """Counts sessions that are written to still as begun at the given instants."""

    def forget(self, uploads: Collection[str]) -> None: ...


class Cache(Protocol):
    def note(self, image: ImageId, tag: Tag, digest: Digest, checked: int) -> None:
        """What the upstream said of a tag, and when."""

    def forget(self, image: ImageId, tag: Tag) -> None: ...

    def waiting(self, image: ImageId, digest: Digest) -> Sequence[Tag]:
        """Tags of which the upstream said last that they stand for ``digest``."""


class Events(Protocol):
    def append(self, image: ImageId | None, event: Event) -> EventId:
        """Adds to the chained record, in this transaction."""


class Jobs(Protocol):
    def take(self, name: str, holder: str, until: int) -> bool:
        """A lease on work that must happen once at a time; False if another holds it still."""


class Notes(Protocol):
    """A few values of the installation itself, such as the hash of the first password."""

    def get(self, name: str) -> str | None: ...

    def put(self, name: str, value: str) -> None: ...

    def keep_only(self, prefix: str, names: Collection[str]) -> None:
        """Forgets what is called ``prefix`` and then something else than one of ``names``."""


class Refreshes(Protocol):
    """Refresh tokens. ``mark`` is SHA-256 of the token, which stands nowhere itself."""

    def add(self, mark: bytes, row: RefreshRow, most: int) -> None:
        """Keeps one (its id is given by the store); all that have ended go, and an account's oldest beyond ``most``."""

    def touch(self, refresh: int, used: int) -> None: ...

    def revoke(self, account: str, refresh: int | None) -> int:
        """Takes back one of an account's, or with None all; returns how many."""


class Tx(Protocol):
    @property
    def now(self) -> int: ...
    @property
    def repositories(self) -> Repositories: ...
    @property
    def images(self) -> Images: ...
    @property
    def tags(self) -> Tags: ...
    @property
    def manifests(self) -> Manifests: ...
    @property
    def trash(self) -> Trash: ...
    @property
    def pulls(self) -> PullCounts: ...
    @property
    def expiry(self) -> ExpiryChecks: ...
    @property
    def blobs(self) -> Blobs: ...
    @property
    def reclaims(self) -> Reclaims: ...
    @property
    def uploads(self) -> Uploads: ...
    @property
    def cache(self) -> Cache: ...
    @property
    def events(self) -> Events: ...
    @property
    def jobs(self) -> Jobs: ...
    @property
    def notes(self) -> Notes: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def device_logins(self) -> DeviceLogins: ...
    @property
    def accounts(self) -> Accounts: ...
    @property
    def roles(self) -> Roles: ...
    @property
    def access_tokens(self) -> AccessTokens: ...
    @property
    def uses(self) -> Uses: ...
    @property
    def refreshes(self) -> Refreshes: ...
    @property
    def running(self) -> Running: ...
    @property
    def promotions(self) -> Promotions: ...
    @property
    def pointers(self) -> Pointers: ...
    @property
    def graph(self) -> Graph: ...


class Lookups(Protocol):
    """The pull path; each is one statement. Asynchronous so that a database behind a network fits."""

    async def tag(self, members: Members, image: ImageName, tag: Tag) -> Sequence[TagHit]:
        """At most one hit a member, unordered."""

    async def manifest(self, members: Members, image: ImageName, digest: Digest) -> Sequence[TagHit]:
        """The same for a digest."""

    async def stored(self, manifest: ManifestId) -> StoredManifest:
        """Behind a bounded cache: manifests never change."""

    async def blob(self, members: Members, image: ImageName, digest: Digest) -> tuple[RepositoryId, BlobRow] | None:
        """A LIVE or CONDEMNED blob that one of the members' images was given, with its body if it is small."""

    async def known(self, digest: Digest) -> BlobRow | None:
        """What the store holds under ``digest``, whoever was given it; never to answer a client from."""

    async def review(self, blob: BlobId) -> int | None:
        """When the blob's turn in the review queue comes; None if it does not stand there."""

    async def tags(self, members: Members, image: ImageName, last: str, limit: int) -> Sequence[Tag] | None:
        """Open tags above ``last``, sorted, without doubles; None if no member knows the image."""

    async def images(self, members: Members, last: str, limit: int) -> Sequence[ImageName]:
        """Images that hold something, above ``last``, sorted, without doubles."""

    async def referrers(
        self, members: Members, image: ImageName, subject: Digest, artifact_type: str | None, after: int, limit: int
    ) -> Sequence[ReferrerRow]:
        """By manifest id, those above ``after``, each once; ``artifact_type`` None takes all types."""

    async def upload(self, upload: str) -> UploadRow | None: ...

    async def opening(self, repository: RepositoryId, account: str) -> tuple[WritePolicy, int]:
        """What decides on a new session: the policy of the repository, and how many the account has open."""

    async def cached(self, repository: RepositoryId, image: ImageName, tag: Tag) -> CacheEntry | None: ...

    async def naming(self, repository: RepositoryId, image: ImageName, digest: Digest) -> ManifestId | None:
        """A manifest or index of the image that names ``digest``, as a blob or as a manifest."""

    async def session(self, session: bytes) -> SessionRow | None:
        """By its id; also one that nobody has used for too long."""

    async def shared(self, repository: RepositoryId, digest: Digest) -> BlobRow | None:
        """A LIVE blob that any image of the repository was given."""

    async def access_token(self, digest: bytes) -> AccessTokenRow | None:
        """By the SHA-256 of its secret; revoked and expired ones too."""

    async def note(self, name: str) -> str | None:
        """A value of the installation itself (``Notes``), as it stands now."""


class Store(Protocol):
    @property
    def lookups(self) -> Lookups: ...

    def write(
        self, fn: Callable[[Tx], T], *, durable: bool = True, brief: bool = False, vital: bool = False
    ) -> Awaitable[T]:
        """Runs ``fn`` alone; what it returns comes when it is on disk. What it raises undoes it, and it alone.

        With ``durable=False`` the commit may be lost with the machine's power, though never torn. ``brief``: it takes
        a few dozen look-ups and rows, however much is stored, and may run on the loop. ``vital``: it frees space, or
        nothing goes on without it; on a full disk it may have what is set aside for that, and while that is in use
        everything else is refused. Raises Unavailable when nobody can say whether the commit took place.
        """

    def tend_reserve(self) -> Awaitable[bool]:
        """Sets space aside for vital writes if there is enough; whether such that was given up is back."""

    def report(self, fn: Callable[[Reports], T]) -> Awaitable[T]:
        """Runs ``fn`` in a worker thread over one snapshot, for at most five seconds."""

    def check(self) -> Awaitable[Sequence[str]]:
        """Reads the whole database in a worker thread; returns what is wrong, and then refuses writes."""

    def health(self) -> str | None:
        """Why writes are refused, None if they are not."""
