"""What the connections of one port have in common, and what they tell the HTTP server."""

from collections.abc import Callable
from logging import Logger
from traceback import format_tb
from typing import Final, cast

from aiohttp import web
from msgspec import Struct, field

from pierhead.faces.door.ask import Ask
from pierhead.faces.door.bounds import Room, Settings
from pierhead.faces.door.heads import Heads

OnAnswer = Callable[[Ask, int, int, float], None]


class Done:
    """What the HTTP server is told once the door itself has answered: nothing to send, only what comes next."""

    __slots__ = ("keep_alive",)

    def __init__(self, keep_alive: bool) -> None:
        self.keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing: the head is out."""

    async def write_eof(self) -> None:
        """Nothing: the body is out."""


KEEP: Final = cast(web.StreamResponse, Done(True))
CLOSE: Final = cast(web.StreamResponse, Done(False))


class Shared(Struct):
    """What all connections of a port have in common."""

    settings: Settings
    room: Room
    label: object
    tls: bool
    logger: Logger
    on_answer: OnAnswer | None
    heads: Heads = field(default_factory=Heads)
    draining: bool = False
    running: int = 0

    def failed(self, message: str, error: BaseException) -> None:
        """Log a failure of ours: kinds and frames only, since the text of an exception may quote the client."""
        trace: list[str] = []
        link: BaseException | None = error
        while link is not None and len(trace) < 200:
            number = f" (errno {link.errno})" if isinstance(link, OSError) else ""
            trace += [type(link).__name__, number, "\n", *format_tb(link.__traceback__)]
            link = link.__cause__ or link.__context__
        self.logger.error("%s\n%s", message, "".join(trace))

    def report(self, ask: Ask, status: int, sent: int, seconds: float) -> None:
        """Tell the access log and the metrics; their failure is not the client's."""
        if self.on_answer is not None:
            try:
                self.on_answer(ask, status, sent, seconds)
            except Exception as error:
                self.failed("The hook for answers failed", error)


def address(name: object) -> tuple[str, int]:
    """Host and port of a socket name; empty for sockets that have none."""
    if isinstance(name, tuple) and len(name) >= 2:
        return str(name[0]), int(name[1])
    return "", 0
