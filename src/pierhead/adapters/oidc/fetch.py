"""Where keys come from: an issuer's discovery document and what it points to, one address, or a file.

No redirect is followed, nothing but JSON is read, and never more than a mebibyte or longer than a few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp.helpers import get_env_proxy_for_url
from yarl import URL

import pierhead
from pierhead.adapters.oidc.ring import Unreachable
from pierhead.domain.refusals import ManifestInvalid, shown
from pierhead.domain.strict_json import decode

BYTES_MAX: Final = 1024 * 1024
SECONDS_MAX: Final = 5.0
_CONNECT_SECONDS: Final = 3.0
_DISCOVERY: Final = "/.well-known/openid-configuration"


def of_issuer(issuer: str, ca: Path | None, seconds: float = SECONDS_MAX) -> Callable[[], Awaitable[bytes]]:
    """By discovery (OpenID Connect Discovery 4): the document has to name this very issuer, and keys at its origin."""

    async def fetch() -> bytes:
        async with _Web(ca, seconds) as web:
            address = issuer.rstrip("/") + _DISCOVERY
            try:
                document = decode(await web.get(address))
            except ManifestInvalid:
                raise Unreachable(f"{address} holds no JSON object that can be read") from None
            if document.get("issuer") != issuer:
                raise Unreachable(f"{address} is of another issuer, {shown(str(document.get('issuer')))}")
            keys = document.get("jwks_uri")
            if not isinstance(keys, str) or not _same_origin(keys, issuer):
                raise Unreachable(
                    f"{address} has its keys at {shown(str(keys))}, which is another place. If that is meant, write it "
                    "under `jwks`"
                )
            return await web.get(keys)

    return fetch


def of_address(address: str, ca: Path | None, seconds: float = SECONDS_MAX) -> Callable[[], Awaitable[bytes]]:
    """The set of keys at this address."""

    async def fetch() -> bytes:
        async with _Web(ca, seconds) as web:
            return await web.get(address)

    return fetch


def of_file(path: Path) -> Callable[[], Awaitable[bytes]]:
    """The set of keys in this file, as it is when it is asked for."""

    def read() -> bytes:
        with open(path, "rb") as file:
            return file.read(BYTES_MAX + 1)

    async def fetch() -> bytes:
        try:
            content = await asyncio.to_thread(read)
        except OSError as error:
            raise Unreachable(f"{path} cannot be read ({(error.strerror or 'unknown error').lower()})") from None
        if len(content) > BYTES_MAX:
            raise Unreachable(f"{path} is larger than 1 MiB")
        return content

    return fetch


def _same_origin(address: str, issuer: str) -> bool:
    try:
        return URL(address).origin() == URL(issuer).origin()
    except ValueError:
        return False


class _Web:
    """A few requests within so many seconds together."""

    def __init__(self, ca: Path | None, seconds: float) -> None:
        self._ca = ca
        self._until = asyncio.get_running_loop().time() + seconds
        self._seconds = seconds
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> _Web:
        try:
            trusted = await asyncio.to_thread(authorities_of, self._ca)
        except (OSError, ValueError):
            raise Unreachable(f"{self._ca} cannot be read as a file of PEM certificates") from None
        self._session = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=trusted, force_close=True),
                trust_env=False,  # it would also send what ~/.netrc holds for a host
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                headers={"User-Agent": f"Pierhead/{pierhead.__version__}", "Accept-Encoding": "identity"},
            )
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def get(self, address: str) -> bytes:
        """Raises Unreachable."""
        try:
            async with asyncio.timeout_at(self._until):
                return await self._got(address)
        except TimeoutError:
            raise Unreachable(f"{address} does not answer within {self._seconds:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            raise Unreachable(f"{address} cannot be asked ({reason_of(fault)})") from None

    async def _got(self, address: str) -> bytes:
        url = URL(address)
        proxy, headers = proxy_of(url)
        async with self._session.get(
            url, allow_redirects=False, proxy=proxy, proxy_headers=headers, headers={"Accept": "application/json"}
        ) as answer:
            if 300 <= answer.status < 400:
                raise Unreachable(f"{address} redirects, which is not followed")
            if answer.status != 200:
                raise Unreachable(f"{address} answers {answer.status}")
            kind = answer.content_type
            if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
                raise Unreachable(f"{address} answers with {shown(kind)} and not with JSON")
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise Unreachable(f"{address} answers in an encoding that was not asked for")
            body = bytearray()
            while piece := await answer.content.readany():
                body += piece
                if len(body) > BYTES_MAX:
                    raise Unreachable(f"{address} answers with more than 1 MiB")
            return bytes(body)


def authorities_of(ca: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca is not None:
        context.load_verify_locations(ca)
    return context


def proxy_of(url: URL) -> tuple[URL | None, dict[str, str] | None]:
    """The proxy of ``HTTP_PROXY``, ``HTTPS_PROXY``, ``NO_PROXY`` for an address, and the header that logs in to it."""
    try:
        proxy, login = get_env_proxy_for_url(url)
    except LookupError:
        return None, None
    return proxy, {"Proxy-Authorization": login.encode()} if login is not None else None


def reason_of(fault: Exception) -> str:
    if isinstance(fault, aiohttp.ClientConnectorCertificateError | ssl.SSLError):
        return "its certificate is not trusted; `ca` names authorities"
    if isinstance(fault, aiohttp.ClientConnectorError):
        number = fault.os_error.errno
        return os.strerror(number).lower() if number and number > 0 else "its name is not known"
    return "it breaks off" if isinstance(fault, OSError | aiohttp.ClientPayloadError) else "no answer that makes sense"
