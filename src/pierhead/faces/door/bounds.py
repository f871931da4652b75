"""What a connection may cost: sizes, deadlines, and how many there may be."""

from msgspec import Struct


class Settings(Struct, frozen=True):
    """Limits of a port. Seconds, bytes, or counts, as the names say.

    A connection that says nothing, or does not finish the head of its first request, is closed after
    ``head_seconds``; a kept one after ``idle_seconds``. While a handler waits for the body, silence of
    ``body_idle_seconds``, or less than ``pace_bytes`` per second over ``pace_seconds``, ends it with 408. A reader
    that takes less than ``pace_bytes`` per second over ``stall_seconds`` is cut. At the end of a port, a connection
    that was opened or answered within ``warm_seconds`` is not idle yet.
    """

    head_seconds: float = 10.0
    idle_seconds: float = 75.0
    body_idle_seconds: float = 60.0
    pace_seconds: float = 60.0
    pace_bytes: int = 1024
    stall_seconds: float = 60.0
    linger_seconds: float = 1.0
    warm_seconds: float = 0.25
    linger_bytes: int = 64 << 10
    target_bytes: int = 8190
    field_bytes: int = 16380
    fields: int = 100
    head_bytes: int = 64 << 10
    parameters: int = 100
    read_bytes: int = 256 << 10
    max_connections: int = 20_000
    backlog: int = 2048

    @property
    def look_seconds(self) -> float:
        """A connection is looked at this often at least: no deadline that starts after a look can end before the
        next one, so none is missed."""
        return min(
            self.head_seconds, self.idle_seconds, self.body_idle_seconds, self.pace_seconds, self.stall_seconds / 4
        )


class Room:
    """Places for connections; several ports may share one."""

    __slots__ = ("places", "taken")

    def __init__(self, places: int) -> None:
        self.places = places
        self.taken = 0

    def enter(self) -> bool:
        """Take a place; False when none is left."""
        if self.taken >= self.places:
            return False
        self.taken += 1
        return True

    def leave(self) -> None:
        self.taken -= 1
