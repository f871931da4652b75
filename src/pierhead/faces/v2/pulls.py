"""GET of a manifest where pulls are told to the record; a server that tells none never comes here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Final

from pierhead.faces.door.ask import AnyAnswer
from pierhead.faces.door.told import Told
from pierhead.faces.v2 import manifests
from pierhead.faces.v2.asked import Asked

_DIGEST: Final = "Docker-Content-Digest"


def telling_pulls(told: Told, every: int) -> Callable[[Asked], Awaitable[AnyAnswer]]:
    """``manifests.get`` that tells of one in ``every`` of the manifests that it hands out; a 304 hands out none."""
    number = count(1)

    async def get(asked: Asked) -> AnyAnswer:
        answer = await manifests.get(asked)
        if answer.status == 200 and next(number) % every == 0:
            digest = dict(answer.headers)[_DIGEST]
            told.pulled(asked.ask, asked.who, digest, every)
        return answer

    return get
