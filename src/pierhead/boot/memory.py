"""How memory is kept: by the interpreter and the C library, for a server that starts once and runs for months, and what
of it may get to a disk."""

from __future__ import annotations

import ctypes
import gc
import resource
from typing import Final

# malloc.h of glibc
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
# core(5) and fs/coredump.c: at 0 a program that the system pipes images to gets them still, at 1 nobody does.
_NO_IMAGE: Final = 1
_LARGE_BLOCK_BYTES: Final = 4 << 20
_ARENAS: Final = 2

# Young objects are looked through after so many more were made than freed; a request makes about a hundred.
_YOUNG_OBJECTS: Final = 20_000


def settle() -> None:
    """To be called once everything is made that stays: the collector looks at none of it again, and sets in later.

    Before this, collection is off (the command turns it off): importing makes much and leaves no cycles behind.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 20)
    gc.enable()


def leave_no_image() -> None:
    """A crash writes no image of this process to a disk: it would hold every secret that the process knows. Who wants
    one to look for a fault sets the limit of the running process (``prlimit --core``)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if soft != 0 or hard != 0:
        resource.setrlimit(resource.RLIMIT_CORE, (_NO_IMAGE, hard))


def give_back() -> None:
    """Has glibc return large blocks when they are freed: it keeps those of a password check (19 MiB each) otherwise.

    Blocks below the threshold, the buffers of sockets among them, stay on the heap. Elsewhere than on glibc, nothing.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)
    mallopt(_M_ARENA_MAX, _ARENAS)
