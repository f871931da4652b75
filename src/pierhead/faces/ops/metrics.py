"""Metrics for Prometheus, made when they are asked for.

``METRICS`` is the list that the reference and its test come from. Conventions: prometheus.io, "Metric and label names".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Final

from msgspec import Struct
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from pierhead.actions.measure_storage import Storage
from pierhead.faces.ops.counted import Counted
from pierhead.faces.ops.meter import BOUNDS, Cell, Key
from pierhead.ports.upstream import Circuit
from pierhead.repositories.proxy_status import ProxyStatus


class Described(Struct, frozen=True):
    """A metric as the reference has it; ``kind`` is ``counter``, ``gauge`` or ``histogram``."""

    name: str
    kind: str
    labels: tuple[str, ...]
    says: str


_REPOSITORY: Final = ("repository",)
METRICS: Final = (
    Described("pierhead_build_info", "gauge", ("version",), "1; the version that runs."),
    Described("pierhead_ready", "gauge", (), "1 if writes are taken, 0 if /health says why not."),
    Described(
        "pierhead_http_requests_total",
        "counter",
        ("method", "route", "code", "repository"),
        "Requests by their answer; code 499 is a client that left before one.",
    ),
    Described(
        "pierhead_http_request_duration_seconds",
        "histogram",
        ("method", "route"),
        "From the head of a request to the last byte of its answer.",
    ),
    Described("pierhead_http_requests_in_flight", "gauge", (), "Requests that are being answered."),
    Described("pierhead_http_connections", "gauge", (), "Open connections, idle ones too."),
    Described("pierhead_http_received_bytes_total", "counter", _REPOSITORY, "Bytes of bodies that came in."),
    Described("pierhead_http_sent_bytes_total", "counter", _REPOSITORY, "Bytes of bodies that went out."),
    Described("pierhead_pulls_total", "counter", _REPOSITORY, "Manifests handed out (GET)."),
    Described("pierhead_pushes_total", "counter", _REPOSITORY, "Manifests taken (PUT)."),
    Described("pierhead_push_refused_total", "counter", ("reason", "repository"), "Refused POST, PUT and PATCH."),
    Described(
        "pierhead_auth_refused_total", "counter", ("reason",), "Requests without a login that holds or suffices."
    ),
    Described(
        "pierhead_old_password_logins_total",
        "counter",
        (),
        "Logins that were checked and had a password that was changed, while it is still taken.",
    ),
    Described(
        "pierhead_proxy_requests_total",
        "counter",
        ("repository", "result"),
        "Look-ups in a cache: hit (nothing was asked), miss, and stale for answers that said they were.",
    ),
    Described(
        "pierhead_proxy_stale_total",
        "counter",
        ("repository", "reason"),
        "Answers that said they were stale, by why: down, slow, limited, bad_answer, or gone from the upstream.",
    ),
    Described("pierhead_proxy_fetched_bytes_total", "counter", _REPOSITORY, "Bytes of blobs that an upstream sent."),
    Described("pierhead_proxy_fills", "gauge", _REPOSITORY, "Blobs that are being fetched."),
    Described("pierhead_upstream_requests_total", "counter", _REPOSITORY, "Requests to the upstream."),
    Described(
        "pierhead_upstream_failures_total",
        "counter",
        ("repository", "kind"),
        "Requests that ended without an answer (unreachable) or with one that cannot be used (bad_answer).",
    ),
    Described("pierhead_upstream_up", "gauge", _REPOSITORY, "1 while the circuit is closed, 0 while it is open."),
    Described("pierhead_upstream_limited", "gauge", _REPOSITORY, "1 while the upstream allows no more pulls (429)."),
    Described("pierhead_upstream_waiting", "gauge", _REPOSITORY, "Fetches that wait for their turn."),
    Described("pierhead_upstream_ratelimit_limit", "gauge", _REPOSITORY, "Pulls that the upstream allows in a window."),
    Described("pierhead_upstream_ratelimit_remaining", "gauge", _REPOSITORY, "Pulls that are left, as last heard."),
    Described("pierhead_blobstore_bytes", "gauge", (), "Bytes of blobs, each once."),
    Described("pierhead_blobstore_blobs", "gauge", (), "Blobs."),
    Described(
        "pierhead_disk_reserve_bytes", "gauge", (), "Set aside for deletions on a full disk; 0 while that is in use."
    ),
    Described("pierhead_blobstore_available_bytes", "gauge", (), "Room left in the file system of the data folder."),
    Described(
        "pierhead_repository_bytes", "gauge", _REPOSITORY, "Bytes of blobs that a repository's images were given."
    ),
    Described("pierhead_images", "gauge", (), "Images, in all repositories."),
    Described("pierhead_tags", "gauge", (), "Tags, in all repositories."),
    Described("pierhead_manifests", "gauge", (), "Manifests, each once."),
    Described("pierhead_uploads", "gauge", (), "Upload sessions that are open."),
    Described("pierhead_gc_condemned_bytes", "gauge", (), "Bytes of blobs that are on their way out."),
    Described("pierhead_commits_total", "counter", (), "Commits of the database."),
    Described("pierhead_commit_operations_total", "counter", (), "Writes in them: by commits, how many share a sync."),
    Described(
        "pierhead_event_loop_lag_seconds", "gauge", (), "The longest delay of the event loop since the last scrape."
    ),
    Described(
        "pierhead_audit_events_lost_total",
        "counter",
        (),
        "Logins, refusals and pulls that no record tells of: too many came at once, or nothing could be written.",
    ),
    Described("pierhead_log_lines_dropped_total", "counter", ("log",), "Log lines that nobody took in time."),
)
_BY_NAME: Final = {metric.name: metric for metric in METRICS}
_LOGIN: Final = frozenset({"NotAuthenticated", "TooManyLogins", "TokenNotAccepted", "TokenNotTrusted", "Denied"})
_WRITING: Final = frozenset({"POST", "PUT", "PATCH"})


class Exposition:
    """Renders metrics. Made once; ``render`` may run in any thread, one call at a time."""

    def __init__(self) -> None:
        self._process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._process)

    def render(self, found: Counted, storage: Storage | None, accept: str) -> tuple[bytes, str]:
        """The text and its type: OpenMetrics for a client whose ``Accept`` asks for it, else Prometheus' own."""
        encoder, content_type = choose_encoder(accept)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Made([*_families(found, storage), *self._process.collect()]))
        return encoder(registry), content_type


def _families(found: Counted, storage: Storage | None) -> Iterable[Metric]:
    reading = found.reading
    yield _gauge("pierhead_build_info", ((reading.version,), 1))
    yield _gauge("pierhead_ready", ((), int(reading.ready)))
    yield _gauge("pierhead_http_requests_in_flight", ((), reading.running))
    yield _gauge("pierhead_http_connections", ((), reading.connections))
    yield from _requests(found.cells)
    yield from _refusals(found.refusals)
    yield _counter("pierhead_old_password_logins_total", ((), reading.old_passwords))
    yield from _proxies(reading.proxies)
    if storage is not None:
        yield from _stored(storage)
    yield _counter("pierhead_commits_total", ((), reading.commits[0]))
    yield _counter("pierhead_commit_operations_total", ((), reading.commits[1]))
    yield _gauge("pierhead_event_loop_lag_seconds", ((), found.lag))
    yield _counter("pierhead_audit_events_lost_total", ((), reading.events_lost))
    yield _counter("pierhead_log_lines_dropped_total", *(((log,), n) for log, n in reading.dropped.items()))


class _Made(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


_Sample = tuple[tuple[str, ...], float]


def _gauge(name: str, *samples: _Sample) -> Metric:
    told = _BY_NAME[name]
    family = GaugeMetricFamily(name, told.says, labels=told.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _counter(name: str, *samples: _Sample) -> Metric:
    told = _BY_NAME[name]
    family = CounterMetricFamily(name, told.says, labels=told.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _requests(cells: Sequence[tuple[Key, Cell]]) -> Iterable[Metric]:
    received: dict[str, int] = defaultdict(int)
    sent: dict[str, int] = defaultdict(int)
    pulls: dict[str, int] = defaultdict(int)
    pushes: dict[str, int] = defaultdict(int)
    timed: dict[tuple[str, str], Cell] = defaultdict(Cell)
    for (route, method, status, repository), cell in cells:
        received[repository] += cell.received
        sent[repository] += cell.sent
        if route == "manifest" and (method, status) == ("GET", 200):
            pulls[repository] += cell.requests
        elif route == "manifest" and (method, status) == ("PUT", 201):
            pushes[repository] += cell.requests
        total = timed[method, route]
        total.seconds += cell.seconds
        total.buckets = [a + b for a, b in zip(total.buckets, cell.buckets, strict=True)]
    yield _counter(
        "pierhead_http_requests_total",
        *(((method, route, str(status), name), cell.requests) for (route, method, status, name), cell in cells),
    )
    yield _durations(timed)
    for name, counted in (
        ("pierhead_http_received_bytes_total", received),
        ("pierhead_http_sent_bytes_total", sent),
        ("pierhead_pulls_total", pulls),
        ("pierhead_pushes_total", pushes),
    ):
        yield _counter(name, *(((repository,), value) for repository, value in counted.items()))


def _durations(timed: Mapping[tuple[str, str], Cell]) -> Metric:
    told = _BY_NAME["pierhead_http_request_duration_seconds"]
    family = HistogramMetricFamily(told.name, told.says, labels=told.labels)
    bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
    for labels, cell in timed.items():
        counts = accumulate(cell.buckets)
        family.add_metric(labels, [(bound, float(n)) for bound, n in zip(bounds, counts, strict=True)], cell.seconds)
    return family


def _refusals(counted: Sequence[tuple[str, str, str, int]]) -> Iterable[Metric]:
    pushes: dict[tuple[str, str], int] = defaultdict(int)
    logins: dict[tuple[str, ...], int] = defaultdict(int)
    for reason, repository, method, count in counted:
        if reason in _LOGIN:
            logins[(reason,)] += count
        if method in _WRITING:
            pushes[reason, repository] += count
    yield _counter("pierhead_push_refused_total", *pushes.items())
    yield _counter("pierhead_auth_refused_total", *logins.items())


def _proxies(found: Sequence[ProxyStatus]) -> Iterable[Metric]:
    by = [((str(one.name),), one, one.upstream) for one in found]
    results = [((name, result), n) for (name,), one, _ in by for result, n in _results(one)]
    yield _counter("pierhead_proxy_requests_total", *results)
    stale = [((*name, reason), count) for name, one, _ in by for reason, count in one.stale_by.items()]
    yield _counter("pierhead_proxy_stale_total", *stale)
    yield _counter("pierhead_proxy_fetched_bytes_total", *((name, one.bytes_fetched) for name, one, _ in by))
    yield _gauge("pierhead_proxy_fills", *((name, one.fills_running) for name, one, _ in by))
    yield _counter("pierhead_upstream_requests_total", *((name, state.requests) for name, _, state in by))
    failures = [
        ((name, kind), n)
        for (name,), one, state in by
        for kind, n in (("unreachable", state.failures), ("bad_answer", state.bad_answers + one.bad_answers))
    ]
    yield _counter("pierhead_upstream_failures_total", *failures)
    yield _gauge("pierhead_upstream_up", *((name, int(state.circuit is Circuit.CLOSED)) for name, _, state in by))
    yield _gauge("pierhead_upstream_limited", *((name, int(state.limited_until is not None)) for name, _, state in by))
    yield _gauge("pierhead_upstream_waiting", *((name, state.waiting) for name, _, state in by))
    limits = [(name, state.rate_limit) for name, _, state in by if state.rate_limit is not None]
    yield _gauge(
        "pierhead_upstream_ratelimit_limit", *((name, one.limit) for name, one in limits if one.limit is not None)
    )
    yield _gauge(
        "pierhead_upstream_ratelimit_remaining",
        *((name, one.remaining) for name, one in limits if one.remaining is not None),
    )


def _results(one: ProxyStatus) -> tuple[tuple[str, int], ...]:
    return (("hit", one.hits), ("miss", one.misses), ("stale", one.stale))


def _stored(found: Storage) -> Iterable[Metric]:
    totals = found.totals
    for name, value in (
        ("pierhead_blobstore_bytes", totals.blob_bytes),
        ("pierhead_blobstore_blobs", totals.blobs),
        ("pierhead_images", totals.images),
        ("pierhead_tags", totals.tags),
        ("pierhead_manifests", totals.manifests),
        ("pierhead_uploads", totals.uploads),
        ("pierhead_gc_condemned_bytes", totals.condemned_bytes),
    ):
        yield _gauge(name, ((), value))
    if found.disk is not None:
        yield _gauge("pierhead_disk_reserve_bytes", ((), found.disk.reserve))
        yield _gauge("pierhead_blobstore_available_bytes", ((), found.disk.available))
    if found.sizes is not None:
        yield _gauge("pierhead_repository_bytes", *(((name,), size) for name, (_, size) in found.sizes.items()))
