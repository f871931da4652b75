"""A parser of requests in its first state, as the HTTP server makes one for each connection."""

import asyncio
from typing import TypedDict

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE, RequestPayloadError

from pierhead.faces.door.bounds import Settings


class HeadBounds(TypedDict):
    """What the HTTP server's parser takes of a head, in bytes and fields."""

    max_line_size: int
    max_field_size: int
    max_headers: int


def head_bounds(settings: Settings) -> HeadBounds:
    """The same for the first parser of a connection and for those that follow it."""
    return {
        "max_line_size": settings.target_bytes,
        "max_field_size": settings.field_bytes,
        "max_headers": settings.fields,
    }


def request_parser(protocol: BaseProtocol, settings: Settings) -> HttpRequestParser:
    """For a connection whose parser still counts the bytes of a body that was read past it. Runs in the loop."""
    return HttpRequestParser(
        protocol,
        asyncio.get_running_loop(),
        settings.read_bytes,
        **head_bounds(settings),
        payload_exception=RequestPayloadError,
        auto_decompress=False,
        max_msg_queue_size=MAX_MSG_QUEUE_SIZE,
    )
