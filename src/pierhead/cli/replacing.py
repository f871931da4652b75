"""What may be written by renaming a finished file over it."""

from __future__ import annotations

import errno
from pathlib import Path


def replaceable(path: Path) -> None:
    """Nothing stands at ``path``, or a file, or a link to one. Renaming over /dev/null or a pipe would take it away
    from everybody else.

    Raises OSError.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "It is no file, but a device or a pipe", str(path))
