"""What has to be said before the rest of the program is imported."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_PLACES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@contextmanager
def without_authorities() -> Iterator[None]:
    """TLS contexts that are made in here know no certificate authority, so they trust nobody.

    aiohttp makes two when it is imported, which reads all authorities of the machine: a twentieth of the time to start.
    Neither is ever used, since every connection to an upstream brings a context of its own, made when it is needed.
    """
    # pydantic would look through all that is installed for plugins, and run those that it finds.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    before = {name: os.environ.get(name) for name in _PLACES}
    os.environ.update(dict.fromkeys(_PLACES, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
