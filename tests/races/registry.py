"""The embedded stores with the verbs of the program on them, and a checker that reads back what was promised."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pierhead.actions.delete_content import delete_blob_link, delete_reference
from pierhead.actions.mount_blob import mount_blob
from pierhead.actions.pull_blob import pull_blob
from pierhead.actions.push_blob import Chunk, push_whole
from pierhead.actions.push_manifest import push_manifest
from pierhead.adapters.files.store import FileBlobs
from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.adapters.system import SystemEntropy
from pierhead.domain.access import Grant, Principal, Right, require, rules_of
from pierhead.domain.digest import Digest
from pierhead.domain.manifest import Index, parse
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.policy import WritePolicy
from pierhead.jobs.loop import Failed, Idle
from pierhead.jobs.reclaim import Reclaim
from pierhead.ports.blobs import Delivery, SendBytes
from pierhead.ports.clock import Clock
from pierhead.ports.faults import Faults, NoFaults
from pierhead.repositories.hosted import Hosted
from pierhead.repositories.kind import Missing, StoredBlob
from pierhead.repositories.parts import Parts
from pierhead.repositories.sessions import Sessions
from pierhead.repositories.table import Entry, Table
from tests.contracts.rows import manifest

ADMIN = Principal("ann", rules_of(["admin"], []))


class Lost(AssertionError):
    """Something that was acknowledged is not there, or is not what it was."""


class Registry:
    """One hosted repository; images are told by name. ``lease`` and ``quarantine`` in microseconds."""

    def __init__(self, parts: Parts, hosted: Hosted, store: SqliteStore, blobs: FileBlobs, quarantine: int) -> None:
        self.parts = parts
        self.hosted = hosted
        self.store = store
        self.blobs = blobs
        self.quarantine = quarantine
        self._entry = Entry(hosted)
        self._table = Table([self._entry], "localhost:8443")

    def reclaim(self, holder: str = "one", faults: Faults | None = None, batch: int = 200) -> Reclaim:
        """The job; a term of nothing lets several reclaim at once."""
        return Reclaim(self.store, self.blobs, faults or NoFaults(), holder, self.quarantine, term=0, batch=batch)

    async def push_blob(self, image: str, body: bytes) -> Digest:
        digest, rest = Digest.of(body), [body]

        async def pieces() -> list[bytes]:
            return [rest.pop()] if rest else []

        await push_whole(self.hosted, self._grant(Right.PUSH, image), digest, Chunk(pieces, len(body), None))
        return digest

    async def push_manifest(self, image: str, body: bytes, tag: str) -> Digest:
        grant = self._grant(Right.PUSH, image)
        return (await push_manifest(self.hosted, grant, Tag.parse(tag), (), body, None, {})).digest

    async def push_image(self, image: str, tag: str, *layers: bytes) -> Digest:
        """Blobs first, then the manifest; the config is the tag's own."""
        config = b'{"tag": "%s"}' % tag.encode()
        for body in (config, *layers):
            await self.push_blob(image, body)
        return await self.push_manifest(image, manifest(config, *layers), tag)

    async def mount(self, image: str, digest: Digest, source: str) -> bool:
        sources = [(self.hosted.row_id, ImageName(source))]
        return await mount_blob(self.hosted, self._grant(Right.PUSH, image), digest, sources)

    async def head(self, image: str, digest: Digest) -> None:
        """Raises BlobUnknown."""
        await pull_blob(self._table, self._entry, ADMIN, ImageName(image), digest, head=True)

    async def delete_manifest(self, image: str, digest: Digest) -> None:
        await delete_reference(self.hosted, self._grant(Right.DELETE, image), digest, {})

    async def delete_blob(self, image: str, digest: Digest) -> None:
        await delete_blob_link(self.hosted, self._grant(Right.DELETE, image), digest, {})

    async def read_blob(self, image: str, digest: Digest) -> bytes:
        """Raises Lost."""
        found = await self.hosted.blob(ADMIN, ImageName(image), digest, head=False)
        if not isinstance(found, StoredBlob):
            raise Lost(f"{digest} is not in {image}")
        body = await asyncio.to_thread(_bytes_of, found.delivery)
        if Digest.of(body, digest.algorithm) != digest:
            raise Lost(f"{digest} has other bytes")
        return body

    async def read_image(self, image: str, digest: Digest) -> None:
        """Reads a manifest and everything below it. Raises Lost."""
        found = await self.hosted.manifest(ADMIN, ImageName(image), digest, head=False)
        if isinstance(found, Missing):
            raise Lost(f"{digest} is not in {image}")
        body = found.manifest.body
        if Digest.of(body, digest.algorithm) != digest:
            raise Lost(f"{digest} has other bytes")
        parsed = parse(body, None)
        if isinstance(parsed, Index):
            for child in parsed.children:
                await self.read_image(image, child.digest)
            return
        for descriptor in parsed.required:
            if len(await self.read_blob(image, descriptor.digest)) != descriptor.size:
                raise Lost(f"{descriptor.digest} is short")

    async def files(self) -> set[tuple[Digest, str]]:
        """(digest, generation) of everything that lies on the disk."""
        return {(one.digest, one.generation) async for batch in self.blobs.scan() for one in batch}

    async def files_named(self) -> set[tuple[Digest, str]]:
        """Those of ``files`` that a row names."""
        found = await self.files()
        return set(await self.store.report(lambda reports: reports.stored([digest for digest, _ in found]))) & found

    async def drain(self, reclaim: Reclaim) -> None:
        """Steps until nothing is left to do now."""
        while not isinstance(outcome := await reclaim(), Idle):
            assert not isinstance(outcome, Failed), outcome

    def _grant(self, right: Right, image: str) -> Grant:
        return require(ADMIN, right, self.hosted.name, ImageName.parse(image))


@asynccontextmanager
async def registry(
    folder: Path,
    clock: Clock,
    *,
    lease: int,
    quarantine: int,
    faults: Faults | None = None,
    files: type[FileBlobs] = FileBlobs,
) -> AsyncIterator[Registry]:
    """Open on a data folder that may hold something already."""
    entropy = SystemEntropy()
    os.makedirs(folder, mode=0o700, exist_ok=True)
    store = await SqliteStore.open(folder / "pierhead.db", clock, faults or NoFaults())
    blobs = await files.start(folder, clock, entropy, faults or NoFaults())
    try:
        name = RepositoryName("dev")
        row = await store.write(lambda tx: tx.repositories.ensure(name, "hosted", WritePolicy.ALLOW))
        parts = Parts(
            store=store,
            blobs=blobs,
            clock=clock,
            entropy=entropy,
            lease=lease,
            uploads_per_account=1000,
            blob_bytes_max=2**30,
            sessions=Sessions(alone=True),
        )
        yield Registry(parts, Hosted(name, row.id, parts), store, blobs, quarantine)
    finally:
        await store.close()
        blobs.close()


def _bytes_of(delivery: Delivery) -> bytes:
    if isinstance(delivery, SendBytes):
        return delivery.body
    try:
        return Path(delivery.path).read_bytes()
    except FileNotFoundError as error:
        raise Lost(f"a row names {delivery.path}, which is not there") from error


def bodies(count: int, seed: str = "") -> Sequence[bytes]:
    """Small ones, which lie in their rows, and larger ones, which lie in files."""
    return [f"{seed} {number} ".encode() * (10 if number % 3 == 0 else 3000) for number in range(count)]
