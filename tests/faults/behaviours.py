"""Ways for a registry to misbehave, for ``DishonestUpstream.play``: each says what comes instead of the truth."""

from __future__ import annotations

import asyncio
import gzip
import itertools

from tests.faults.dishonest_upstream import Answer, Behaviour, Turn, digest_of, failure


def hang() -> Behaviour:
    """Takes the request and never answers."""

    async def play(turn: Turn) -> None:
        await asyncio.Event().wait()

    return play


def hang_up() -> Behaviour:
    """Closes the connection without an answer."""

    async def play(turn: Turn) -> None:
        turn.reset()

    return play


def drip(every: float = 0.05, *, after: int = 0) -> Behaviour:
    """The honest answer, a byte at a time from byte ``after`` on."""

    async def play(turn: Turn) -> None:
        await turn.send(turn.honest.head() + turn.honest.body[:after])
        for at in range(after, len(turn.honest.body)):
            await turn.send(turn.honest.body[at : at + 1])
            await asyncio.sleep(every)

    return play


def wait_for(gate: asyncio.Event, *, after: int = 0) -> Behaviour:
    """The honest answer, of which only ``after`` bytes of the body come before the gate is opened."""

    async def play(turn: Turn) -> None:
        await turn.send(turn.honest.head() + turn.honest.body[:after])
        await gate.wait()
        await turn.send(turn.honest.body[after:])

    return play


def cut(after: int) -> Behaviour:
    """The connection ends in the midst of the body."""

    async def play(turn: Turn) -> None:
        await turn.send(turn.honest.head() + turn.honest.body[:after])
        turn.writer.close()

    return play


def cut_chunked(after: int) -> Behaviour:
    """The same with chunked transfer encoding, so that no length was said."""

    async def play(turn: Turn) -> None:
        turn.honest.headers["Transfer-Encoding"] = "chunked"
        await turn.send(turn.honest.head(length=None) + b"%x\r\n" % after + turn.honest.body[:after] + b"\r\n")
        turn.writer.close()

    return play


def chunked(size: int = 4096) -> Behaviour:
    """All of it, honestly, but without a length."""

    async def play(turn: Turn) -> None:
        turn.honest.headers["Transfer-Encoding"] = "chunked"
        body = turn.honest.body
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        await turn.send(turn.honest.head(length=None) + framed + b"0\r\n\r\n")

    return play


def other_bytes() -> Behaviour:
    """A body of the right length with one byte changed, under honest headers."""

    async def play(turn: Turn) -> None:
        body = turn.honest.body
        await turn.answer(Answer(turn.honest.status, turn.honest.headers, body[:-1] + bytes([body[-1] ^ 1])))

    return play


def wrong_length(more: int) -> Behaviour:
    """``Content-Length`` is ``more`` than the body has (or less, below zero); then the connection ends."""

    async def play(turn: Turn) -> None:
        await turn.send(turn.honest.head(length=len(turn.honest.body) + more))
        if turn.request.method != "HEAD":
            await turn.send(turn.honest.body)
        turn.writer.close()

    return play


def status(code: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Behaviour:
    """Any status, with headers and body as given."""

    async def play(turn: Turn) -> None:
        await turn.answer(Answer(code, dict(headers or {}), body))

    return play


def limited(retry_after: int | str | None = None) -> Behaviour:
    """Docker Hub's 429; ``Retry-After`` in seconds, as a date, or not at all."""
    message = "You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}

    async def play(turn: Turn) -> None:
        await turn.answer(failure(429, "TOOMANYREQUESTS", message, headers))

    return play


def web_page() -> Behaviour:
    """200 and a login page: a captive portal, a proxy that wants a password."""
    return status(200, {"Content-Type": "text/html; charset=utf-8"}, b"<html><body>Log in to the Wi-Fi</body></html>")


def compressed() -> Behaviour:
    """The honest body as gzip, though nobody asked for it."""

    async def play(turn: Turn) -> None:
        turn.honest.headers["Content-Encoding"] = "gzip"
        await turn.answer(Answer(turn.honest.status, turn.honest.headers, gzip.compress(turn.honest.body)))

    return play


def endless(piece: bytes = b" " * 65536) -> Behaviour:
    """A body that never ends, as fast as it is taken."""

    async def play(turn: Turn) -> None:
        turn.honest.headers["Transfer-Encoding"] = "chunked"
        await turn.send(turn.honest.head(length=None))
        while True:
            await turn.send(b"%x\r\n%b\r\n" % (len(piece), piece))

    return play


def lying_digest(said: str | None = None) -> Behaviour:
    """``Docker-Content-Digest`` of something else."""

    async def play(turn: Turn) -> None:
        turn.honest.headers["Docker-Content-Digest"] = said or digest_of(b"something else")
        await turn.answer(turn.honest)

    return play


def without(*names: str) -> Behaviour:
    """The honest answer without some of its headers."""

    async def play(turn: Turn) -> None:
        kept = {name: value for name, value in turn.honest.headers.items() if name not in names}
        length = None if "Content-Length" in names else -1
        body = b"" if turn.request.method == "HEAD" else turn.honest.body
        await turn.send(Answer(turn.honest.status, kept, turn.honest.body).head(length=length) + body)

    return play


def with_headers(headers: dict[str, str]) -> Behaviour:
    """The honest answer with some headers added or replaced."""

    async def play(turn: Turn) -> None:
        turn.honest.headers |= headers
        await turn.answer(turn.honest)

    return play


def redirect(location: str, code: int = 307) -> Behaviour:
    """To any address; ``{path}`` and ``{last}`` stand for what was asked for, and its last part."""

    async def play(turn: Turn) -> None:
        if turn.honest.status == 401:  # also a registry that redirects asks for the login first
            return await turn.answer(turn.honest)
        path = turn.request.path
        target = location.format(path=path, last=path.rpartition("/")[2])
        return await turn.answer(Answer(code, {"Location": target, "Set-Cookie": "session=stolen; Path=/"}))

    return play


def redirect_in_circles() -> Behaviour:
    """Each answer leads to the same address with another number behind it, so that no two are alike."""
    numbers = itertools.count()

    async def play(turn: Turn) -> None:
        await turn.answer(Answer(307, {"Location": f"{turn.request.path}?step={next(numbers)}"}))

    return play


def challenge(line: str) -> Behaviour:
    """401 with a ``WWW-Authenticate`` of one's choice."""
    return status(401, {"WWW-Authenticate": line})


def many_headers(count: int) -> Behaviour:
    """The honest answer behind a great many headers."""

    async def play(turn: Turn) -> None:
        turn.honest.headers |= {f"X-Header-{number}": "x" * 20 for number in range(count)}
        await turn.answer(turn.honest)

    return play


def endless_hints() -> Behaviour:
    """103 Early Hints, over and over, and never an answer."""

    async def play(turn: Turn) -> None:
        while True:
            await turn.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            await asyncio.sleep(0.01)

    return play


def no_http() -> Behaviour:
    """Something that is no HTTP at all."""

    async def play(turn: Turn) -> None:
        await turn.send(b"220 mail.example ESMTP ready\r\n")
        turn.writer.close()

    return play


def whole_on_range(body: bytes) -> Behaviour:
    """Ignores ``Range``: 200 and all of the body."""
    return status(200, {"Content-Type": "application/octet-stream"}, body)


def other_part() -> Behaviour:
    """Answers a ``Range`` with 206 and another part than was asked for."""

    async def play(turn: Turn) -> None:
        size = len(turn.honest.body)
        turn.honest.headers["Content-Range"] = f"bytes 0-{size - 1}/{size}"
        await turn.answer(turn.honest)

    return play


def small_parts(size: int) -> Behaviour:
    """Answers a ``Range`` with 206 and no more than ``size`` bytes of it, properly said."""

    async def play(turn: Turn) -> None:
        honest = turn.honest
        if honest.status == 206:
            unit, _, total = honest.headers["Content-Range"].partition("/")
            start = int(unit.removeprefix("bytes ").partition("-")[0])
            honest.body = honest.body[:size]
            honest.headers["Content-Range"] = f"bytes {start}-{start + len(honest.body) - 1}/{total}"
        await turn.answer(honest)

    return play
