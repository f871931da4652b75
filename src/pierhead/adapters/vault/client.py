"""Secrets of KV version 2: each path read once for all who need it, a few at a time, always in bounded time."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Final

from msgspec import Struct

from pierhead.adapters.vault.exchange import Answer, Exchange, slow
from pierhead.adapters.vault.sign_in import SignIn, Way, unready
from pierhead.domain import limits
from pierhead.ports.clock import Clock
from pierhead.ports.secrets import SecretAway, SecretGone, SecretText

_FAIL_FAST_SECONDS: Final = 2.0
_GIVE_BACK_SECONDS: Final = 1.0
_NOT_LET: Final = "Vault does not let Pierhead read it"


class VaultSettings(Struct, frozen=True, kw_only=True):
    """``seconds``: the longest that one reading takes, signing in included."""

    url: str
    way: Way
    ca: Path | None = None
    namespace: str = ""
    seconds: float = 5.0


class Vault:
    """One Vault, for all accounts whose passwords it keeps."""

    def __init__(self, settings: VaultSettings, clock: Clock) -> None:
        self._clock = clock
        self._seconds = settings.seconds
        self._exchange = Exchange(settings.url, settings.ca, settings.namespace, settings.seconds)
        self._sign_in = SignIn(self._exchange, settings.way, clock)
        self._turns = asyncio.Semaphore(limits.SECRETS_READ_AT_ONCE)
        self._reading: dict[str, asyncio.Task[Answer]] = {}
        self._hung: tuple[float, SecretAway] | None = None

    @property
    def name(self) -> str:
        """For sentences."""
        return self._exchange.name

    async def read(self, path: str) -> Answer:
        """Whatever is answered for ``path``, with a token that holds. Raises SecretAway."""
        task = self._reading.get(path)
        if task is None:
            task = self._reading[path] = asyncio.create_task(self._in_turn(path), name=f"vault {path}")
            task.add_done_callback(lambda done: self._read(path, done))
        return await asyncio.shield(task)

    def _read(self, path: str, done: asyncio.Task[Answer]) -> None:
        self._reading.pop(path, None)
        if not done.cancelled():
            done.exception()  # read, so that one whose askers all went away is not reported as forgotten

    async def _in_turn(self, path: str) -> Answer:
        async with self._turns:
            if self._hung is not None and self._clock.monotonic() < self._hung[0]:
                raise self._hung[1]  # those who wait behind a Vault that hangs do not each wait for it in turn
            try:
                async with asyncio.timeout(self._seconds):
                    answer = await self._allowed(path)
            except TimeoutError:
                away = slow(self.name, self._seconds)
                self._hung = (self._clock.monotonic() + _FAIL_FAST_SECONDS, away)
                raise away from None
            self._hung = None
            return answer

    async def _allowed(self, path: str) -> Answer:
        token = await self._sign_in.token()
        answer = await self._exchange.ask("GET", path, token=token)
        if answer.status == 403 and not await self._sign_in.holds(token):
            fresh = await self._sign_in.token(not_this=token)
            if fresh != token:
                return await self._exchange.ask("GET", path, token=fresh)
        return answer

    async def aclose(self) -> None:
        """Ends what runs, and gives back a token that was got for this."""
        tasks = list(self._reading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(_GIVE_BACK_SECONDS):
                await self._sign_in.give_back()
        except TimeoutError:
            pass
        await self._exchange.aclose()

    async def trouble(self, answer: Answer, path: str) -> SecretAway:
        """What an answer means that is neither the secret nor its absence."""
        if answer.status == 403:
            return SecretAway(
                f"{self.name} does not let Pierhead read {path}: its policy needs `read` there, and its token must not "
                "be over",
                _NOT_LET,
            )
        async with asyncio.timeout(self._seconds):
            return await unready(self._exchange, answer, f"reading {path}")


class VaultSecret:
    """Implements ``ports.secrets.SecretSource``: one field of one secret."""

    def __init__(self, vault: Vault, path: str, field: str, pause: float) -> None:
        """``path`` as in the API, ``secret/data/…``."""
        self._vault = vault
        self._path = path
        self._field = field
        self.pause = pause

    @property
    def place(self) -> str:
        """Path and field."""
        return f"Vault {self._path} ({self._field})"

    def stamp(self) -> object:
        """Vault tells nobody that a secret has changed."""
        return None

    async def read(self) -> SecretText:
        """The newest version. A line break at its end is no part of the password, as in a file."""
        answer = await self._vault.read(self._path)
        if answer.status == 404:
            raise self._absent(answer)
        if answer.status != 200:
            try:
                raise await self._vault.trouble(answer, self._path)
            except TimeoutError:
                raise SecretAway(f"{self._vault.name} fails", "Vault does not answer as it should") from None
        return self._found(answer)

    def _found(self, answer: Answer) -> SecretText:
        outer = answer.mapping("data")
        fields, metadata = outer.get("data"), outer.get("metadata")
        if not isinstance(fields, dict) or not isinstance(metadata, dict):
            raise self._misnamed("is no secret of a KV store of version 2, which looks like secret/data/NAME")
        text = fields.get(self._field)
        if not isinstance(text, str) or not text.strip("\r\n"):
            raise SecretGone(f"the secret {self._path} has no field `{self._field}` with a text in it")
        text = text.removesuffix("\n").removesuffix("\r")
        if not text.isprintable() or len(text.encode()) > limits.SECRET_BYTES_MAX:
            raise SecretGone(
                f"the field `{self._field}` of {self._path} is no password: it holds a line break or another control "
                f"character, or more than {limits.SECRET_BYTES_MAX} bytes"
            )
        version = metadata.get("version")
        return SecretText(text, version if isinstance(version, int) else 0, _instant(metadata.get("created_time")))

    def _absent(self, answer: Answer) -> SecretGone | SecretAway:
        metadata = answer.mapping("data").get("metadata")
        if isinstance(metadata, dict):
            what = "destroyed" if metadata.get("destroyed") else "deleted"
            return SecretGone(f"the newest version of the secret {self._path} is {what}")
        if "no handler for route" in answer.errors or "versioned" in str(answer.body.get("warnings")):
            return self._misnamed("lies in no KV store of version 2 (secret/data/NAME)")
        return SecretGone(f"{self._vault.name} holds no secret at {self._path}")

    def _misnamed(self, why: str) -> SecretAway:
        return SecretAway(f"what {self._vault.name} has at {self._path} {why}", "Vault does not have it there")


def _instant(text: object) -> int:
    """RFC 3339 -> microseconds since 1970; 0 for anything else."""
    try:
        return int(datetime.fromisoformat(str(text)).timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        return 0
