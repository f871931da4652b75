"""What a proxy tells about itself."""

from __future__ import annotations

from msgspec import Struct

from pierhead.domain.names import RepositoryName
from pierhead.ports.upstream import UpstreamState


class ProxyStatus(Struct, frozen=True):
    """Counts since the start. A hit asked the upstream nothing.

    ``stale_by`` are answers that said they were stale, by why: a kind of Unavailable, ``limited``, or ``gone``.
    ``bad_answers`` are blobs that came otherwise than announced; the upstream's own state counts the rest.
    """

    name: RepositoryName
    hits: int
    misses: int
    stale_by: dict[str, int]
    fills_running: int
    bytes_fetched: int
    bad_answers: int
    upstream: UpstreamState

    @property
    def stale(self) -> int:
        """Of all kinds."""
        return sum(self.stale_by.values())
