"""Lists of a proxy: tags and referrers, asked of the upstream and kept for half a minute.

Update robots (Renovate, Flux) need all tags that there are, and not those that happen to be cached.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Awaitable, Sequence
from typing import Final, Protocol

from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.refusals import DigestInvalid, DigestUnsupported, Unavailable, UpstreamLimited
from pierhead.ports.metadata.values import RepositoryId
from pierhead.ports.upstream import Absent, Upstream
from pierhead.repositories.hosted import fallback_entries, local_referrers
from pierhead.repositories.kind import MISSING, Found, Head, Missing, ReferrerList, TagList
from pierhead.repositories.parts import Parts
from pierhead.repositories.recent import Flights, Recent

Entry = dict[str, object]

_ANY_TYPE: Final = ""
_TAG_CHARACTERS_MAX: Final = 128


class _ByTag(Protocol):
    def __call__(self, name: ImageName, tag: Tag, *, head: bool) -> Awaitable[Found | Head | Missing]: ...


class ProxyLists:
    """``by_tag`` gives a manifest of the proxy, for the fallback tag of referrers."""

    def __init__(
        self, name: RepositoryName, row_id: RepositoryId, upstream: Upstream, parts: Parts, by_tag: _ByTag
    ) -> None:
        self._name = name
        self._members = (row_id,)
        self._upstream = upstream
        self._lookups = parts.store.lookups
        self._by_tag = by_tag
        seconds, most = limits.LISTS_KEPT_SECONDS, limits.LISTS_KEPT_ENTRIES_MAX
        self._tags: Recent[ImageName, Sequence[Tag]] = Recent(parts.clock, seconds, most)
        self._referrers: Recent[tuple[ImageName, Digest, str], Sequence[Entry]] = Recent(parts.clock, seconds, most)
        self._tag_flights: Flights[ImageName, Sequence[Tag]] = Flights()
        self._referrer_flights: Flights[tuple[ImageName, Digest, str], Sequence[Entry]] = Flights()

    async def tags(self, name: ImageName, last: str, limit: int) -> TagList | Missing:
        """One page. Raises Unavailable, UpstreamLimited if the upstream cannot be asked and nothing is kept."""
        try:
            known = self._tags.get(name)
            if known is None:
                known = await self._tag_flights.once(name, lambda: self._ask_tags(name))
        except (Unavailable, UpstreamLimited) as failure:
            kept = await self._lookups.tags(self._members, name, last, limit + 1)
            if kept is None:
                raise
            return TagList(kept[:limit], len(kept) > limit, (self.left_out(failure.message),))
        if not known:
            kept = await self._lookups.tags(self._members, name, last, limit + 1)
            return TagList(kept[:limit], len(kept) > limit) if kept else MISSING
        start = bisect_right(known, last) if last else 0
        return TagList(known[start : start + limit], len(known) > start + limit)

    async def _ask_tags(self, name: ImageName) -> Sequence[Tag]:
        """Sorted; empty if there is no such image."""
        said = await self._upstream.tags(name)
        found: Sequence[Tag] = () if isinstance(said, Absent) else sorted(set(said))
        self._tags.put(name, found)
        return found

    async def referrers(self, name: ImageName, subject: Digest, artifact_type: str | None) -> ReferrerList:
        """The upstream's list. What is kept, with the reason, if it cannot be asked."""
        key = (name, subject, artifact_type or _ANY_TYPE)
        try:
            known = self._referrers.get(key)
            if known is None:
                known = await self._referrer_flights.once(key, lambda: self._ask_referrers(key))
        except (Unavailable, UpstreamLimited) as failure:
            kept = await local_referrers(self._lookups, self._members, name, subject, artifact_type)
            return ReferrerList(kept, (self.left_out(failure.message),))
        return ReferrerList(known)

    async def _ask_referrers(self, key: tuple[ImageName, Digest, str]) -> Sequence[Entry]:
        name, subject, artifact_type = key
        said = await self._upstream.referrers(name, subject, artifact_type or None)
        listed = await self._fallback(name, subject) if isinstance(said, Absent) else _entries(said)
        # An upstream may ignore the filter.
        found = [one for one in listed if not artifact_type or one.get("artifactType") == artifact_type]
        self._referrers.put(key, found)
        return found

    async def _fallback(self, name: ImageName, subject: Digest) -> Sequence[Entry]:
        tag = f"{subject.algorithm}-{subject.hex}"
        if len(tag) > _TAG_CHARACTERS_MAX:
            return ()
        found = await self._by_tag(name, Tag(tag), head=False)
        return fallback_entries(found.manifest.body, found.manifest.media_type) if isinstance(found, Found) else ()

    def left_out(self, why: str) -> str:
        """The text of a warning."""
        return f"{self._name} is left out or incomplete. {why}"

    def clear(self) -> None:
        """Forgets all lists."""
        self._tags.clear()
        self._referrers.clear()

    async def close(self) -> None:
        """Ends what is asked just now."""
        await self._tag_flights.close()
        await self._referrer_flights.close()


def _entries(body: bytes) -> Sequence[Entry]:
    """The descriptors of an index that are some; a list of another upstream is nothing to trust blindly."""
    try:
        document = json.loads(body)
    except ValueError:
        return ()
    listed = document.get("manifests") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        return ()
    found = [one for one in listed if isinstance(one, dict) and _is_descriptor(one)]
    return found[: limits.REFERRERS_ITEMS_MAX]


def _is_descriptor(entry: Entry) -> bool:
    digest, size = entry.get("digest"), entry.get("size")
    if not isinstance(digest, str) or type(size) is not int or not isinstance(entry.get("mediaType"), str):
        return False
    try:
        Digest.parse(digest)
    except (DigestInvalid, DigestUnsupported):
        return False
    return size >= 0
