"""Is the record of events whole? Read in order, page by page, from a file that a server may be writing to.

A row's hash covers the row and the hash before it. Whoever changes a row, takes one out or swaps two has to compute
every hash behind it anew, and then the newest one differs from what was noted elsewhere: so heads that were written
down at other places (the server's log, a ticket) are held against the chain. Only they show a record that was cut off
at its end; the tags, which name the events that wrote them, show that as well for what wrote a tag.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import apsw

from pierhead.adapters.sqlite.connect import DatabaseRefused, belongs_here
from pierhead.ports.metadata.audit import RecordHead

_PAGE_ROWS: Final = 10_000
"""Read in one snapshot: what is read for long keeps a server's log of changes from being taken in."""
_SHOWN_MAX: Final = 100
_BEFORE_ALL: Final = -(2**63)
_ROWS: Final = "SELECT seq, at, kind, account, image_id, body, hash FROM events WHERE seq>? ORDER BY seq LIMIT ?"
_GENESIS: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Problem:
    """``what`` is ``altered``, ``missing``, ``clock``, ``cut off`` or ``head``; ``says`` a sentence."""

    seq: int
    what: str
    says: str


@dataclass(slots=True)
class Verdict:
    """``problems`` holds the first hundred; ``wrong`` counts all of them."""

    rows: int = 0
    first: int = 0
    head: RecordHead = field(default_factory=lambda: RecordHead(0, _GENESIS))
    wrong: int = 0
    problems: list[Problem] = field(default_factory=list)

    def note(self, seq: int, what: str, says: str) -> None:
        """One more problem."""
        self.wrong += 1
        if len(self.problems) < _SHOWN_MAX:
            self.problems.append(Problem(seq, what, says))


def verify(path: Path, heads: Sequence[RecordHead], progress: Callable[[int, int], None]) -> Verdict:
    """Checks every row, and that each of ``heads`` stands in the record. ``progress`` gets rows done and rows in all.

    Raises DatabaseRefused for a file that is none of this program's, or that cannot be read.
    """
    connection = open_to_read(path)
    try:
        return _Check(connection, heads).run(progress)
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise DatabaseRefused(
            "The database is damaged, so the record cannot be read. Restore the last backup."
        ) from error
    except apsw.Error as error:
        raise DatabaseRefused(f"The record cannot be read ({type(error).__name__}). Try again.") from error
    finally:
        connection.close()


def open_to_read(path: Path) -> apsw.Connection:
    """A connection that cannot write, beside a server or without one. Raises DatabaseRefused."""
    try:
        return _opened(str(path), apsw.SQLITE_OPEN_READONLY)
    except apsw.CantOpenError:
        pass
    # On a medium that takes no writes SQLite cannot make the files beside the database that it shares with others.
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        raise DatabaseRefused(f"{log} cannot be taken into account, since the folder takes no writes. Copy the folder.")
    try:
        return _opened(f"{path.absolute().as_uri()}?immutable=1", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    except apsw.CantOpenError as error:
        raise DatabaseRefused(f"{path} cannot be read. Run this as the server's own user.") from error


def _opened(name: str, flags: int) -> apsw.Connection:
    connection = apsw.Connection(name, flags=flags)
    try:
        connection.set_busy_timeout(5000)
        belongs_here(connection)
        if not connection.execute("SELECT count(*) FROM sqlite_schema WHERE name='events'").get:
            raise DatabaseRefused("The database has no record of events yet. Start the server once.")
    except apsw.NotADBError as error:
        connection.close()
        raise DatabaseRefused("The database file is no database, or is damaged. Restore the last backup.") from error
    except BaseException:
        connection.close()
        raise
    return connection


class _Check:
    def __init__(self, connection: apsw.Connection, heads: Sequence[RecordHead]) -> None:
        self._execute = connection.execute
        self._heads: Mapping[int, list[RecordHead]] = {
            seq: [one for one in heads if one.seq == seq] for seq in {one.seq for one in heads}
        }
        self._verdict = Verdict()

    def run(self, progress: Callable[[int, int], None]) -> Verdict:
        verdict = self._verdict
        # Before the rows are read: a server that goes on writing writes a tag and its event at once.
        told = self._execute("SELECT max(event) FROM tags").get
        end = self._execute("SELECT max(seq) FROM events").get
        seq, before, at = 0, _GENESIS, -1
        while True:
            page: list[Any] = self._execute(_ROWS, (seq if verdict.rows else _BEFORE_ALL, _PAGE_ROWS)).fetchall()
            for row in page:
                at = self._row(row, seq, before, at)
                seq, found = int(row[0]), row[6]
                before = found if seq > 0 and isinstance(found, bytes) else _GENESIS
            progress(verdict.rows, max(verdict.rows, end if isinstance(end, int) else 0))
            if len(page) < _PAGE_ROWS:
                break
        verdict.head = RecordHead(seq, before)
        self._end(seq, told if isinstance(told, int) else 0)
        return verdict

    def _row(self, row: Sequence[Any], last: int, before: bytes, at_before: int) -> int:
        """Checks one row against the one before it; returns its instant. The table is STRICT, so types hold."""
        seq, at, kind, account, image, body, found = row
        verdict = self._verdict
        if not verdict.rows:
            verdict.first = seq
        verdict.rows += 1
        if seq < 1:
            verdict.note(seq, "altered", f"event {seq} has a number that no event has: it was put in.")
        elif seq != max(last, 0) + 1:
            first, until = max(last, 0) + 1, seq - 1
            these = f"event {first} is" if first == until else f"events {first} to {until} are"
            verdict.note(seq, "missing", f"{these} missing: they were taken out.")
        elif found != _hash(before, seq, at, kind, account, image, body):
            verdict.note(seq, "altered", f"event {seq} does not follow from event {last}: one of the two was altered.")
        if at < at_before:
            verdict.note(seq, "clock", f"event {seq} says that it took place before event {last}.")
        for head in self._heads.get(seq, ()):
            if head.hash != found:
                verdict.note(seq, "head", f"event {seq} is another one than the head that was given: {head}.")
        return int(at)

    def _end(self, last: int, told: int) -> None:
        for seq in sorted(self._heads):
            if seq > last:
                says = f"the record ends with event {last}, but the head that was given is event {seq}: it was cut off."
                self._verdict.note(seq, "cut off", says)
        if told > last:
            says = f"the record ends with event {last}, but event {told} wrote a tag: it was cut off."
            self._verdict.note(told, "cut off", says)


def _hash(before: bytes, seq: int, at: int, kind: object, account: object, image: object, body: object) -> bytes:
    """``rows.chain_hash`` in one piece; a test holds the two against each other."""
    raw = [str(seq).encode(), str(at).encode(), str(kind).encode(), str(account).encode()]
    raw.append(b"" if image is None else str(image).encode())
    pieces = [before]
    for one in raw:
        pieces += (len(one).to_bytes(4, "big"), one)
    pieces.append(str(body).encode())
    return hashlib.sha256(b"".join(pieces)).digest()
