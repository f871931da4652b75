"""Repositories on a real store and real files, with upstreams that tests can script."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from pierhead.adapters.files.fills import FileFills
from pierhead.adapters.files.store import FileBlobs
from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.adapters.system import SystemEntropy
from pierhead.adapters.upstream.client import RegistryUpstream
from pierhead.commits.blob import Place, land_blob
from pierhead.commits.manifest import ManifestPush, push_manifest
from pierhead.domain import limits
from pierhead.domain.access import Principal, Right, Rule, rules_of
from pierhead.domain.digest import Digest
from pierhead.domain.lookup import Reserve
from pierhead.domain.manifest import parse
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.policy import WritePolicy
from pierhead.ports.blobs import SendBytes
from pierhead.ports.faults import NoFaults
from pierhead.ports.landed import Landed
from pierhead.ports.upstream import UpstreamSettings
from pierhead.repositories.fill import Fills
from pierhead.repositories.group import Group
from pierhead.repositories.hosted import Hosted
from pierhead.repositories.kind import ComingBlob, Found, Missing, Repository, StoredBlob
from pierhead.repositories.parts import Parts
from pierhead.repositories.proxy import CacheSettings, Proxy
from pierhead.repositories.sessions import Sessions
from tests.contracts.upstream import PATIENT, ShiftedClock

ANNA = Principal("anna", rules_of(["deployer"], ()))
NGINX = ImageName("library/nginx")
LATEST = Tag("latest")


def may_read(*names: str) -> Principal:
    """An account that sees these repositories and no other, of those called ``a`` to ``z``."""
    others = frozenset(RepositoryName(letter) for letter in "abcdefghijklmnopqrstuvwxyz") - frozenset(names)
    return Principal(f"reader of {names}", (Rule(frozenset({Right.PULL}), others),))


async def until(condition: Callable[[], object], what: str, seconds: float = 10) -> None:
    """Polls; fails with ``what`` when the time is over."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        await asyncio.sleep(0.005)


class House:
    """One process of the server, without its ports."""

    def __init__(self, root: Path, store: SqliteStore, blobs: FileBlobs, clock: ShiftedClock) -> None:
        self.root = root
        self.store = store
        self.blobs = blobs
        self.clock = clock
        sessions = Sessions(alone=True)
        self.parts = Parts(store, blobs, clock, SystemEntropy(), 3_600_000_000, 100, limits.BLOB_BYTES_MAX, sessions)
        self.fill_store = FileFills(blobs)
        self.fills = Fills(store, blobs, self.fill_store, limits.BLOB_BYTES_MAX)
        self._closing = AsyncExitStack()

    @classmethod
    async def open(cls, root: Path, *, shared: bool = False) -> House:
        clock = ShiftedClock()
        store = await SqliteStore.open(root / "pierhead.db", clock, NoFaults(), shared=shared)
        return cls(root, store, await FileBlobs.start(root, clock, SystemEntropy(), NoFaults()), clock)

    async def close(self) -> None:
        await self.fills.close()
        await self._closing.aclose()
        await self.store.close()
        self.blobs.close()

    async def proxy(
        self, url: str, name: str = "p", *, fresh_for: float = 3600, library: bool = True, **upstream: Any
    ) -> Proxy:
        settings: UpstreamSettings = replace(PATIENT, url=url, **upstream)
        repository = RepositoryName(name)
        row = await self.store.write(lambda tx: tx.repositories.ensure(repository, "proxy", WritePolicy.DENY))
        asked = RegistryUpstream(settings, self.clock, SystemEntropy())
        proxy = Proxy(repository, row.id, asked, self.fills, self.parts, CacheSettings(fresh_for, 30, library))
        self._closing.push_async_callback(proxy.close)
        return proxy

    async def hosted(self, name: str) -> Hosted:
        repository = RepositoryName(name)
        row = await self.store.write(lambda tx: tx.repositories.ensure(repository, "hosted", WritePolicy.ALLOW))
        return Hosted(repository, row.id, self.parts)

    def group(self, *members: Repository, reserve: tuple[str, ...] = (), name: str = "g") -> Group:
        return Group(RepositoryName(name), members, Reserve(reserve), self.parts)

    async def push(self, hosted: Hosted, image: ImageName, tag: str, manifest: bytes, *blobs: bytes) -> Digest:
        """Blobs in their rows, as small ones are, and the manifest over them."""
        place = Place(hosted.row_id, hosted.name, image, self.parts.lease)
        for body in blobs:
            landed = Landed(Digest.of(body), len(body), "", body)
            await self.store.write(partial(land_blob, place=place, landed=landed))
        digest, tags = Digest.of(manifest), (Tag(tag),)
        push = ManifestPush(hosted.row_id, hosted.name, image, digest, manifest, parse(manifest, None), tags, "ann")
        await self.store.write(lambda tx: push_manifest(tx, push))
        return digest

    async def count(self, table: str) -> int:
        """Rows of a table."""
        found = self.store.lookups._connection.execute(f"SELECT count(*) FROM {table}").get
        assert isinstance(found, int)
        return found


async def read(found: object, start: int = 0, count: int | None = None) -> bytes:
    """All bytes of a blob, however they come."""
    if isinstance(found, ComingBlob):
        wanted = found.size - start if count is None else count
        return b"".join([piece async for piece in found.source.pieces(start, wanted)])
    assert isinstance(found, StoredBlob), found
    delivery = found.delivery
    data = delivery.body if isinstance(delivery, SendBytes) else await asyncio.to_thread(Path(delivery.path).read_bytes)
    return data[start:] if count is None else data[start : start + count]


async def pulled(repository: Repository, image: ImageName, tag: Tag = LATEST, who: Principal = ANNA) -> Found:
    """A manifest that must be there, as a client with GET sees it."""
    found = await repository.manifest(who, image, tag, head=False)
    assert isinstance(found, Found), found
    return found


async def missing(repository: Repository, image: ImageName, reference: Tag | Digest, who: Principal = ANNA) -> bool:
    return isinstance(await repository.manifest(who, image, reference, head=False), Missing)
