"""A parser of requests in its first state, as the HTTP server makes one for each connection."""

import asyncio

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE, RequestPayloadError

from pierhead.faces.door.bounds import Settings


def request_parser(protocol: BaseProtocol, settings: Settings) -> HttpRequestParser:
    """For a connection whose parser still counts the bytes of a body that was read past it. Runs in the loop."""
    return HttpRequestParser(
        protocol,
        asyncio.get_running_loop(),
        settings.read_bytes,
        max_line_size=settings.target_bytes,
        max_field_size=settings.field_bytes,
        max_headers=settings.fields,
        payload_exception=RequestPayloadError,
        auto_decompress=False,
        max_msg_queue_size=MAX_MSG_QUEUE_SIZE,
    )
