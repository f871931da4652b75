"""A proxy repository: what another registry has, kept here as it is asked for.

- A digest is fresh for ever; a tag for ``fresh_for`` seconds. Then the upstream is asked with a HEAD, which costs no
  pull of Docker Hub's quota, and with a GET only if the digest has changed.
- When the upstream cannot be asked, refuses or has lost the tag, what is kept is answered and says that it is stale.
- A definite no is remembered for a moment. A failure is not: the upstream's circuit breaker does that, with its reason.
- What is no manifest that would be kept here, Docker schema 1 among it, is a bad answer (502) and not a 404, so that a
  group does not go on to the next member as if there were no such image.
"""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from typing import Final

from msgspec import Struct

from pierhead.commits.blob import Place
from pierhead.commits.cache_entry import CachePlace, keep_manifest, note_tag
from pierhead.domain import limits
from pierhead.domain.access import Principal
from pierhead.domain.digest import Digest
from pierhead.domain.lookup import fold_library, library_spelling
from pierhead.domain.manifest import parse
from pierhead.domain.names import ImageName, Reference, RepositoryName, Tag
from pierhead.domain.refusals import NameInvalid, Refusal, Unavailable, UpstreamLimited
from pierhead.ports.metadata.values import ManifestId, RepositoryId, StoredManifest
from pierhead.ports.upstream import Absent, Upstream, UpstreamManifest
from pierhead.repositories.fill import Fills, Tally, Wanted
from pierhead.repositories.fill_reader import FillReader, NothingToSend
from pierhead.repositories.hosted import stored_blob
from pierhead.repositories.kind import (
    MISSING,
    ComingBlob,
    Found,
    Head,
    ImageList,
    Missing,
    ReferrerList,
    StoredBlob,
    TagList,
)
from pierhead.repositories.parts import Parts
from pierhead.repositories.proxy_lists import ProxyLists
from pierhead.repositories.proxy_status import ProxyStatus
from pierhead.repositories.recent import Flights, Recent
from pierhead.repositories.visible import visible_images

_log = logging.getLogger(__name__)

_SECOND: Final = 1_000_000
_KEPT_SHOWN_MAX: Final = 3
_KEPT_LOOKED_AT: Final = 20
_TOLD_SECONDS: Final = 60
_TOLD_MAX: Final = 1_000
# Before a digest that is absent as a blob: who has nothing but a digest asks for a manifest first and then for a blob.
_BLOB: Final = "blob "


class CacheSettings(Struct, frozen=True):
    """Times in seconds. ``library``: names of one word are asked for as ``library/NAME``."""

    fresh_for: float
    absent_for: float = 30
    library: bool = False


class Proxy:
    """Implements ``repositories.kind.Caching``."""

    kind = "proxy"

    def __init__(
        self,
        name: RepositoryName,
        row_id: RepositoryId,
        upstream: Upstream,
        fills: Fills,
        parts: Parts,
        settings: CacheSettings,
    ) -> None:
        self.name = name
        self.row_id = row_id
        self.upstream = upstream
        self.settings = settings
        self._fills = fills
        self._parts = parts
        self._members = (row_id,)
        self._lookups = parts.store.lookups
        absent_for = min(settings.absent_for, limits.ABSENT_SECONDS_MAX)
        self._absent: Recent[tuple[ImageName, str], str] = Recent(parts.clock, absent_for, limits.ABSENT_ENTRIES_MAX)
        # Clients ask for a digest right after a HEAD has told it to them, and have it from whom they were told.
        self._told: Recent[tuple[ImageName, Digest], bool] = Recent(parts.clock, _TOLD_SECONDS, _TOLD_MAX)
        self._flights: Flights[tuple[ImageName, str, bool], Found | Head | Missing] = Flights()
        self._lists = ProxyLists(name, row_id, upstream, parts, self.by_tag)
        self._tally = Tally()
        self._hits = self._misses = 0
        self._stale: Counter[str] = Counter()
        self._last_reason = ""

    # --- manifests ---------------------------------------------------------------------------------------------------

    async def manifest(
        self, who: Principal, image: ImageName, reference: Reference, *, head: bool
    ) -> Found | Head | Missing:
        """See the protocol. Raises Unavailable, UpstreamLimited."""
        name = self.spelled(image)
        if name is None:
            return MISSING
        if isinstance(reference, Digest):
            return await self._by_digest(name, reference, head=head)
        return await self.by_tag(name, reference, head=head)

    async def kept_manifest(self, image: ImageName, digest: Digest) -> Found | Missing:
        """What is here; the upstream is not asked."""
        name = self.spelled(image)
        return MISSING if name is None else await self._kept(name, digest)

    async def _kept(self, name: ImageName, digest: Digest) -> Found | Missing:
        hits = await self._lookups.manifest(self._members, name, digest)
        if not hits:
            return MISSING
        self._hits += 1
        return Found(self.name, await self._lookups.stored(hits[0].manifest))

    async def _by_digest(self, name: ImageName, digest: Digest, *, head: bool) -> Found | Head | Missing:
        kept = await self._kept(name, digest)
        if isinstance(kept, Found) or self._absent.get((name, digest)) is not None:
            return kept
        try:
            return await self._flights.once((name, digest, head), lambda: self._fetch_digest(name, digest, head=head))
        except (Unavailable, UpstreamLimited) as failure:
            raise await self._not_kept(failure, name, digest) from failure

    async def _fetch_digest(self, name: ImageName, digest: Digest, *, head: bool) -> Found | Head | Missing:
        self._misses += 1
        said = await (self.upstream.head(name, digest) if head else self.upstream.manifest(name, digest))
        if isinstance(said, Absent):
            return self._remember(name, digest, said)
        if said.body is None:
            return Head(self.name, digest, said.media_type, said.size)
        if said.digest != digest:
            raise self._bad(f"it sends another manifest than {digest}")
        return Found(self.name, await self._keep(name, None, said, said.body))

    async def by_tag(self, name: ImageName, tag: Tag, *, head: bool) -> Found | Head | Missing:
        """``name`` is spelled as the upstream wants it. Raises Unavailable, UpstreamLimited."""
        lookups = self._lookups
        hits = await lookups.tag(self._members, name, tag)
        kept = await lookups.stored(hits[0].manifest) if hits else None
        if kept is not None:
            entry = await lookups.cached(self.row_id, name, tag)
            if (
                entry is not None
                and entry.digest == kept.digest
                # Checked in the future: the machine's clock was put back, and nobody knows how old it is.
                and 0 <= self._parts.clock.now() - entry.checked < self.settings.fresh_for * _SECOND
            ):
                self._hits += 1
                return Found(self.name, kept)
        gone = self._absent.get((name, tag))
        if gone is not None:
            return MISSING if kept is None else self._outdated(kept, gone, "gone")
        try:
            found = await self._flights.once((name, tag, head), lambda: self._ask(name, tag, kept, head=head))
        except (Unavailable, UpstreamLimited) as failure:
            if kept is not None:
                kind = failure.kind if isinstance(failure, Unavailable) else "limited"
                return self._outdated(kept, failure.message, kind)
            raise await self._not_kept(failure, name, tag) from failure
        if isinstance(found, Missing) and kept is not None:
            return self._outdated(kept, self._absent.get((name, tag)) or self._lost(name, tag), "gone")
        self._last_reason = ""  # the next trouble is a new one, though it may have the same reason
        return found

    async def _ask(
        self, name: ImageName, tag: Tag, kept: StoredManifest | None, *, head: bool
    ) -> Found | Head | Missing:
        """HEAD if that may be enough, GET if it is not."""
        self._misses += 1
        if kept is not None or head:
            said = await self.upstream.head(name, tag)
            if isinstance(said, Absent):
                return self._remember(name, tag, said)
            found = await self._note(name, tag, said.digest)
            if found is not None:
                return Found(self.name, await self._lookups.stored(found))
            if head:
                self._told.put((name, said.digest), True)
                return Head(self.name, said.digest, said.media_type, said.size)
        got = await self.upstream.manifest(name, tag)
        if isinstance(got, Absent):
            return self._remember(name, tag, got)
        if got.body is None:
            raise self._bad("it sends a manifest without a body")
        return Found(self.name, await self._keep(name, tag, got, got.body))

    async def _note(self, name: ImageName, tag: Tag, digest: Digest) -> ManifestId | None:
        """That a tag was asked about is worth no sync of the disk: after a power cut it is asked again."""
        place = self._place(name)
        try:
            return await self._parts.store.write(lambda tx: note_tag(tx, place, tag, digest), durable=False)
        except Unavailable:
            # The disk is full, which is no reason to turn a pull away.
            hits = await self._lookups.manifest(self._members, name, digest)
            return hits[0].manifest if hits else None

    async def _keep(self, name: ImageName, tag: Tag | None, got: UpstreamManifest, body: bytes) -> StoredManifest:
        try:
            parsed = parse(body, got.media_type or None)
        except Refusal as refusal:
            raise self._bad(f"{name} is no manifest that can be kept here. {refusal.message}") from refusal
        place, store = self._place(name), self._parts.store
        self._absent.drop((name, got.digest))
        try:
            manifest = await store.write(
                lambda tx: keep_manifest(tx, place, got.digest, body, parsed, tag), durable=False
            )
        except Unavailable as failure:
            _log.warning("a manifest could not be kept: %s", failure.message, extra={"repository": self.name})
            subject = None if parsed.subject is None else parsed.subject.digest
            return StoredManifest(ManifestId(0), got.digest, parsed.media_type, parsed.artifact_type, body, subject)
        return await self._lookups.stored(manifest)

    # --- blobs -------------------------------------------------------------------------------------------------------

    async def blob(
        self, who: Principal, image: ImageName, digest: Digest, *, head: bool
    ) -> StoredBlob | ComingBlob | Missing:
        """See the protocol. Raises Unavailable, UpstreamLimited."""
        name = self.spelled(image)
        if name is None:
            return MISSING
        kept = await self._kept_blob(name, digest)
        if isinstance(kept, StoredBlob) or self._absent.get((name, _BLOB + digest)) is not None:
            return kept
        self._misses += 1
        size = await self._announced(name, digest)
        if head and size is None:
            opened = await self.upstream.blob(name, digest)
            if isinstance(opened, Absent):
                return self._remember(name, _BLOB + digest, opened)
            size = opened.size
            await opened.aclose()
        if head and size is not None:
            return ComingBlob(self.name, size, NothingToSend())
        return await self._fetch_blob(name, digest, size)

    async def _fetch_blob(self, name: ImageName, digest: Digest, size: int | None) -> StoredBlob | ComingBlob | Missing:
        place = Place(self.row_id, self.name, name, self._parts.lease, cached=True)
        found = await self._fills.fill(self.upstream, Wanted(place, digest, size), self._tally).read_along()
        if isinstance(found, FillReader):
            return ComingBlob(self.name, found.size, found)
        if not found:
            self._absent.put((name, _BLOB + digest), "")
            return MISSING
        return await self._kept_blob(name, digest)

    async def kept_blob(self, image: ImageName, digest: Digest) -> StoredBlob | Missing:
        """What is here; the upstream is not asked."""
        name = self.spelled(image)
        return MISSING if name is None else await self._kept_blob(name, digest)

    async def _kept_blob(self, name: ImageName, digest: Digest) -> StoredBlob | Missing:
        hit = await self._lookups.blob(self._members, name, digest)
        if hit is None:
            return MISSING
        self._hits += 1
        return stored_blob(self.name, hit[1], self._parts.blobs)

    async def _announced(self, name: ImageName, digest: Digest) -> int | None:
        """The size of a blob that a cached manifest of this very image names; None if none does.

        What another image's manifest says does not count: it may be another upstream user's invention.
        """
        manifest = await self._lookups.naming(self.row_id, name, digest)
        if manifest is None:
            return None
        stored = await self._lookups.stored(manifest)
        parsed = parse(stored.body, stored.media_type)
        return next((one.size for one in parsed.required if one.digest == digest), None)

    # --- lists -------------------------------------------------------------------------------------------------------

    async def tags(self, who: Principal, image: ImageName, last: str, limit: int) -> TagList | Missing:
        """All that the upstream has; those that are kept here, with the reason, if it cannot be asked."""
        name = self.spelled(image)
        return MISSING if name is None else await self._lists.tags(name, last, limit)

    async def images(self, who: Principal, last: str, limit: int) -> ImageList:
        """Images of which something is kept and that the account may pull: no upstream lists all that it has."""
        return await visible_images(who, self.name, partial(self._lookups.images, self._members), last, limit)

    async def referrers(
        self, who: Principal, image: ImageName, subject: Digest, artifact_type: str | None, after: int = 0
    ) -> ReferrerList:
        """What the upstream lists, by its referrers API or under the fallback tag; all of it on one page."""
        name = self.spelled(image)
        return ReferrerList([]) if name is None or after else await self._lists.referrers(name, subject, artifact_type)

    # --- what the house asks -----------------------------------------------------------------------------------------

    def spelled(self, image: ImageName) -> ImageName | None:
        """The name under which the upstream is asked and the cache keeps; None if there can be no such image."""
        try:
            return library_spelling(image, self.settings.library)
        except NameInvalid:
            return None

    def judged(self, image: ImageName) -> ImageName:
        """The name on which rights are judged: one image has one name, however it was spelled."""
        return self.spelled(image) or image

    async def names(self, image: ImageName, digest: Digest) -> bool:
        """See the protocol."""
        name = self.spelled(image)
        if name is None:
            return False
        if self._told.get((name, digest)) or await self._lookups.naming(self.row_id, name, digest) is not None:
            return True
        return bool(await self._lookups.manifest(self._members, name, digest))

    def status(self) -> ProxyStatus:
        """For ``pierhead status`` and metrics."""
        tally = self._tally
        return ProxyStatus(
            self.name,
            self._hits,
            self._misses,
            dict(self._stale),
            tally.running,
            tally.bytes_fetched,
            tally.bad_answers,
            self.upstream.state(),
        )

    @property
    def asks(self) -> bool:
        """Whether its upstream is asked something just now."""
        state = self.upstream.state()
        return bool(self._tally.running or state.fetching or state.waiting)

    def renew(self, username: str, password: str) -> None:
        """New credentials: what was refused or not seen with the old ones is asked again."""
        self.upstream.renew(username, password)
        self._absent.clear()
        self._lists.clear()

    async def close(self) -> None:
        """Ends what it asks its upstream just now, fills apart: those belong to ``Fills``."""
        await self._flights.close()
        await self._lists.close()
        await self.upstream.aclose()

    # --- answers -----------------------------------------------------------------------------------------------------

    def _outdated(self, kept: StoredManifest, why: str, kind: str) -> Found:
        self._stale[kind] += 1
        if why != self._last_reason:
            self._last_reason = why
            _log.warning("answered from the cache, perhaps out of date: %s", why, extra={"repository": self.name})
        return Found(self.name, kept, stale=why)

    def _remember(self, name: ImageName, what: str, said: Absent) -> Missing:
        """``what`` is a tag, a digest, or a digest behind ``_BLOB``."""
        _log.info("not there: %s %s: %s", name, what, said.why, extra={"repository": self.name})
        self._absent.put((name, what), self._lost(name, what))
        return MISSING

    def _lost(self, name: ImageName, reference: str) -> str:
        return f"{self.upstream.name} has no {self._said(name, reference)} any more."

    async def _not_kept(
        self, failure: Unavailable | UpstreamLimited, name: ImageName, reference: Reference
    ) -> Unavailable | UpstreamLimited:
        sentence = f"{self._said(name, reference)} is not kept here."
        kept = await self._lookups.tags(self._members, name, "", _KEPT_LOOKED_AT) or ()
        if shown := [tag for tag in kept if not tag.is_fallback][:_KEPT_SHOWN_MAX]:
            sentence += f" Kept: {', '.join(shown)}."
        if isinstance(failure, UpstreamLimited):
            return UpstreamLimited(self.upstream.name, failure.retry_after, f"{sentence} {failure.said}".strip())
        return Unavailable(f"{failure.message} {sentence}", kind=failure.kind, retry_after=failure.retry_after)

    def _said(self, name: ImageName, reference: str) -> str:
        """As people write it: one-word names without ``library/``."""
        short = fold_library(name) if self.settings.library else name
        return f"{short}{'@' if isinstance(reference, Digest) else ':'}{reference}"

    def _bad(self, why: str) -> Unavailable:
        return Unavailable(f"{self.upstream.name} gave an answer that cannot be used: {why}", kind="bad_answer")

    def _place(self, name: ImageName) -> CachePlace:
        return CachePlace(self.row_id, self.name, name, self.upstream.name)
