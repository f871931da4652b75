"""Whether an image is signed: asked before a promotion is decided, answered for one digest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.ports.metadata.values import RepositoryId


class Subject(Struct, frozen=True):
    """``digest`` is what has to be signed, as the image of this repository has it, with its signatures beside it."""

    repository: RepositoryId
    name: RepositoryName
    image: ImageName
    digest: Digest


class Signatures(Protocol):
    async def wrong(self, subject: Subject, keys: Sequence[str]) -> str | None:
        """None if a signature on the digest is good under one of ``keys`` (paths of files with public keys in PEM
        form); otherwise a clause that says why not, such as ``it has no signature``, without a full stop.

        Raises Unavailable where that cannot be found out now. A file that cannot be read is a clause.
        """


class NoSignatures:
    """What is wired where nobody checks signatures."""

    async def wrong(self, subject: Subject, keys: Sequence[str]) -> str | None:
        """Never vouches for anything."""
        return "signatures are not checked by this server"
