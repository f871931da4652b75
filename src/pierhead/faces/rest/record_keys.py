"""The keys with which records of promotions are verified."""

from __future__ import annotations

import asyncio

from pierhead.domain.refusals import Unavailable
from pierhead.faces.rest import shapes
from pierhead.faces.rest.call import Call
from pierhead.faces.rest.shapes import Json


async def record_keys(call: Call) -> Json:
    """The newest first. The private halves leave the data folder by no route."""
    try:
        halves = await asyncio.to_thread(call.server.record_signer.public)
    except OSError as error:
        raise Unavailable("The keys of records cannot be read from the data folder.", retry_after=30) from error
    return shapes.page(
        [
            {
                "id": one.id,
                "algorithm": "ecdsa-p256-sha256",
                "created": shapes.instant(one.created),
                "signs": one.signs,
                "public_key": one.pem,
            }
            for one in halves
        ]
    )
