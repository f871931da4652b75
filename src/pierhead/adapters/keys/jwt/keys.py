"""The keys that sign tokens: files in a folder that every process of an installation reads.

::

    FOLDER/installation     what challenges and tokens call this installation, made once
    FOLDER/<kid>.json       a key (Ed25519, as a JWK with the instant of its making), never changed once it is there
    FOLDER/lock             held by whoever makes or removes keys

A new key signs when KEY_REST_SECONDS have passed, so that every process knows it before the first token comes; the one
before verifies until the last token that it signed has ended. Nothing else has to be told to anybody.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pierhead.adapters.keys.folder import KeyFolder
from pierhead.domain import limits
from pierhead.ports.clock import Clock, Entropy

if TYPE_CHECKING:
    from pierhead.adapters.keys.jwt.signatures import Pair

_SECOND: Final = 1_000_000
_HEX: Final = frozenset("0123456789abcdef")
_KID_BYTES: Final = 8
_GRACE_SECONDS: Final = 60


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """A key as it lies in its file. ``created`` is in microseconds since 1970."""

    kid: str
    created: int
    kty: str
    crv: str
    x: str
    d: str


class Key:
    """``head`` is the first part of every token that it signs, byte for byte; ``created`` is in microseconds since
    1970."""

    def __init__(self, file: _File) -> None:
        self.kid: Final = file.kid
        self.created: Final = file.created
        self.head: Final = _b64(json.dumps(header_of(file.kid), separators=(",", ":")).encode())
        self._file = file

    @cached_property
    def pair(self) -> Pair:
        """For ``signatures``, made when the key is first used. Raises ValueError for a file that holds no key."""
        from pierhead.adapters.keys.jwt.signatures import pair_of

        return pair_of(header_of(self.kid), self.head, self._file.x, self._file.d)

    @property
    def signs_from(self) -> int:
        """Microseconds since 1970."""
        return self.created + limits.KEY_REST_SECONDS * _SECOND


class Keys:
    """The keys as this process knows them."""

    def __init__(self, folder: Path, clock: Clock, entropy: Entropy) -> None:
        """Makes the folder and the name if they are not there. The first key is made for the first token.

        Raises OSError.
        """
        self._folder = folder
        self._files = KeyFolder(folder, entropy)
        self._clock = clock
        self._entropy = entropy
        self._known: dict[str, Key] = {}
        self._by_head: dict[str, Key] = {}
        self._broken: set[str] = set()
        self._looked = 0.0
        self.damaged: tuple[str, ...] = ()
        """Files in the folder that hold no key, though they are called like one."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chmod(folder, 0o700)
        self.installation = self._name()
        self.refresh()

    # --- reading -----------------------------------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Takes over what lies in the folder now; whether that has changed anything. Raises OSError."""
        self._looked = self._clock.monotonic()
        there = {name[:-5] for name in os.listdir(self._folder) if name.endswith(".json")}
        if there == self._known.keys() | set(self.damaged):
            return False
        found: dict[str, Key] = {}
        damaged: list[str] = []
        for kid in sorted(there):
            key = self._known.get(kid) or (None if kid in self._broken else self._read(kid))
            if key is None:
                damaged.append(kid)
            else:
                found[kid] = key
        changed = found.keys() != self._known.keys()
        self._known = dict(sorted(found.items(), key=lambda one: one[1].created))
        self._by_head = {key.head: key for key in found.values()}
        self.damaged = tuple(damaged)
        return changed

    def find(self, head: str) -> Key | None:
        """The key whose tokens begin like this. The folder is read for one that is not known, once a second at most:
        another process may have made it just now, and always before there is the first."""
        key = self._by_head.get(head)
        if key is None and (not self._known or self._clock.monotonic() - self._looked >= 1.0):
            with contextlib.suppress(OSError):
                self.refresh()
            key = self._by_head.get(head)
        return key if key is not None and self._holds(key) else None

    def signing(self) -> Key:
        """The newest that all processes know by now. Raises OSError where all were taken away and none can be made."""
        self._have_one()
        now = self._clock.now()
        known = [key for key in list(self._known.values()) if self._holds(key)]
        if not known:
            self._have_one()
            known = self.all()
        return next((key for key in reversed(known) if key.signs_from <= now), known[0])

    def all(self) -> list[Key]:
        """From the oldest to the newest."""
        return list(self._known.values())

    # --- changing ----------------------------------------------------------------------------------------------------

    def wants_tending(self) -> bool:
        """Whether it is time to make or to remove a key."""
        return self._due() or bool(self._spent())

    def tend(self) -> list[str]:
        """Makes a key if the newest is KEY_SECONDS old, removes those of which no token is left; what was done, in
        plain words. Raises OSError."""
        done: list[str] = []
        with self._files.alone():
            self.refresh()
            if self._due():
                done.append(f"made the key {self._make().kid}")
            for key in self._spent():
                self._remove(key)
                done.append(f"removed the key {key.kid}")
        self.refresh()
        return done

    def rotate(self, *, drop_old: bool = False) -> Key:
        """Makes a key that is used from KEY_REST_SECONDS on; with ``drop_old`` at once, and none of the old ones holds
        any more. Raises OSError."""
        with self._files.alone():
            self.refresh()
            old = self.all()
            key = self._make()
            if drop_old:
                for one in old:
                    self._remove(one)
        self.refresh()
        return key

    def _holds(self, key: Key) -> bool:
        """Whether the file holds a key; one that does not counts as damaged from now on."""
        try:
            key.pair  # noqa: B018
        except ValueError:
            self._broken.add(key.kid)
            self._known.pop(key.kid, None)
            self._by_head.pop(key.head, None)
            self.damaged = tuple(sorted({*self.damaged, key.kid}))
            return False
        return True

    def _have_one(self) -> None:
        if self._known:
            return
        with self._files.alone():
            self.refresh()
            if not self._known:
                self._make()

    def _due(self) -> bool:
        newest = next(reversed(self.all()), None)
        return newest is not None and self._clock.now() - newest.created >= limits.KEY_SECONDS * _SECOND

    def _spent(self) -> list[Key]:
        known = self.all()
        rest = (limits.TOKEN_SECONDS_MAX + _GRACE_SECONDS) * _SECOND
        return [old for old, new in pairwise(known) if self._clock.now() > new.signs_from + rest]

    def _make(self) -> Key:
        kid = self._entropy.token(_KID_BYTES).hex()
        from pierhead.adapters.keys.jwt.signatures import fresh

        public, private = fresh(self._entropy.token(32))
        made = max([self._clock.now(), *(key.created + 1 for key in self.all())])  # never older than those before it
        file = _File(kid, made, "OKP", "Ed25519", _b64(public), _b64(private))
        self._files.write(f"{kid}.json", msgspec.json.encode(file))
        self.refresh()
        return self._known[kid]

    def _remove(self, key: Key) -> None:
        (self._folder / f"{key.kid}.json").unlink(missing_ok=True)

    # --- files -------------------------------------------------------------------------------------------------------

    def _name(self) -> str:
        path = self._folder / "installation"
        with self._files.alone():
            name = path.read_text("ascii").strip() if path.exists() else ""
            if len(name) != 16 or not _HEX.issuperset(name):
                name = self._entropy.token(8).hex()
                self._files.write(path.name, f"{name}\n".encode())
        return name

    def _read(self, kid: str) -> Key | None:
        """None for a file that holds no key, or another's."""
        try:
            file = msgspec.json.decode(self._files.read(f"{kid}.json"), type=_File)
            if file.kid != kid or (file.kty, file.crv) != ("OKP", "Ed25519"):
                return None
            return Key(file)
        except (OSError, ValueError):
            return None


def header_of(kid: str) -> dict[str, object]:
    """The header of a key's tokens."""
    return {"alg": "Ed25519", "kid": kid, "typ": "JWT"}


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
