"""An archive as a source of images: an OCI image layout in a tar file, as this program, skopeo, buildkit and newer
Docker engines write it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from pierhead.cli.carry import layout
from pierhead.cli.carry.cargo import Cargo, add
from pierhead.cli.carry.layout import Root, place_of
from pierhead.cli.carry.registry import Body
from pierhead.cli.carry.tar_reading import Tar
from pierhead.cli.client import Fault
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.manifest import MANIFEST_TYPES
from pierhead.domain.strict_json import decode

_LAYOUT_BYTES_MAX = 64 * limits.KIB


class Archive:
    """Implements ``cargo.Source``."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        """Raises Fault for what is no layout that can be carried, and says what it is then."""
        self._tar = Tar(file, where)
        self._where = where
        self._layout()
        body = self._tar.read(layout.INDEX_FILE, limits.MANIFEST_BYTES_MAX)
        if body is None:
            raise Fault(f"{where} has no {layout.INDEX_FILE}: it is no whole OCI image layout.")
        self.roots = layout.roots_of(body, where)

    def _layout(self) -> None:
        marker = self._tar.read(layout.LAYOUT_FILE, _LAYOUT_BYTES_MAX)
        if marker is None:
            if "manifest.json" in self._tar.places:
                raise Fault(
                    f"{self._where} is in Docker's older format, which holds no digests that could be kept. Write it "
                    "with Docker 25 or newer, push it with `docker load` and `docker push`, or turn it into a layout: "
                    f"skopeo copy docker-archive:{self._where} oci-archive:OTHER.tar:TAG"
                )
            raise Fault(f"{self._where} is no OCI image layout: it has no file {layout.LAYOUT_FILE}.")
        if self._tar.strange:
            raise Fault(f"{self._where} holds {self._tar.strange}. An image does not: nothing of it was taken.")
        try:
            version = decode(marker).get("imageLayoutVersion")
        except Exception:  # whatever is wrong with it, the sentence is the same
            version = None
        if version != layout.VERSION:
            raise Fault(f"{layout.LAYOUT_FILE} in {self._where} does not say version {layout.VERSION}.")

    def manifest(self, digest: Digest, media_type: str) -> Body | None:
        """See Source."""
        data = self._tar.read(place_of(digest), limits.MANIFEST_BYTES_MAX)
        if data is None:
            return None
        found = Digest.of(data, digest.algorithm)
        if found != digest:
            raise Fault(f"The bytes that {self._where} calls {digest} are others: their digest is {found}.")
        return Body(digest, media_type, data)

    def blob_size(self, digest: Digest) -> int | None:
        """See Source."""
        place = self._tar.places.get(place_of(digest))
        return None if place is None else place.size

    def pieces(self, digest: Digest, start: int, stop: int) -> Iterator[bytes]:
        """See Source."""
        return self._tar.pieces(place_of(digest), start, stop)

    def cargo(self, roots: list[Root]) -> Cargo:
        """All that these entries of the index are made of; their tags are left to the caller. Raises Fault."""
        cargo = Cargo()
        strange = [one for one in roots if one.media_type not in MANIFEST_TYPES]
        if strange:
            raise Fault(f"{layout.INDEX_FILE} in {self._where} lists {strange[0].digest}, which is no manifest.")
        add(cargo, self, [(one.digest, one.media_type) for one in roots])
        for one in roots:
            item = cargo.item(one.digest)
            if item is not None and item.size != one.size:
                raise Fault(
                    f"{one.digest} has {item.size} bytes, and {layout.INDEX_FILE} in {self._where} says {one.size}."
                )
        return cargo
