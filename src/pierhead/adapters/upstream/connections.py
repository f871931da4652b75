"""One hop over HTTP: a request to one address, its answer. Redirects, logins and retries are further up."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

import aiohttp
from aiohttp.helpers import get_env_proxy_for_url
from yarl import URL

import pierhead
from pierhead.adapters.upstream.redirects import Places
from pierhead.adapters.upstream.troubles import trouble_of
from pierhead.domain.refusals import shown
from pierhead.ports.upstream import UpstreamSettings

_LINE_BYTES_MAX: Final = 16 * 1024
_HEADERS_MAX: Final = 128
_READ_BYTES: Final = 256 * 1024
_KEEPALIVE_SECONDS: Final = 30.0


class Connections:
    """Two pools: one for where any address will do, one whose sockets are only made for addresses that are allowed."""

    def __init__(self, settings: UpstreamSettings, places: Places) -> None:
        """Raises ValueError if the file of certificate authorities cannot be read."""
        self._settings = settings
        self._places = places
        self._open: aiohttp.ClientSession | None = None
        self._checked: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None
        self.requests = 0
        if settings.ca is not None:
            try:
                self._tls = ssl.create_default_context()
                self._tls.load_verify_locations(settings.ca)
            except (OSError, ValueError):
                raise ValueError(f"`{settings.ca}` cannot be read as a file of PEM certificates") from None

    async def send(self, method: str, url: URL, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """Raises Trouble where no answer comes, and for an address that may not be met."""
        self.requests += 1
        unchecked = self._places.unchecked(url)
        proxy, own = _proxy_of(url)
        proxy_headers: dict[str, str] | None = None
        if proxy is not None:
            if not unchecked:
                self._places.check_literal(url)
            proxy_headers = dict(own)
            if url.scheme == "http":
                headers = {**headers, **own}
        session = self._session(checked=not unchecked and proxy is None)
        try:
            return await session.request(
                method, url, headers=headers, allow_redirects=False, proxy=proxy, proxy_headers=proxy_headers
            )
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            where = "" if self._places.is_home(url) else shown(f"{url.host}:{url.port}")
            raise trouble_of(fault, self._settings.stall_seconds, where) from None

    async def aclose(self) -> None:
        for session in (self._open, self._checked):
            if session is not None:
                await session.close()
        self._open = self._checked = None

    def _session(self, *, checked: bool) -> aiohttp.ClientSession:
        session = self._checked if checked else self._open
        if session is None:
            session = self._new_session(checked=checked)
            if checked:
                self._checked = session
            else:
                self._open = session
        return session

    def _new_session(self, *, checked: bool) -> aiohttp.ClientSession:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        connector = aiohttp.TCPConnector(
            limit=0,
            ssl=self._tls,
            keepalive_timeout=_KEEPALIVE_SECONDS,
            socket_factory=self._places.checked_socket if checked else None,
        )
        settings = self._settings
        return aiohttp.ClientSession(
            connector=connector,
            # trust_env stays off, for it would also send what ~/.netrc holds for a host; proxies are looked up below.
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=settings.connect_seconds,
                sock_connect=settings.connect_seconds,
                sock_read=settings.stall_seconds,
            ),
            headers={"User-Agent": f"Pierhead/{pierhead.__version__}", "Accept-Encoding": "identity"},
            read_bufsize=_READ_BYTES,
            max_line_size=_LINE_BYTES_MAX,
            max_field_size=_LINE_BYTES_MAX,
            max_headers=_HEADERS_MAX,
        )


def _proxy_of(url: URL) -> tuple[URL | None, dict[str, str]]:
    """The proxy of ``HTTP_PROXY``, ``HTTPS_PROXY``, ``NO_PROXY`` for an address, and the header that logs in to it."""
    try:
        proxy, login = get_env_proxy_for_url(url)
    except LookupError:
        return None, {}
    return proxy, {"Proxy-Authorization": login.encode()} if login is not None else {}
