"""Requests to a provider on somebody's behalf: bounded like those for keys (``fetch``), with a form or a token.

What is sent is secret, so no redirect is followed and no fault repeats it.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

import pierhead
from pierhead.adapters.oidc.fetch import BYTES_MAX, SECONDS_MAX, authorities_of, proxy_of, reason_of
from pierhead.adapters.oidc.ring import Unreachable
from pierhead.domain.refusals import ManifestInvalid
from pierhead.domain.strict_json import Document, decode

_ERROR: Final = "error"


class Refused(Exception):
    """The provider says no, with an error code of RFC 6749 (5.2)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


async def ask(
    address: str,
    ca: Path | None,
    *,
    form: Mapping[str, str] | None = None,
    basic: tuple[str, str] | None = None,
    bearer: str = "",
    seconds: float = SECONDS_MAX,
) -> Document:
    """The JSON object that is answered to GET, or to POST if there is a form.

    ``basic`` is an encoded name and password, ``bearer`` an access token. Raises Unreachable, Refused.
    """
    try:
        trusted = await asyncio.to_thread(authorities_of, ca)
    except (OSError, ValueError):
        raise Unreachable(f"{ca} cannot be read as a file of PEM certificates") from None
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": f"Pierhead/{pierhead.__version__}",
    }
    if basic is not None:
        headers["Authorization"] = f"Basic {b64encode(':'.join(basic).encode()).decode()}"
    elif bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    try:
        async with (
            asyncio.timeout(seconds),
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=trusted, force_close=True),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            ) as session,
        ):
            return await _answer(session, URL(address), form, headers)
    except TimeoutError:
        raise Unreachable(f"{address} does not answer within {seconds:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as fault:
        raise Unreachable(f"{address} cannot be asked ({reason_of(fault)})") from None


async def _answer(
    session: aiohttp.ClientSession, url: URL, form: Mapping[str, str] | None, headers: Mapping[str, str]
) -> Document:
    proxy, login = proxy_of(url)
    method = "GET" if form is None else "POST"
    async with session.request(
        method, url, data=form, headers=headers, allow_redirects=False, proxy=proxy, proxy_headers=login
    ) as answer:
        body = bytearray()
        while piece := await answer.content.readany():
            body += piece
            if len(body) > BYTES_MAX:
                raise Unreachable(f"{url} answers with more than 1 MiB")
        try:
            document = decode(bytes(body))
        except ManifestInvalid:
            document = {}
        if answer.status in (400, 401, 403):
            code = document.get(_ERROR)
            raise Refused(code if isinstance(code, str) and code.isascii() and code.isprintable() else "no reason")
        if answer.status != 200 or not document:
            raise Unreachable(f"{url} answers {answer.status} and no JSON object that can be read")
        return document
