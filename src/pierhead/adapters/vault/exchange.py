"""One request to Vault and its answer, bounded in time and size. Nothing is followed, and nothing shows a token."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

import pierhead
from pierhead.domain import limits
from pierhead.domain.discreet import Discreet
from pierhead.domain.refusals import shown
from pierhead.ports.secrets import SecretAway

Json = dict[str, Any]

_LINE_BYTES_MAX: Final = 16 * 1024
_KEEPALIVE_SECONDS: Final = 30.0


class Answer(Discreet, frozen=True):
    """``body`` is {} where there is none. No repr: it holds tokens and secrets."""

    status: int
    body: Json

    @property
    def errors(self) -> str:
        """What Vault says is wrong."""
        found = self.body.get("errors")
        return " ".join(str(one) for one in found) if isinstance(found, list) else ""

    def mapping(self, name: str) -> Json:
        """What stands under ``name``; {} if that is no mapping."""
        found = self.body.get(name)
        return found if isinstance(found, dict) else {}


class Exchange:
    """Connections to one Vault. ``url`` is without a slash at the end; the rest is as in ``VaultSettings``."""

    def __init__(self, url: str, ca: Path | None, namespace: str, seconds: float) -> None:
        self.name = f"Vault at {url}"
        self._url = url
        self._ca = ca
        self._headers = {"X-Vault-Request": "true"}
        if namespace:
            self._headers["X-Vault-Namespace"] = namespace
        self._seconds = seconds
        self._opening = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, method: str, path: str, body: Mapping[str, object] | None = None, token: str = "") -> Answer:
        """One request to /v1/``path``. Raises SecretAway if there is no answer of Vault's."""
        headers = {**self._headers, "X-Vault-Token": token} if token else self._headers
        url = URL(f"{self._url}/v1/") / path
        try:
            async with (await self._opened()).request(
                method, url, json=body, headers=headers, allow_redirects=False
            ) as answer:
                content = await _bounded(answer.content)
                status, location = answer.status, answer.headers.get("Location", "")
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            raise self._trouble(fault) from None
        if 300 <= status < 400:
            raise SecretAway(
                f"{self.name} sends on to {_place(location)}, where no token is sent: set `address` of `vault` to the "
                "one that answers by itself",
                "Vault cannot be asked",
            )
        if content is None:
            raise self._odd("an answer of more than a mebibyte")
        return Answer(status, self._document(content))

    async def aclose(self) -> None:
        """Ends idle connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _document(self, content: bytes) -> Json:
        try:
            found = json.loads(content) if content.strip() else {}
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self._odd("an answer that is no JSON")
        return found

    def _odd(self, what: str) -> SecretAway:
        return SecretAway(f"{self.name} does not answer like Vault ({what})", "Vault does not answer as it should")

    async def _opened(self) -> aiohttp.ClientSession:
        """Raises OSError, ValueError if the authority's file cannot be read."""
        async with self._opening:
            if self._session is not None:
                return self._session
            context = await asyncio.to_thread(ssl.create_default_context, cafile=self._ca)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=limits.SECRETS_READ_AT_ONCE, ssl=context, keepalive_timeout=_KEEPALIVE_SECONDS
                ),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._seconds),
                headers={"User-Agent": f"Pierhead/{pierhead.__version__}", "Accept-Encoding": "identity"},
                auto_decompress=False,
                max_line_size=_LINE_BYTES_MAX,
                max_field_size=_LINE_BYTES_MAX,
            )
            return self._session

    def _trouble(self, fault: BaseException) -> SecretAway:
        """aiohttp's exceptions hold whole requests, the token among them: none of them goes further."""
        if isinstance(fault, aiohttp.ClientConnectorCertificateError):
            why = shown(str(getattr(fault.certificate_error, "verify_message", "") or "verification failed"))
            return SecretAway(
                f"the certificate of {self.name} is not trusted ({why}): name the file of its authority in `ca` of "
                "`vault`",
                "the certificate of Vault is not trusted",
            )
        if isinstance(fault, TimeoutError | aiohttp.ServerTimeoutError):
            return slow(self.name, self._seconds)
        if isinstance(fault, ssl.SSLError | aiohttp.ClientSSLError):
            return SecretAway(f"{self.name} does not speak TLS as it should", "Vault cannot be reached")
        if isinstance(fault, aiohttp.ClientConnectorError | OSError):
            cause = fault.os_error if isinstance(fault, aiohttp.ClientConnectorError) else fault
            why = shown(os.strerror(cause.errno).lower() if cause.errno else type(cause).__name__)
            return SecretAway(f"{self.name} cannot be reached ({why})", "Vault cannot be reached")
        return self._odd(type(fault).__name__)


def slow(name: str, seconds: float) -> SecretAway:
    """For a Vault that hangs."""
    return SecretAway(f"{name} did not answer within {seconds:g} s", "Vault does not answer in time")


async def _bounded(content: aiohttp.StreamReader) -> bytes | None:
    """None for more than VAULT_ANSWER_BYTES_MAX."""
    found = bytearray()
    async for piece in content.iter_any():
        found += piece
        if len(found) > limits.VAULT_ANSWER_BYTES_MAX:
            return None
    return bytes(found)


def _place(location: str) -> str:
    """Scheme, host and port: the rest of an address may hold anything."""
    try:
        parts = urlsplit(location)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    return shown(f"{host}:{port}" if port else host) if host else "another place"
