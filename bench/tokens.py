"""Bearer tokens: pulls with them, what one costs to get, and what one that is known costs at the guard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from multidict import CIMultiDict

from bench.processes import Run, wrk
from bench.rows import Goal, Row, best
from bench.servers import NAME, Subject
from pierhead.actions.accept_token import Accepting
from pierhead.adapters.keys.jwt import JwtTokens
from pierhead.adapters.keys.jwt.keys import Keys
from pierhead.adapters.system import SystemClock, SystemEntropy
from pierhead.boot.tokens import KnownAccounts
from pierhead.domain.access import Principal, rules_of
from pierhead.faces.door.guard import Guard
from pierhead.ports.tokens import Claims
from pierhead.repositories.table import Table
from tests.faces.asked import asked
from tests.peers.wire import Wire

GUARD = "a bearer token that is known, at the guard"
_SCOPE = f"repository:{NAME}:pull"
_CALLS = 20_000


def rows(subject: Subject, folder: Path, seconds: float, rounds: int) -> list[Row]:
    """All three, for the program alone: the others of the comparison have no tokens."""
    pulls = [_pull(subject, seconds) for _ in range(rounds)]
    endpoint = [_endpoint(subject, seconds) for _ in range(rounds)]
    guard = min(asyncio.run(_guard(folder)) for _ in range(rounds))
    return [
        best("manifest by tag, bearer token", subject.name, pulls),
        best("token endpoint", subject.name, endpoint),
        Row(GUARD, subject.name, guard, 1e6 / guard),
    ]


def goal(found: Sequence[Row]) -> Goal:
    """What the project set out to reach."""
    each = next(row.each for row in found if row.what == GUARD)
    return Goal("a known bearer token at the guard, in µs", each, 30, False)


def _pull(subject: Subject, seconds: float) -> Run:
    with Wire(subject.pull) as wire:
        answer = wire.request("GET", f"/token?scope={_SCOPE}", headers={"Authorization": subject.authorization})
        token = answer.expect(200).json()["token"]
    headers = [one for one in subject.headers if not one.startswith("Authorization")]
    url = subject.url(f"/v2/{NAME}/manifests/1.0.0")
    return wrk(subject.pid, url, seconds, [*headers, f"Authorization: Bearer {token}"])


def _endpoint(subject: Subject, seconds: float) -> Run:
    return wrk(subject.pid, subject.url(f"/token?service=pierhead&scope={_SCOPE}"), seconds, subject.headers)


class _OneAccount:
    """Implements ``ports.identity.Accounts``."""

    def __init__(self) -> None:
        self._only = Principal("bench", rules_of(["deployer"], ()))

    def principal(self, name: str) -> Principal | None:
        return self._only if name == self._only.name else None

    def made(self, name: str) -> int:
        return 0

    def revoked(self, access_token: str) -> bool:
        return False


async def _caught_up() -> None:
    """There is no other process."""


async def _guard(folder: Path) -> float:
    """Microseconds from the header to the principal."""
    clock, entropy = SystemClock(), SystemEntropy()
    tokens = JwtTokens(Keys(folder / "keys", clock, entropy), clock)
    accounts = KnownAccounts(_OneAccount(), "none")
    guard = Guard((), clock, entropy)
    guard.replace((), Accepting(tokens, accounts, Table((), ""), clock, _caught_up))
    now = clock.now() // 1_000_000
    token = tokens.sign(Claims("bench", now, now, now + 300, "1"))
    ask = asked(*CIMultiDict({"Host": "127.0.0.1", "Accept": "*/*", "Authorization": f"Bearer {token}"}).items())
    enter = partial(guard.principal, ask, tokens=True)
    await enter()
    began = time.process_time()
    for _ in range(_CALLS):
        await enter()
    return (time.process_time() - began) / _CALLS * 1e6
