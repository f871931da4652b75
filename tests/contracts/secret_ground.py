"""Parts that tests of passwords which are kept elsewhere share: a clock to move, a store of notes, a source to set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from argon2 import PasswordHasher

from pierhead.domain.refusals import Unavailable
from pierhead.ports.metadata.store import Store
from pierhead.ports.secrets import SecretAway, SecretGone, SecretText
from pierhead.repositories.rotating import RotatingPassword, Tools

_SALT = b"0123456789abcdef"


@dataclass
class Clock:
    """Stands still until a test moves it."""

    seconds: float = 1_000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> int:
        return int(self.seconds * 1_000_000)


@dataclass
class Notes:
    """As much of a store as there is to passwords; ``down`` makes writes fail."""

    kept: dict[str, str] = field(default_factory=dict)
    down: bool = False

    def get(self, name: str) -> str | None:
        return self.kept.get(name)

    def put(self, name: str, value: str) -> None:
        self.kept[name] = value

    @property
    def notes(self) -> Notes:
        return self

    async def write(self, fn: Callable[[Any], Any], *, durable: bool = True, brief: bool = False) -> Any:
        if self.down:
            raise Unavailable("The disk is full.")
        return fn(self)


@dataclass
class Source:
    """Gives what a test has set when it is asked, once ``open`` is set; counts how often it is asked."""

    answer: SecretText | SecretGone | SecretAway
    place: str = "Vault secret/data/x (password)"
    pause: float = 60.0
    asked: int = 0
    marked: object = None
    open: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    def stamp(self) -> object:
        return self.marked

    async def read(self) -> SecretText:
        self.asked += 1
        found = self.answer
        self.reached.set()
        await self.open.wait()
        if isinstance(found, SecretText):
            return found
        raise found


@dataclass
class Ground:
    """One account and all that belongs to it; ``hashed`` counts hashes that were made."""

    source: Source
    grace: int = 3_600
    clock: Clock = field(default_factory=Clock)
    store: Notes = field(default_factory=Notes)
    hashed: int = 0
    changes: list[str] = field(default_factory=list)

    def password(self) -> RotatingPassword:
        """As a process makes it at its start."""
        return RotatingPassword("anna", self.source, self.grace, self.tools())

    def tools(self) -> Tools:
        return Tools(cast(Store, self.store), self.clock, self.make, b"k" * 32, self.changes.append)

    async def make(self, _account: str, text: str) -> str:
        self.hashed += 1
        return hash_of(text)


def hash_of(text: str) -> str:
    """A hash that takes no time, the same for the same text."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(text, salt=_SALT)
