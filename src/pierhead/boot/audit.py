"""The record of events of a data folder that a server may be using: is it whole, and where does it stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pierhead.adapters.sqlite.chain import Problem, Verdict, open_to_read
from pierhead.adapters.sqlite.chain import verify as verify_chain
from pierhead.adapters.sqlite.connect import DatabaseRefused
from pierhead.adapters.sqlite.record import head as head_of
from pierhead.boot.reset import NoDataFolder
from pierhead.boot.wire import DATABASE_FILE
from pierhead.ports.metadata.audit import RecordHead

__all__ = ["NoDataFolder", "Problem", "Verdict", "head", "heads_in", "verify"]

_HEAD: Final = re.compile(r"(?<![\w:])([1-9]\d{0,17}):([0-9a-f]{64})(?!\w)")


def verify(data: Path, heads: Sequence[RecordHead], progress: Callable[[int, int], None]) -> Verdict:
    """Reads the whole record; ``progress`` gets rows done and rows in all. Raises NoDataFolder."""
    try:
        return verify_chain(_database(data), heads, progress)
    except DatabaseRefused as refused:
        raise NoDataFolder(str(refused)) from refused


def head(data: Path) -> RecordHead:
    """Where the record stands now. Raises NoDataFolder."""
    try:
        connection = open_to_read(_database(data))
    except DatabaseRefused as refused:
        raise NoDataFolder(str(refused)) from refused
    try:
        return head_of(connection.execute)
    finally:
        connection.close()


def heads_in(text: str) -> list[RecordHead]:
    """Every SEQ:HASH that stands in a text, such as lines of the server's log, each once."""
    return list(dict.fromkeys(RecordHead(int(seq), bytes.fromhex(raw)) for seq, raw in _HEAD.findall(text)))


def _database(data: Path) -> Path:
    path = data / DATABASE_FILE
    try:
        found = path.is_file()
    except OSError as error:
        raise NoDataFolder(
            f"{data} cannot be used: {error.strerror or error}. Run this as the server's own user."
        ) from error
    if not found:
        raise NoDataFolder(f"{data} is no data folder: it has no {DATABASE_FILE}. Name the one that the server uses.")
    return path
