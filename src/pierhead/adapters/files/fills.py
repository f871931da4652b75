"""``ports.fills.FillStore`` on files: the leader locks and writes a part, followers read the same inode.

The part itself tells every process how it stands, so that no second file has to agree with it. Its lock says that the
leader lives; its mode, which followers see by ``fstat`` even after the name is gone, says how the fill ended:

=====================  ========  ======================================================
mode                   locked    state
=====================  ========  ======================================================
0600                   yes       filling
0400                   any       landed; all bytes are there and verified
0500                   any       failed; the leader gave up
0600                   no        abandoned; the leader died, or let go without a word
=====================  ========  ======================================================

A part gets its name only when it is locked and loses it only by the hand of who holds its lock, and it is never written
over: a new lead is a new file.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import stat
from collections.abc import Sequence
from typing import Final

from pierhead.adapters.files.ground import Ground
from pierhead.adapters.files.layout import SEALED_MODE
from pierhead.adapters.files.part import FAILED_MODE, Part, create, lock, names
from pierhead.adapters.files.store import FileBlobs
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.ports.blobs import Landed, StoreFailed
from pierhead.ports.fills import FillState

_TRIES: Final = 8
_POLL_SECONDS_MIN: Final = 0.001
_ENDED: Final[dict[int, FillState]] = {SEALED_MODE: "landed", FAILED_MODE: "failed"}


class FileFills:
    """The fills in the data folder of ``blobs``, whose threads, budget and health they share."""

    def __init__(self, blobs: FileBlobs) -> None:
        self.ground = blobs.ground
        self._leading: dict[Digest, FileLead] = {}

    async def lead(self, key: Digest, expected: int | None = None) -> FileLead | None:
        """See ``FillStore.lead``."""
        self.ground.health.check()
        if key in self._leading:
            return None
        part = await self.ground.hands.quick(self._claim, key, expected or 0)
        if part is None:
            return None
        lead = FileLead(self, key, part)
        self._leading[key] = lead
        return lead

    async def follow(self, key: Digest) -> FileTail | None:
        """See ``FillStore.follow``."""
        leading = self._leading.get(key)
        handle = await self.ground.hands.quick(self._open, key)
        if handle is None:
            return None
        if leading is not None and not leading.wrote(handle):
            leading = None
        tail = FileTail(self.ground, handle, leading)
        if tail.look() in ("failed", "abandoned"):
            tail.close()
            return None
        return tail

    async def clean(self) -> int:
        """See ``FillStore.clean``."""
        return await self.ground.hands.slow(self._clean)

    def release(self, key: Digest, lead: FileLead) -> None:
        """A lead is over."""
        if self._leading.get(key) is lead:
            del self._leading[key]

    def _claim(self, key: Digest, size: int) -> Part | None:
        path = self.ground.layout.fill(key)
        scratch = f"{self.ground.layout.fills}/new-{self.ground.entropy.token(16).hex()}"
        try:
            handle = self._claim_name(path, scratch)
        except OSError as error:
            raise self.ground.health.failure(error, "no cache fill can be begun") from error
        if handle is None:
            return None
        part = Part(self.ground, path, handle, key.algorithm)
        if size > self.ground.inline_max:
            part.reserve(size)
        return part

    def _claim_name(self, path: str, scratch: str) -> int | None:
        handle = create(scratch)
        claimed = False
        try:
            # Nobody but ``clean`` ever looks at a scratch name, and it is content to find one locked or gone.
            if not lock(handle):
                return None
            for _ in range(_TRIES):
                try:
                    os.link(scratch, path, follow_symlinks=False)
                except FileExistsError:
                    if not _remove_stale(path):
                        return None
                else:
                    claimed = True
                    return handle
            return None
        finally:
            with contextlib.suppress(OSError):
                os.unlink(scratch)
            if not claimed:
                os.close(handle)

    def _open(self, key: Digest) -> int | None:
        try:
            return os.open(self.ground.layout.fill(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self.ground.health.failure(error, "a cache fill cannot be read along") from error

    def _clean(self) -> int:
        folder = self.ground.layout.fills
        try:
            return sum(_remove_stale(f"{folder}/{name}") for name in os.listdir(folder))
        except OSError as error:
            raise self.ground.health.failure(error, "old cache fills cannot be taken away") from error


def _remove_stale(path: str) -> bool:
    """Takes a part away whose leader is dead. True if it is gone, False if somebody holds it. Raises OSError."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        if not lock(handle):
            return False
        if names(handle, path):
            os.unlink(path)
        return True
    finally:
        os.close(handle)


class FileLead:
    """See ``ports.fills.FillLead``."""

    def __init__(self, fills: FileFills, key: Digest, part: Part) -> None:
        self._fills = fills
        self._ground = fills.ground
        self._key = key
        self._part = part
        self._inode = part.inode()
        self._news = asyncio.Event()
        self.state: FillState = "filling"
        self.reason = ""

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._part.size

    async def append(self, pieces: Sequence[bytes]) -> None:
        """See ``FillLead.append``."""
        self._check()
        try:
            await self._ground.hands.batch(self._part.write, pieces)
        except StoreFailed as failure:
            self._tell("failed", str(failure))
            raise
        self._tell("filling")

    async def digest(self, algorithm: str) -> Digest:
        """See ``FillLead.digest``."""
        self._check()
        if algorithm == self._part.algorithm:
            return self._part.digest(algorithm)
        return await self._ground.hands.slow(self._part.digest, algorithm)

    async def land(self, digest: Digest) -> Landed:
        """See ``FillLead.land``. Raises ValueError for a digest that is not of these bytes."""
        if await self.digest(digest.algorithm) != digest:
            raise ValueError(f"the fill holds other bytes than {digest} names")
        try:
            landed = await self._ground.hands.quick(self._part.land, digest)
        except StoreFailed as failure:
            self._tell("failed", str(failure))
            raise
        self._tell("landed")
        return landed

    async def fail(self, reason: str) -> None:
        """See ``FillLead.fail``. Does nothing if the fill is over already."""
        if self.state == "filling":
            self._tell("failed", reason)
            await self._ground.hands.quick(self._part.give_up)

    async def discard(self) -> None:
        """See ``FillLead.discard``."""
        await self.fail("the fill was given up")

    async def close(self) -> None:
        """See ``FillLead.close``. May be called again."""
        if self.state == "filling":
            self._tell("abandoned")
        try:
            await self._ground.hands.quick(self._part.remove)
        finally:
            self._fills.release(self._key, self)

    def wrote(self, handle: int) -> bool:
        """Whether an open file is this fill's part, and not that of a leader elsewhere, before or after."""
        found = os.fstat(handle)
        return self._inode == (found.st_dev, found.st_ino)

    async def wait(self) -> None:
        """Until there are more bytes or the fill is over; returns at once if it is."""
        if self.state == "filling":
            await self._news.wait()

    def _tell(self, state: FillState, reason: str = "") -> None:
        self.state, self.reason = state, reason
        self._news.set()
        self._news = asyncio.Event()

    def _check(self) -> None:
        if self.state != "filling" or self._part.closed:
            raise StoreFailed(f"the fill was ended before: {self.state} {self.reason}".rstrip())


class FileTail:
    """See ``ports.fills.FillTail``. It reads from a descriptor of its own, which outlives the part's name."""

    def __init__(self, ground: Ground, handle: int, lead: FileLead | None) -> None:
        self._ground = ground
        self._handle = handle
        self._lead = lead
        self._pause = _POLL_SECONDS_MIN
        self.state: FillState = "filling"
        self.present = 0

    def __del__(self) -> None:
        self.close()

    @property
    def reason(self) -> str:
        """Why the fill failed, if its leader is in this process."""
        return "" if self._lead is None else self._lead.reason

    async def read(self, offset: int, most: int) -> bytes:
        """See ``FillTail.read``."""
        while (state := self.look()) == "filling" and self.present <= offset:
            await self._wait()
        if self.present <= offset:
            return b""
        try:
            found = await self._ground.hands.batch(os.pread, self._handle, min(most, self.present - offset), offset)
        except OSError as error:
            raise self._ground.health.failure(error, f"a cache fill ({state}) cannot be read along") from error
        return found

    async def end(self) -> FillState:
        """See ``FillTail.end``."""
        while self.look() == "filling":
            await self._wait()
        return self.state

    def close(self) -> None:
        """Lets go of the bytes. May be called again."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def look(self) -> FillState:
        """Brings ``state`` and ``present`` up to date; microseconds, no waiting."""
        if self.state == "filling":
            before = self.present
            if self._lead is not None:
                self.state, self.present = self._lead.state, self._lead.size
            else:
                self._look_from_afar()
            if self.present > before:
                self._pause = _POLL_SECONDS_MIN
        return self.state

    def _look_from_afar(self) -> None:
        before = self.present
        self.state, self.present = _stands(self._handle)
        if self.state == "filling" and self.present == before and not _is_locked(self._handle):
            # Between the two looks the leader may have ended it in good order.
            self.state, self.present = _stands(self._handle)
            if self.state == "filling":
                self.state = "abandoned"

    async def _wait(self) -> None:
        """Here the leader calls; of another process only the file can be watched."""
        if self._lead is not None:
            await self._lead.wait()
        else:
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, limits.FILL_POLL_SECONDS_MAX)


def _stands(handle: int) -> tuple[FillState, int]:
    """State, by the mode alone, and size. A part that has ended grows no more, so both fit together."""
    found = os.fstat(handle)
    return _ENDED.get(stat.S_IMODE(found.st_mode), "filling"), found.st_size


def _is_locked(handle: int) -> bool:
    """Whether the leader lives. A lead that is asked for in this very moment gets None, and asks again."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False
