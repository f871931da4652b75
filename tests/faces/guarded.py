"""A guard over accounts whose checks are counted, on a clock that a test moves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from pierhead.adapters.system import SystemEntropy
from pierhead.domain.access import Principal, rules_of
from pierhead.domain.refusals import NotAuthenticated
from pierhead.faces.door.guard import Guard
from pierhead.ports.identity import Credential, NotMine, Wrong
from tests.faces.asked import login

ANNA = Principal("anna", rules_of(["publisher"], ()))
BOB = Principal("bob", rules_of(["deployer"], ()))


@dataclass
class Clock:
    """Stands still until a test moves it."""

    seconds: float = 1_000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> int:
        return int(self.seconds * 1_000_000)


@dataclass
class Source:
    """Accounts whose checks are counted, and wait while ``open`` is not set."""

    passwords: dict[str, tuple[str, Principal]] = field(
        default_factory=lambda: {"anna": ("right", ANNA), "bob": ("right", BOB)}
    )
    asked: list[Credential] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    fault: Exception | None = None

    def __post_init__(self) -> None:
        self.open.set()

    async def verify(self, credential: Credential) -> Principal | NotMine | Wrong:
        self.asked.append(credential)
        await self.open.wait()
        if self.fault is not None:
            raise self.fault
        password, principal = self.passwords.get(credential.name, (None, ANNA))
        return principal if credential.password == password else Wrong("Name or password is wrong.")


@dataclass
class House:
    clock: Clock = field(default_factory=Clock)
    source: Source = field(default_factory=Source)

    def __post_init__(self) -> None:
        self.guard = Guard((self.source,), self.clock, SystemEntropy())

    async def enters(self, name: str, password: str, peer: str = "192.0.2.1") -> Principal:
        return await self.guard.principal(login(name, password, peer))

    async def fails(self, name: str, password: str = "wrong", peer: str = "192.0.2.1", times: int = 1) -> None:
        for number in range(times):
            with pytest.raises(NotAuthenticated):
                await self.enters(name, f"{password}{number}", peer)

    def begin(self, name: str, password: str, peer: str = "192.0.2.1") -> asyncio.Task[Principal]:
        return asyncio.ensure_future(self.enters(name, password, peer))
