"""What runs in the background of every process: made of the settings, made anew when they change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from pierhead.boot.settings import ExpirySettings, Settings
from pierhead.boot.upstreams import Proxies
from pierhead.domain import limits
from pierhead.jobs.empty_trash import EmptyTrash
from pierhead.jobs.end_sessions import EndSessions
from pierhead.jobs.expire import Expiry
from pierhead.jobs.expire_promotions import ExpirePromotions
from pierhead.jobs.keep_pulls import KeepPulls
from pierhead.jobs.keep_record import TellHead
from pierhead.jobs.loop import Loop
from pierhead.jobs.reap_uploads import ReapUploads
from pierhead.jobs.reclaim import Reclaim
from pierhead.jobs.refresh_cache import CleanFills, ProbeUpstreams
from pierhead.jobs.scrub import CheckDatabase, Scrub
from pierhead.jobs.tend_reserve import TendReserve
from pierhead.jobs.verify_blobs import Doubts, VerifyBlobs
from pierhead.jobs.watch_accounts import WatchAccounts
from pierhead.ports.faults import Faults
from pierhead.ports.fills import FillStore
from pierhead.repositories.directory import Directory
from pierhead.repositories.parts import Parts
from pierhead.repositories.pulls import Pulls

_RESERVE_SECONDS: Final = 2.0
_PROBE_SECONDS: Final = 1.0
_FILLS_SECONDS: Final = 60.0
_HEAD_LOOK_SECONDS: Final = 5.0
_SCRUB_SECONDS: Final = 24 * 3600.0
_VERIFY_SECONDS: Final = 10.0
_SESSIONS_SECONDS: Final = 600.0
_PROMOTIONS_SECONDS: Final = 60.0


class Background:
    """The loops of one process. Those that must not run twice at once hold a lease in the database."""

    def __init__(
        self, parts: Parts, fills: FillStore, proxies: Proxies, faults: Faults, directory: Directory, pulls: Pulls
    ) -> None:
        self._parts = parts
        self._fills = fills
        self._proxies = proxies
        self._faults = faults
        self._directory = directory
        self._pulls = pulls
        self._holder = parts.entropy.token(8).hex()
        self.loops: list[Loop] = []
        self.reclaim: Reclaim | None = None
        self.expiry = self._expiry(ExpirySettings(), limits.BLOB_LEASE_SECONDS)
        self.doubts = Doubts()
        self.more: Callable[[], Sequence[Loop]] = tuple
        """Makes loops of other owners, which run as long as these."""

    async def restart(self, settings: Settings) -> None:
        """Ends the loops that run and begins with those of ``settings``."""
        await self.stop()
        store, blobs, clock = self._parts.store, self._parts.blobs, self._parts.clock
        times = settings.reclaim
        self.reclaim = Reclaim(store, blobs, self._faults, self._holder, times.quarantine_seconds * 1_000_000)
        reap = ReapUploads(store, blobs, clock, self._holder, times.uploads_seconds * 1_000_000, self._parts.sessions)
        sessions = EndSessions(store, self._holder, settings.sign_in.session_idle_seconds * 1_000_000)
        keep, lease = settings.expiry.keep_deleted_seconds, times.lease_seconds
        trash = EmptyTrash(store, clock, self._holder, keep * 1_000_000, lease * 1_000_000)
        self.expiry = self._expiry(settings.expiry, lease)
        verify = Loop("verify", VerifyBlobs(store, blobs, clock, self._holder, self.doubts), _VERIFY_SECONDS)
        self.doubts.wake = verify.wake
        self.loops = [
            Loop("reclaim", self.reclaim, times.every_seconds),
            Loop("uploads", reap, times.every_seconds),
            Loop("scrub", Scrub(store, blobs, clock, self._holder), _SCRUB_SECONDS),
            verify,
            Loop("check", CheckDatabase(store, self._holder), _SCRUB_SECONDS),
            Loop("reserve", TendReserve(store), _RESERVE_SECONDS),
            Loop("upstreams", ProbeUpstreams(lambda: self._proxies.upstreams, clock), _PROBE_SECONDS),
            Loop("record", TellHead(store, clock, self._holder), _HEAD_LOOK_SECONDS),
            Loop("fills", CleanFills(self._fills), _FILLS_SECONDS),
            Loop("accounts", WatchAccounts(self._directory), limits.ACCOUNTS_POLL_SECONDS),
            Loop("trash", trash, times.every_seconds),
            Loop("pulls", KeepPulls(store, self._pulls), limits.PULLS_KEPT_SECONDS),
            Loop("expiry", self.expiry, min(settings.expiry.every_seconds, times.every_seconds)),
            Loop("sessions", sessions, _SESSIONS_SECONDS),
            Loop("promotions", ExpirePromotions(store, clock, self._holder), _PROMOTIONS_SECONDS),
            *self.more(),
        ]
        for loop in self.loops:
            loop.start()

    def _expiry(self, settings: ExpirySettings, lease_seconds: int) -> Expiry:
        store, before = self._parts.store, KeepPulls(self._parts.store, self._pulls)
        times = (settings.keep_deleted_seconds, lease_seconds, settings.every_seconds)
        keep, lease, every = (seconds * 1_000_000 for seconds in times)
        return Expiry(store, self._parts.clock, self._holder, settings.rules, keep, lease, every, before)

    async def stop(self) -> None:
        """Returns when the steps that run have ended."""
        await asyncio.gather(*(loop.stop() for loop in self.loops))
        self.loops = []
