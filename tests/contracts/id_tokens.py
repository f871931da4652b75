"""One issuer, whoever trusts it, and a clock that a test moves: the ground of the tests of id_tokens."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from pierhead.adapters.oidc import fetch
from pierhead.adapters.oidc.ring import KeyRing, Pace
from pierhead.adapters.oidc.source import IdTokens
from pierhead.adapters.oidc.source import Issuer as Trusted
from pierhead.domain.access import Principal, Right, Rule
from pierhead.domain.patterns import Patterns
from pierhead.domain.refusals_id_tokens import TokenNotAccepted
from pierhead.domain.trust import TrustRule, Wanted
from pierhead.ports.identity import Checked, Credential, NotMine
from tests.peers.issuer import Issuer

AUDIENCE = "https://registry.example.com"
BRIEFLY = 0.3
"""How long an issuer that does not answer is waited for, in seconds, where that is what is tried."""


class Clock:
    """The time that it is, and what a test adds to it."""

    def __init__(self) -> None:
        self.later = 0.0

    def now(self) -> int:
        return int((time.time() + self.later) * 1_000_000)

    def monotonic(self) -> float:
        return time.monotonic() + self.later


def rules(*projects: str) -> tuple[TrustRule, ...]:
    """Each of these projects pushes its own image."""
    return tuple(
        TrustRule(
            f"trust.gitlab.rules[0] ({project})",
            (Wanted(("project_id",), (project,)),),
            Rule(frozenset({Right.PUSH}), images=Patterns([f"orchestrator/p{project}"])),
        )
        for project in projects
    )


class House:
    """One issuer and who trusts it."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.clock = Clock()
        self.patience = 20.0
        self.trust(self._asked)

    async def _asked(self) -> bytes:
        return await fetch.of_issuer(self.issuer.url, None, self.patience)()

    def trust(self, fetched: Callable[[], Awaitable[bytes]], pace: Pace = Pace(300.0)) -> None:  # noqa: B008
        self.ring = KeyRing("trust.gitlab", fetched, self.clock, pace)
        self.rules = rules("5", "4")
        self.algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
        self.audiences: tuple[str, ...] = (AUDIENCE, "other-audience")

    @property
    def source(self) -> IdTokens:
        trusted = Trusted(
            "gitlab", "trust.gitlab", self.issuer.url, self.audiences, self.algorithms, 60.0, self.rules, self.ring
        )
        return IdTokens([trusted], self.clock)

    def token(self, project: int = 5, **more: object) -> str:
        """What the issuer's present key signs for a job."""
        claims = self.issuer.signer.claims(project)
        return self.issuer.signer.sign({**claims, "aud": AUDIENCE, **more})

    async def ask(self, token: str) -> Principal | Checked | NotMine | TokenNotAccepted:
        try:
            return await self.source.verify(Credential("oidc", token))
        except TokenNotAccepted as refusal:
            return refusal

    async def enters(self, token: str) -> Checked:
        answer = await self.ask(token)
        assert isinstance(answer, Checked), answer
        return answer

    async def refused(self, token: str) -> str:
        """The sentence."""
        answer = await self.ask(token)
        assert isinstance(answer, TokenNotAccepted), answer
        assert token not in f"{answer.message} {answer.through} {answer.about}"
        return answer.message


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as started:
        yield started


@pytest.fixture
def house(issuer: Issuer) -> House:
    return House(issuer)
