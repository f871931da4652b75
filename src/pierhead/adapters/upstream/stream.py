"""A blob as it comes: watched for speed, mended where it is cut."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import aiohttp

from pierhead.adapters.upstream.exchange import Reply
from pierhead.adapters.upstream.troubles import Trouble, bad, cut, trouble_of
from pierhead.domain.limits import UPSTREAM_TRIES_MAX
from pierhead.domain.refusals import Unavailable, UpstreamLimited
from pierhead.ports.upstream import UpstreamSettings

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")

Reopen = Callable[[int, int], Awaitable[Reply]]
"""Asks for the rest from an offset; the second number counts the resumptions. Raises Trouble, UpstreamLimited."""


class Stream:
    """See ``ports.upstream.BlobStream``. ``ended`` is called once, with the trouble that ended it, if one did.

    ``first`` are the bytes of ``reply`` that were read already. ``silent`` is called after every long silence.
    """

    def __init__(
        self,
        reply: Reply,
        first: bytes,
        reopen: Reopen,
        settings: UpstreamSettings,
        name: str,
        silent: Callable[[], None],
        ended: Callable[[Trouble | None], None],
    ) -> None:
        self._response = reply.response
        self._first = first
        self._reopen = reopen
        self._settings = settings
        self._name = name
        self._silent = silent
        self._ended: Callable[[Trouble | None], None] | None = ended
        self._size = reply.response.content_length
        self._offset = 0
        self._skip = 0

    @property
    def size(self) -> int | None:
        return self._size

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces()

    async def aclose(self) -> None:
        self._end(None)

    async def _pieces(self) -> AsyncIterator[bytes]:
        resumptions = 0
        while True:
            try:
                if first := self._first:
                    self._first, self._offset = b"", len(first)
                    yield first
                async for piece in self._connection():
                    self._offset += len(piece)
                    yield piece
                self._check_length()
                self._end(None)
                return
            except Trouble as fault:
                trouble = fault
            except (aiohttp.ClientError, OSError) as fault:
                trouble = trouble_of(fault, self._settings.stall_seconds)
            self._response.close()
            if trouble.tries < UPSTREAM_TRIES_MAX and trouble.kind != "slow":
                raise self._failed(trouble) from None
            if resumptions == UPSTREAM_TRIES_MAX:
                raise self._failed(trouble) from None
            resumptions += 1
            await self._resume(resumptions)

    async def _connection(self) -> AsyncIterator[bytes]:
        """The bytes of one connection. Raises Trouble if too few come in a window of waiting for them."""
        loop = asyncio.get_running_loop()
        content, window = self._response.content, self._settings.rate_window_seconds
        waited, came = 0.0, 0
        while True:
            before = loop.time()
            silence = loop.call_later(self._settings.silent_seconds, self._silent)
            try:
                piece = await content.readany()
            finally:
                silence.cancel()
            waited += loop.time() - before
            if not piece:
                return
            came += len(piece)
            if waited >= window:
                if came < self._settings.rate_bytes_min * waited:
                    raise _dripping(came / waited)
                waited, came = 0.0, 0
            if self._skip:
                skipped = min(self._skip, len(piece))
                self._skip -= skipped
                piece = piece[skipped:]
            if piece:
                yield piece

    def _check_length(self) -> None:
        if self._size is not None and self._offset < self._size:
            raise cut()
        if self._size is not None and self._offset > self._size:
            raise bad(f"{self._size} bytes were announced, and more came")
        if self._skip:
            raise bad("asked for the rest, it sends less than before")

    async def _resume(self, resumptions: int) -> None:
        try:
            reply = await self._reopen(self._offset, resumptions)
            self._response = reply.response
            self._continue_with(reply)
        except Trouble as trouble:
            raise self._failed(trouble) from None
        except UpstreamLimited as limited:
            self._end(None)
            raise Unavailable(limited.message, kind="down", retry_after=limited.retry_after) from None

    def _continue_with(self, reply: Reply) -> None:
        """Takes the rest (206), or everything once more (200), of which the known part is skipped."""
        length = reply.response.content_length
        if reply.status == 200:
            total, self._skip = length, self._offset
        else:
            said = _CONTENT_RANGE.fullmatch(reply.response.headers.get("Content-Range", "").strip())
            if said is None or int(said[1]) != self._offset:
                raise bad("asked for the rest, it sends another part")
            total, self._skip = (None if said[3] == "*" else int(said[3])), 0
        if None not in (total, self._size) and total != self._size:
            raise bad(f"the size was {self._size}, and is {total} now")
        self._size = self._size if self._size is not None else total

    def _failed(self, trouble: Trouble) -> Unavailable:
        self._end(trouble)
        return trouble.unavailable(self._name)

    def _end(self, trouble: Trouble | None) -> None:
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(trouble)


def _dripping(rate: float) -> Trouble:
    reason = f"{rate:.0f} bytes a second"
    return Trouble(f"is too slow to wait for ({reason})", kind="slow", reason=reason)
