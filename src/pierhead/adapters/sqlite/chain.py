"""Is the record of events whole? Read in order, page by page, from a file that a server may be writing to.

A row's hash covers the row and the hash before it. Whoever changes a row, takes one out or swaps two has to compute
every hash behind it anew, and then the newest one differs from what was noted elsewhere: so heads that were written
down at other places (the server's log, a ticket) are held against the chain. Only they show a record that was cut off
at its end; the tags, which name the events that wrote them, show that as well for what wrote a tag.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import apsw
from msgspec import Struct, field

from pierhead.adapters.sqlite.connect import DatabaseRefused, belongs_here
from pierhead.ports.metadata.audit import RecordHead

_PAGE_ROWS: Final = 10_000
"""Read in one snapshot: what is read for long keeps a server's log of changes from being taken in."""
_SHOWN_MAX: Final = 100
_FRAMED_MAX: Final = 10_000
_BEFORE_ALL: Final = -(2**63)
_ROWS: Final = (
    "SELECT seq, at, kind, account, image_id, CAST(body AS BLOB), hash FROM events WHERE seq>? ORDER BY seq LIMIT ?"
)
_GENESIS: Final = bytes(32)


class Problem(Struct, frozen=True):
    """``what`` is ``altered``, ``missing``, ``clock``, ``cut off`` or ``head``; ``says`` a sentence."""

    seq: int
    what: str
    says: str


class Verdict(Struct):
    """``problems`` holds the first hundred; ``wrong`` counts all of them."""

    rows: int = 0
    first: int = 0
    head: RecordHead = field(default_factory=lambda: RecordHead(0, _GENESIS))
    cut: RecordHead | None = None
    """The last event that the program itself has taken out, since the configuration keeps events for so long only."""
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
        self._hash = _Hasher().of

    def run(self, progress: Callable[[int, int], None]) -> Verdict:
        verdict = self._verdict
        # Before the rows are read: a server that goes on writing writes a tag and its event at once.
        told = self._execute("SELECT max(event) FROM tags").get
        end = self._execute("SELECT max(seq) FROM events").get
        verdict.cut = cut = self._anchor()
        before: bytes | None
        last, before, at_before = 0, _GENESIS, -1
        follows = self._hash
        while True:
            page: list[Any] = self._execute(_ROWS, (last if verdict.rows else _BEFORE_ALL, _PAGE_ROWS)).fetchall()
            if page and not verdict.rows:
                verdict.first = first = page[0][0]
                if cut is not None and 1 < first <= cut.seq + 1:
                    last = first - 1
                    # In the midst of a cut what is first is on its way out: what it follows from is gone already.
                    before = cut.hash if first == cut.seq + 1 else None
            verdict.rows += len(page)
            for seq, at, kind, account, image, body, found in page:
                fits = before is None or found == follows(before, seq, at, kind, account, image, body)
                if cut is not None and seq == cut.seq and found != cut.hash:
                    fits = False
                if not fits or seq != last + 1 or at < at_before:
                    self._odd(seq, last, fits, at < at_before)
                if seq in self._heads:
                    self._hold(seq, found)
                if seq > 0:
                    last, before, at_before = seq, found, at
            progress(verdict.rows, max(verdict.rows, end if isinstance(end, int) else 0))
            if len(page) < _PAGE_ROWS:
                break
        verdict.head = RecordHead(last, before or _GENESIS)
        self._end(last, told if isinstance(told, int) else 0)
        return verdict

    def _anchor(self) -> RecordHead | None:
        """What the newest event of a cut says was the last one to go; it stands in the chain itself."""
        body = self._execute("SELECT body FROM events WHERE kind='audit.cut' ORDER BY seq DESC LIMIT 1").get
        try:
            told = json.loads(body) if isinstance(body, str) else {}
            return RecordHead(int(told["upto"]), bytes.fromhex(told["hash"]))
        except (ValueError, KeyError, TypeError):
            return None

    def _odd(self, seq: int, last: int, fits: bool, back: bool) -> None:
        """What is wrong with an event behind ``last``. ``fits``: its hash follows; ``back``: its clock went back."""
        note = self._verdict.note
        expected = last + 1
        if seq < 1:
            note(seq, "altered", f"event {seq} has a number that no event has: it was put in.")
        elif seq != expected:
            these = f"event {expected} is" if expected == seq - 1 else f"events {expected} to {seq - 1} are"
            note(seq, "missing", f"{these} missing: they were taken out.")
        elif not fits:
            note(seq, "altered", f"event {seq} does not follow from event {last}: one of the two was altered.")
        if back:
            note(seq, "clock", f"event {seq} says that it took place before event {last}.")

    def _hold(self, seq: int, found: bytes) -> None:
        for head in self._heads[seq]:
            if head.hash != found:
                says = f"event {seq} is another one than the head that was given: {head}."
                self._verdict.note(seq, "head", says)

    def _end(self, last: int, told: int) -> None:
        for seq in sorted(self._heads):
            if seq > last:
                says = f"the record ends with event {last}, but the head that was given is event {seq}: it was cut off."
                self._verdict.note(seq, "cut off", says)
        if told > last:
            says = f"the record ends with event {last}, but event {told} wrote a tag: it was cut off."
            self._verdict.note(told, "cut off", says)


class _Hasher:
    """``rows.chain_hash`` for a million rows: few kinds, accounts and lengths recur. Tests hold the two together."""

    def __init__(self) -> None:
        self._framed: dict[str, bytes] = {}
        self._lengths = [size.to_bytes(4, "big") for size in range(32)]

    def of(self, before: bytes, seq: int, at: int, kind: str, account: str, image: int | None, body: bytes) -> bytes:
        """SHA-256 over the hash before and every field of a row; ``body`` as it is stored."""
        lengths = self._lengths
        one, two, three = b"%d" % seq, b"%d" % at, b"" if image is None else b"%d" % image
        raw = b"%b%b%b%b%b%b%b%b%b%b" % (
            before,
            lengths[len(one)],
            one,
            lengths[len(two)],
            two,
            self._framed.get(kind) or self._frame(kind),
            self._framed.get(account) or self._frame(account),
            lengths[len(three)],
            three,
            body,
        )
        return hashlib.sha256(raw).digest()

    def _frame(self, text: str) -> bytes:
        if len(self._framed) >= _FRAMED_MAX:
            self._framed.clear()
        raw = text.encode()
        return self._framed.setdefault(text, len(raw).to_bytes(4, "big") + raw)
