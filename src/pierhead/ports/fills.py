"""Cache fills: bytes that come from an upstream, written by one leader and read along by any number of followers.

A key has at most one leader among all processes of this machine. A leader that dies lets go of its key, and a follower
who sees ``abandoned`` may ask for the lead. How to get at a blob that is not stored, therefore:

    while True:
        if lead := await fills.lead(digest): ...  # look again for the row; then fetch, land, commit, close
        if tail := await fills.follow(digest): ...  # read along, close

Both may answer None, when a fill begins or ends in between; the next turn tells. Bytes that a tail gives out have not
been verified before its state is ``landed``: who passes them on holds the last ``limits.FILL_WITHHELD_BYTES`` back
until then, so that no client ever takes a forged blob for whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from pierhead.domain.digest import Digest
from pierhead.ports.blobs import Landed

FillState = Literal["filling", "landed", "failed", "abandoned"]
"""``failed``: the leader gave up and said so. ``abandoned``: he died, or let go without a word."""


class FillLead(Protocol):
    """The one writer of a fill. Whatever happens, ``close`` comes last.

    ``land`` makes the bytes durable and tells the followers, but keeps the key: close when the row is committed, so
    that nobody asks the upstream again in between.
    """

    @property
    def size(self) -> int:
        """Bytes so far."""

    async def append(self, pieces: Sequence[bytes]) -> None:
        """Writes ``pieces`` behind what is there, hashing as it goes. Raises StoreFailed, which fails the fill."""

    async def digest(self, algorithm: str) -> Digest:
        """Of all bytes so far."""

    async def land(self, digest: Digest) -> Landed:
        """Makes the bytes durable under ``digest``, which the caller has compared.

        Raises StoreFailed, and ValueError for a digest of other bytes; fail the fill then.
        """

    async def fail(self, reason: str) -> None:
        """Throws the bytes away; followers in this process may read ``reason``."""

    async def discard(self) -> None:
        """``fail`` without a reason, so that a lead can be handed to whoever ends an ``Incoming``."""

    async def close(self) -> None:
        """Lets go of the key. Without ``land`` or ``fail`` before it, the fill is abandoned."""


class FillTail(Protocol):
    """One reader of a fill. ``close`` it."""

    @property
    def state(self) -> FillState:
        """As of the last ``read`` or ``end``. Anything but ``filling`` is final."""

    @property
    def present(self) -> int:
        """Bytes that were there at that time."""

    @property
    def reason(self) -> str:
        """Why the fill failed, if its leader is in this process; else empty."""

    async def read(self, offset: int, most: int) -> bytes:
        """At least one and at most ``most`` bytes from ``offset`` on, waiting until there are some.

        Empty when the fill has ended and nothing lies beyond ``offset``. Raises StoreFailed.
        """

    async def end(self) -> FillState:
        """Waits until the fill is over."""

    def close(self) -> None:
        """Lets go of the bytes."""


class FillStore(Protocol):
    """The fills of this machine."""

    async def lead(self, key: Digest, expected: int | None = None) -> FillLead | None:
        """The lead of a new fill, empty; None if somebody has it. ``expected`` bytes are reserved.

        Raises StoreFailed.
        """

    async def follow(self, key: Digest) -> FillTail | None:
        """Reads along with a fill that goes on or has just landed; None if there is none. Raises StoreFailed."""

    async def clean(self) -> int:
        """Throws away what leaders who died have left; returns how many fills. Those that go on are left alone."""
