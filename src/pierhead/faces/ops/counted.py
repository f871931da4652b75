"""What a process counted, as a value that workers can tell each other, and the sum of several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pierhead.domain.names import RepositoryName
from pierhead.faces.ops.meter import Cell, Key, Meter
from pierhead.ports.upstream import Circuit, UpstreamState
from pierhead.repositories.proxy_status import ProxyStatus


class Reading(Struct, frozen=True):
    """What does not come from the meter, read at one moment. ``commits`` are (commits, writes in them); ``dropped``
    are lines by log; ``events_lost`` got into no record; ``old_passwords`` are logins with one that was changed."""

    version: str
    ready: bool
    running: int
    connections: int
    proxies: Sequence[ProxyStatus]
    commits: tuple[int, int]
    dropped: Mapping[str, int]
    events_lost: int = 0
    old_passwords: int = 0


class Counted(Struct, frozen=True):
    """``refusals`` are (reason, repository, method, how many); ``lag`` is in seconds."""

    cells: Sequence[tuple[Key, Cell]]
    refusals: Sequence[tuple[str, str, str, int]]
    lag: float
    reading: Reading


def counted(meter: Meter, reading: Reading) -> Counted:
    """By this process, now."""
    refusals = [(*key, count) for key, count in meter.refusals.items()]
    return Counted(list(meter.cells.items()), refusals, meter.lag, reading)


def ended(found: Counted) -> Counted:
    """Of a process that has ended only what it counted still holds, not what stood at that moment."""
    proxies = [replace(one, fills_running=0, upstream=_past(one.upstream)) for one in found.reading.proxies]
    return replace(found, lag=0.0, reading=replace(found.reading, running=0, connections=0, proxies=proxies))


def _past(state: UpstreamState) -> UpstreamState:
    return replace(state, circuit=Circuit.CLOSED, limited_until=None, waiting=0, fetching=0)


def total(own: Counted, others: Sequence[Counted]) -> Counted:
    """The sum; what cannot be added up is the worst of them, or the newest."""
    everybody = (own, *others)
    cells: dict[Key, Cell] = {}
    refusals: Counter[tuple[str, str, str]] = Counter()
    dropped: Counter[str] = Counter()
    for one in everybody:
        for key, cell in one.cells:
            cells[key] = _added(cells[key], cell) if key in cells else cell
        for reason, repository, method, count in one.refusals:
            refusals[reason, repository, method] += count
        dropped.update(one.reading.dropped)
    readings = [one.reading for one in everybody]
    return Counted(
        list(cells.items()),
        [(*key, count) for key, count in refusals.items()],
        max(one.lag for one in everybody),
        Reading(
            own.reading.version,
            all(one.ready for one in readings),
            sum(one.running for one in readings),
            sum(one.connections for one in readings),
            _proxies(readings),
            (sum(one.commits[0] for one in readings), sum(one.commits[1] for one in readings)),
            dropped,
            sum(one.events_lost for one in readings),
            sum(one.old_passwords for one in readings),
        ),
    )


def _added(one: Cell, other: Cell) -> Cell:
    return Cell(
        one.requests + other.requests,
        one.seconds + other.seconds,
        one.sent + other.sent,
        one.received + other.received,
        [a + b for a, b in zip(one.buckets, other.buckets, strict=True)],
    )


def _proxies(readings: Sequence[Reading]) -> Sequence[ProxyStatus]:
    found: dict[RepositoryName, ProxyStatus] = {}
    for reading in readings:
        for one in reading.proxies:
            found[one.name] = _joined(found[one.name], one) if one.name in found else one
    return list(found.values())


def _joined(one: ProxyStatus, other: ProxyStatus) -> ProxyStatus:
    return ProxyStatus(
        one.name,
        one.hits + other.hits,
        one.misses + other.misses,
        dict(Counter(one.stale_by) + Counter(other.stale_by)),
        one.fills_running + other.fills_running,
        one.bytes_fetched + other.bytes_fetched,
        one.bad_answers + other.bad_answers,
        _states(one.upstream, other.upstream),
    )


def _states(one: UpstreamState, other: UpstreamState) -> UpstreamState:
    worse = other if one.circuit is Circuit.CLOSED else one
    if worse.circuit is Circuit.CLOSED and (one.failed_at or 0) > (other.failed_at or 0):
        worse = one  # whose reason is the newer one
    limits = [limit for limit in (one.rate_limit, other.rate_limit) if limit is not None]
    return replace(
        worse,
        limited_until=max(filter(None, (one.limited_until, other.limited_until)), default=None),
        last_answer_at=max(filter(None, (one.last_answer_at, other.last_answer_at)), default=None),
        failed_at=max(filter(None, (one.failed_at, other.failed_at)), default=None),
        rate_limit=max(limits, key=lambda limit: limit.seen_at, default=None),
        requests=one.requests + other.requests,
        failures=one.failures + other.failures,
        bad_answers=one.bad_answers + other.bad_answers,
        fetching=one.fetching + other.fetching,
        waiting=one.waiting + other.waiting,
    )


def _made(kind: type, value: object) -> object:
    if kind is RepositoryName:
        return RepositoryName(value)
    raise TypeError(f"{kind.__name__} is nothing that workers tell each other")


encode: Final = msgspec.json.Encoder(enc_hook=str).encode
_DECODER: Final = msgspec.json.Decoder(Counted, dec_hook=_made)


def decode(told: bytes) -> Counted | None:
    """What ``encode`` made; None for anything else, such as a file of another version."""
    try:
        return _DECODER.decode(told)
    except msgspec.MsgspecError:
        return None
