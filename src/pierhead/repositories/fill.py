"""A cache miss: one fetch for a blob, however many want it, and all of them read along while it comes.

A fill belongs to ``Fills`` and not to the request that began it, so it outlives its client. On one machine one process
leads it; the others, and other images that want the same digest, follow (``ports.fills``).
"""

from __future__ import annotations

import asyncio
import logging

from msgspec import Struct

from pierhead.commits.blob import Place, adopt_blob
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.lifecycle import BlobState
from pierhead.domain.names import ImageName
from pierhead.domain.refusals import DigestMismatch, Unavailable
from pierhead.ports.blobs import BlobStore, StoreFailed
from pierhead.ports.fills import FillLead, FillStore
from pierhead.ports.metadata.store import Store
from pierhead.ports.metadata.values import RepositoryId
from pierhead.ports.upstream import Absent, BlobStream, Upstream
from pierhead.repositories.fill_reader import FillReader
from pierhead.repositories.landing import is_intact, land_fill

_log = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.01


class Tally(Struct):
    """What was fetched for one proxy since the start: bytes of blobs, and answers that were no good."""

    bytes_fetched: int = 0
    bad_answers: int = 0
    running: int = 0


class Wanted(Struct, frozen=True):
    """``size`` is what a cached manifest of the image says, None if none names the blob.

    Such a manifest is the upstream's word that the image has the blob. Without it the upstream is asked first.
    """

    place: Place
    digest: Digest
    size: int | None


class Fills:
    """All fills of this process."""

    def __init__(self, store: Store, blobs: BlobStore, fills: FillStore, blob_bytes_max: int) -> None:
        self.store = store
        self.blobs = blobs
        self.fills = fills
        self.blob_bytes_max = blob_bytes_max
        self._running: dict[tuple[RepositoryId, ImageName, Digest], Fill] = {}

    def fill(self, upstream: Upstream, wanted: Wanted, tally: Tally) -> Fill:
        """The fill of this blob that goes on, or a new one."""
        key = (wanted.place.repository, wanted.place.image, wanted.digest)
        found = self._running.get(key)
        if found is None:
            found = self._running[key] = Fill(self, upstream, wanted, tally)
            found.task.add_done_callback(lambda task: self._over(key, task))
        return found

    async def close(self) -> None:
        """Ends all fills; nothing of them is left."""
        tasks = [fill.task for fill in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _over(self, key: tuple[RepositoryId, ImageName, Digest], task: asyncio.Task[bool]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # looked at, as everybody who waited for it may have gone


class Fill:
    """One blob on its way. ``task`` says True when the image has it, False if the upstream has no such blob.

    It raises Unavailable and UpstreamLimited; nothing is kept then.
    """

    def __init__(self, fills: Fills, upstream: Upstream, wanted: Wanted, tally: Tally) -> None:
        self.fills = fills
        self.wanted = wanted
        self._upstream = upstream
        self._tally = tally
        self._loop = asyncio.get_running_loop()
        self._begun: asyncio.Future[int] = self._loop.create_future()
        self._size = wanted.size
        self._readers = 0
        self._followed = False
        self._bound: asyncio.Timeout | None = None
        self._end = self._loop.time() + limits.FILL_SECONDS_MAX
        self.task = asyncio.create_task(self._run(), name=f"fill {wanted.digest}")

    async def read_along(self) -> FillReader | bool:
        """A reader as soon as bytes come. Of a blob that is withheld whole, or whose size nobody knows, the result.

        Raises Unavailable, UpstreamLimited.
        """
        self.count(1)
        try:
            await asyncio.wait((self.task, self._begun), return_when=asyncio.FIRST_COMPLETED)
            if not self.task.done() and self._begun.result() > limits.FILL_WITHHELD_BYTES:
                tail = await self.fills.fills.follow(self.wanted.digest)
                if tail is not None:
                    return FillReader(self, tail, self._begun.result())
            return await self.result()
        finally:
            self.count(-1)

    async def result(self) -> bool:
        """Waits for the end. Raises Unavailable, UpstreamLimited."""
        await asyncio.wait((self.task,))
        if self.task.cancelled():
            raise Unavailable("The fetch was ended, since the server stops.", retry_after=5)
        return self.task.result()

    def count(self, by: int) -> None:
        """Readers come and go; without any, the fill goes on for five minutes at most."""
        self._readers += by
        if self._bound is not None and not self._bound.expired():
            self._bound.reschedule(self._until())

    def _until(self) -> float:
        return self._end if self._readers else min(self._end, self._loop.time() + limits.FILL_DETACHED_SECONDS_MAX)

    async def _run(self) -> bool:
        self._tally.running += 1
        try:
            async with asyncio.timeout_at(self._until()) as self._bound:
                return await self._fill()
        except TimeoutError:
            name = self._upstream.name
            raise Unavailable(f"{name} sends {self.wanted.digest} too slowly; it was given up.", kind="slow") from None
        except StoreFailed as failure:
            raise Unavailable(f"{self.wanted.digest} cannot be kept: {failure}.", retry_after=30) from failure
        except Unavailable as failure:
            self._tally.bad_answers += failure.kind == "bad_answer"
            if self._begun.done():
                # Its readers are only cut off, and perhaps there is none any more: nobody else would tell.
                place = self.wanted.place
                _log.warning(
                    "a fetch for %s broke off: %s", place.image, failure.message, extra={"repository": place.name}
                )
            raise
        finally:
            self._bound = None
            self._tally.running -= 1

    async def _fill(self) -> bool:
        stream: BlobStream | None = None
        if self.wanted.size is None:
            opened = await self._upstream.blob(self.wanted.place.image, self.wanted.digest)
            if isinstance(opened, Absent):
                return False
            stream, self._size = opened, opened.size
        try:
            while not await self._adopted():
                lead = await self.fills.fills.lead(self.wanted.digest, self._size)
                if lead is None:
                    if stream is not None:
                        await stream.aclose()
                        stream = None
                    await self._follow()
                    continue
                try:
                    # Between the look and the lead another leader may have ended.
                    if not await self._adopted():
                        mine, stream = stream, None
                        return await self._lead(lead, mine)
                finally:
                    await lead.close()
            return True
        finally:
            if stream is not None:
                await stream.aclose()

    async def _adopted(self) -> bool:
        """Whether the image has the blob now, because bytes that are here already were given to it.

        They are given without a fetch only if another image of the same repository has them, which the same accounts
        may read; or if they were fetched just now, while this fill looked on.
        """
        wanted, lookups = self.wanted, self.fills.store.lookups
        if self._followed:
            row = await lookups.known(wanted.digest)
        else:
            row = await lookups.shared(wanted.place.repository, wanted.digest)
        if row is None or row.state is not BlobState.LIVE or not is_intact(row, self.fills.blobs):
            return False
        if wanted.size is not None and row.size != wanted.size:
            raise self._wrong_size(row.size)
        size = row.size
        return await self.fills.store.write(lambda tx: adopt_blob(tx, wanted.place, wanted.digest, size))

    async def _follow(self) -> None:
        """Waits until another's fill is over; then the caller looks again."""
        tail = await self.fills.fills.follow(self.wanted.digest)
        if tail is not None:
            try:
                if self._size is not None:
                    self._begin(self._size)
                self._followed = await tail.end() == "landed"
            finally:
                tail.close()
        # The row comes a moment after the bytes, or a fill has begun or ended in between.
        await asyncio.sleep(_PAUSE_SECONDS)

    async def _lead(self, lead: FillLead, stream: BlobStream | None) -> bool:
        wanted = self.wanted
        try:
            if stream is None:
                opened = await self._upstream.blob(wanted.place.image, wanted.digest)
                if isinstance(opened, Absent):
                    await lead.fail(opened.why)
                    return False
                stream = opened
            try:
                await self._receive(lead, stream)
            finally:
                await stream.aclose()
            await land_fill(lead, wanted.digest, wanted.place, self.fills.store, self.fills.blobs)
        except DigestMismatch as lie:
            why = f"it sends other bytes than {wanted.digest} names. Nothing of them was kept"
            raise self._bad(why) from lie
        except BaseException as error:
            await lead.fail(str(error))
            raise
        return True

    async def _receive(self, lead: FillLead, stream: BlobStream) -> None:
        wanted = self.wanted
        if wanted.size is not None and stream.size is not None and stream.size != wanted.size:
            raise self._wrong_size(stream.size)
        if self._size is None:
            self._size = stream.size
        size = self._size
        self._fits(size or 0)
        if size is not None:
            self._begin(size)
        async for piece in stream:
            self._fits(lead.size + len(piece))
            if size is not None and lead.size + len(piece) > size:
                # Not read to its end, which may be far beyond what the disk has room for.
                raise self._bad(f"it sends more of {wanted.digest} than the {size} bytes that were announced")
            await lead.append([piece])
            self._tally.bytes_fetched += len(piece)
        if size is not None and lead.size != size:
            raise self._wrong_size(lead.size)

    def _begin(self, size: int) -> None:
        if not self._begun.done():
            self._begun.set_result(size)

    def _fits(self, size: int) -> None:
        most = self.fills.blob_bytes_max
        if size > most:
            raise self._bad(f"{self.wanted.digest} has more than the {most} bytes of `limits.blob_bytes`")

    def _wrong_size(self, came: int) -> Unavailable:
        return self._bad(f"{self.wanted.digest} has {came} bytes, but {self._size} were announced")

    def _bad(self, why: str) -> Unavailable:
        return Unavailable(f"{self._upstream.name} gave an answer that cannot be used: {why}.", kind="bad_answer")
