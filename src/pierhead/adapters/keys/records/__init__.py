"""Keys that sign records of promotions: files in a folder that every process of an installation reads.

::

    FOLDER/<created>-<id>.key   the private half (PKCS #8, PEM, 0600), of the newest key alone
    FOLDER/<created>-<id>.pub   the public half (PEM), kept for ever: records outlive keys
    FOLDER/lock                 held by whoever makes keys

Unlike keys of tokens these are not exchanged by themselves: others have to be given the public half. The newest signs
as soon as it is there; every process looks before it signs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from pierhead.adapters.keys.folder import KeyFolder
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.record_keys import PublicHalf

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_NAME: Final = re.compile(r"([0-9]{16,19})-([0-9a-f]{64})\.pub")
# The order of P-256 (FIPS 186-5, D.1.2.3 / SP 800-186): private keys are from 1 to one less.
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class _Known(Struct, frozen=True):
    created: int
    id: str

    @property
    def stem(self) -> str:
        return f"{self.created:016}-{self.id}"


class RecordKeys:
    """Implements ``ports.record_keys.RecordSigner``."""

    def __init__(self, folder: Path, clock: Clock, entropy: Entropy) -> None:
        """Nothing is read or made before it is needed."""
        self._folder = folder
        self._files = KeyFolder(folder, entropy)
        self._clock = clock
        self._entropy = entropy
        self._private: tuple[_Known, EllipticCurvePrivateKey] | None = None

    def sign(self, message: bytes) -> tuple[str, bytes]:
        """See the port. A name in the folder is looked up each time: promotions are few."""
        from pierhead.adapters.keys.records.ecdsa import sign

        try:
            known, key = self._newest()
        except FileNotFoundError:
            known, key = self._newest()  # it was exchanged just now
        return known.id, sign(key, message)

    def public(self) -> Sequence[PublicHalf]:
        """See the port."""
        self._have_one()
        known = self._known()
        halves = [
            PublicHalf(one.id, one.created, (self._folder / f"{one.stem}.pub").read_text("ascii"), one == known[-1])
            for one in known
        ]
        return halves[::-1]

    def make_first(self) -> bool:
        """Makes a key if there is none; whether it did. Raises OSError."""
        if self._known():
            return False
        self._have_one()
        return True

    def rotate(self) -> PublicHalf:
        """Makes a key, which signs from now on, and takes the private halves of the others away. Raises OSError."""
        with self._alone():
            made = self._make()
            for one in self._known():
                if one != made:
                    (self._folder / f"{one.stem}.key").unlink(missing_ok=True)
        return self.public()[0]

    # --- files -------------------------------------------------------------------------------------------------------

    def _known(self) -> list[_Known]:
        """From the oldest to the newest."""
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        found = [match for match in map(_NAME.fullmatch, names) if match]
        return sorted((_Known(int(one[1]), one[2]) for one in found), key=lambda one: (one.created, one.id))

    def _newest(self) -> tuple[_Known, EllipticCurvePrivateKey]:
        newest = self._have_one()
        if self._private is None or self._private[0] != newest:
            self._private = (newest, self._load(newest))
        return self._private

    def _have_one(self) -> _Known:
        known = self._known()
        if known:
            return known[-1]
        with self._alone():
            known = self._known()
            return known[-1] if known else self._make()

    def _make(self) -> _Known:
        from pierhead.adapters.keys.records.ecdsa import pair

        number = int.from_bytes(self._entropy.token(48)) % (_ORDER - 1) + 1
        private, public, der = pair(number)
        before = self._known()
        created = max([self._clock.now(), *(one.created + 1 for one in before)])
        made = _Known(created, hashlib.sha256(der).hexdigest())
        self._files.write(f"{made.stem}.key", private)
        self._files.write(f"{made.stem}.pub", public, 0o644)  # from here on it is the newest
        return made

    def _load(self, one: _Known) -> EllipticCurvePrivateKey:
        from pierhead.adapters.keys.records.ecdsa import load

        name = f"{one.stem}.key"
        try:
            return load(self._files.read(name), one.id)
        except ValueError as error:
            raise OSError(0, f"{self._folder / name} holds no key of this name") from error

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """In a folder that is there, and nobody else's."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chmod(self._folder, 0o700)
        if os.geteuid() == 0:
            owner = os.stat(self._folder.parent)
            os.chown(self._folder, owner.st_uid, owner.st_gid)
        with self._files.alone():
            yield
