"""The transaction: one object for each noun, all on the writer's connection."""

from __future__ import annotations

import hashlib

import apsw
import msgspec

from pierhead.adapters.sqlite.accounts import SqliteAccessTokens, SqliteAccounts, SqliteRoles, SqliteUses
from pierhead.adapters.sqlite.blobs import SqliteBlobs, SqliteReclaims
from pierhead.adapters.sqlite.device_logins import SqliteDeviceLogins
from pierhead.adapters.sqlite.expiry import SqliteExpiry
from pierhead.adapters.sqlite.graph import SqliteGraph
from pierhead.adapters.sqlite.manifests import SqliteManifests
from pierhead.adapters.sqlite.promotions import SqlitePointers, SqlitePromotions
from pierhead.adapters.sqlite.pulls import SqlitePulls
from pierhead.adapters.sqlite.refreshes import SqliteRefreshes
from pierhead.adapters.sqlite.repositories import (
    SqliteCache,
    SqliteImages,
    SqliteJobs,
    SqliteNotes,
    SqliteRepositories,
)
from pierhead.adapters.sqlite.running import SqliteRunning
from pierhead.adapters.sqlite.sessions import SqliteSessions
from pierhead.adapters.sqlite.tags import SqliteTags
from pierhead.adapters.sqlite.trash import SqliteTrash
from pierhead.adapters.sqlite.uploads import SqliteUploads
from pierhead.ports.clock import Clock
from pierhead.ports.metadata.values import Event, EventId, ImageId

_GENESIS = bytes(32)


class Moment:
    """The instant of the transaction that runs, shared by its nouns; never at or before one that is stored."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0


class SqliteEvents:
    """The chained record. ``head`` is the last (seq, hash), put back when a savepoint is undone."""

    def __init__(self, connection: apsw.Connection, moment: Moment) -> None:
        self._connection = connection
        self._moment = moment
        self._encode = msgspec.json.Encoder(order="sorted", enc_hook=str).encode
        self.head: tuple[int, bytes] = (0, _GENESIS)

    def append(self, image: ImageId | None, event: Event) -> EventId:
        """Adds ``event``; its hash covers the one before it."""
        seq, before = self.head
        seq += 1
        body = self._encode(event.body)
        at = self._moment.now
        digest = chain_hash(before, seq, at, event.kind, event.account, image, body)
        self._connection.execute(
            "INSERT INTO events (seq, at, kind, account, image_id, body, hash) VALUES (?,?,?,?,?,?,?)",
            (seq, at, event.kind, event.account, image, body.decode(), digest),
        )
        self.head = (seq, digest)
        return EventId(seq)


def chain_hash(before: bytes, seq: int, at: int, kind: str, account: str, image: int | None, body: bytes) -> bytes:
    """SHA-256 over the hash before and every field of a row; lengths keep fields apart."""
    state = hashlib.sha256(before)
    for field in (str(seq), str(at), kind, account, "" if image is None else str(image)):
        raw = field.encode()
        state.update(len(raw).to_bytes(4, "big") + raw)
    state.update(body)
    return state.digest()


class Transaction:
    """What ``Store.write`` hands to its function. Only whoever has the writer's connection touches it."""

    def __init__(self, connection: apsw.Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._moment = Moment()
        self.repositories = SqliteRepositories(connection)
        self.images = SqliteImages(connection, self._moment)
        self.tags = SqliteTags(connection, self._moment)
        self.manifests = SqliteManifests(connection, self._moment)
        self.pulls = SqlitePulls(connection, self._moment)
        self.expiry = SqliteExpiry(connection)
        self.trash = SqliteTrash(connection, self._moment)
        self.blobs = SqliteBlobs(connection, self._moment)
        self.reclaims = SqliteReclaims(connection, self._moment)
        self.uploads = SqliteUploads(connection)
        self.cache = SqliteCache(connection)
        self.events = SqliteEvents(connection, self._moment)
        self.jobs = SqliteJobs(connection, self._moment)
        self.notes = SqliteNotes(connection)
        self.sessions = SqliteSessions(connection)
        self.device_logins = SqliteDeviceLogins(connection)
        self.accounts = SqliteAccounts(connection)
        self.roles = SqliteRoles(connection)
        self.access_tokens = SqliteAccessTokens(connection, self._moment)
        self.uses = SqliteUses(connection)
        self.refreshes = SqliteRefreshes(connection)
        self.running = SqliteRunning(connection)
        self.promotions = SqlitePromotions(connection, self._moment)
        self.pointers = SqlitePointers(connection, self._moment)
        self.graph = SqliteGraph(connection, self._moment)

    @property
    def now(self) -> int:
        """Microseconds since 1970, UTC; one instant for everything in this transaction."""
        return self._moment.now

    def begin(self) -> None:
        """Reads what another process may have moved on: the head of the record and its instant."""
        self._forget()
        last = self._connection.execute("SELECT seq, at, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        seq, at, digest = last if last is not None else (0, 0, _GENESIS)
        self.events.head = (seq, digest)
        self._moment.now = max(self._clock.now(), at + 1, self._moment.now + 1)

    def mark(self) -> tuple[int, bytes]:
        """What ``reset`` needs to undo a savepoint; also moves the instant on, so that no two operations share one."""
        self._moment.now += 1
        return self.events.head

    def reset(self, mark: tuple[int, bytes]) -> None:
        """Puts the head of the record back to where it was at ``mark``."""
        self.events.head = mark
        self._forget()

    def _forget(self) -> None:
        self.repositories.forget()
        self.images.forget()
