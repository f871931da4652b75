"""Metrics of a running server: who may read them, what they count, and that clients make no labels."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pierhead import __version__
from pierhead.domain.names import RepositoryName
from pierhead.faces.ops.counted import Counted, Reading, decode, encode, ended, total
from pierhead.faces.ops.metrics import METRICS
from pierhead.ports.upstream import Circuit, UpstreamState
from pierhead.repositories.proxy_status import ProxyStatus
from tests.peers.fixtures import StartPierhead
from tests.peers.images import image
from tests.peers.pierhead import Pierhead, house
from tests.peers.processes import wait_until
from tests.peers.wire import Wire
from tests.promises.houses import DEV, hosted_only, workers_of


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(house()) as started:
        yield started


class Scrape:
    """What one scrape gave, by name and labels."""

    def __init__(self, server: Pierhead) -> None:
        with Wire(server.port()) as wire:
            answer = wire.request("GET", "/metrics").expect(200)
        self.text = answer.body.decode()
        self.families = {family.name: family for family in text_string_to_metric_families(self.text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name that have these labels, 0 if there are none."""
        return sum(one.value for one in self.samples if one.name == name and fits(one.labels, labels))


def fits(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in wanted.items())


def test_every_metric_that_is_exposed_is_described_with_its_labels(server: Pierhead) -> None:
    described = {one.name: one for one in METRICS}
    for family in Scrape(server).families.values():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        if name.startswith("process_"):
            continue
        assert described[name].kind == family.type
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(described[name].labels), sample


def test_pulls_pushes_and_refusals_are_counted_by_repository(server: Pierhead) -> None:
    before = Scrape(server)
    pushed = image(seed=50)
    with server.wire("docker-hosted-dev") as wire:
        wire.push("counted/app", "1", pushed)
    with server.wire("docker-group", "svc-deploy") as wire:
        for _ in range(3):
            wire.get_manifest("counted/app", "1").expect(200)
        wire.get_manifest("counted/app", "none").expect(404)
        wire.put_manifest("counted/app", "1", pushed.manifest).expect(405)
    after = Scrape(server)

    def more(name: str, **labels: str) -> float:
        return after.value(name, **labels) - before.value(name, **labels)

    assert more("pierhead_pushes_total", repository="docker-hosted-dev") == 1
    assert more("pierhead_pulls_total", repository="docker-group") == 3
    assert more("pierhead_http_requests_total", route="manifest", method="GET", code="200") == 3
    assert more("pierhead_http_requests_total", route="manifest", method="GET", code="404") == 1
    assert more("pierhead_push_refused_total", reason="WrongPort", repository="docker-group") == 1
    assert more("pierhead_http_sent_bytes_total", repository="docker-group") >= 3 * pushed.manifest.size
    received = sum(blob.size for blob in pushed.blobs) + pushed.manifest.size
    assert more("pierhead_http_received_bytes_total", repository="docker-hosted-dev") == received
    assert more("pierhead_http_request_duration_seconds_count", route="manifest", method="GET") == 4
    assert more("pierhead_commits_total") >= 1
    assert after.value("pierhead_build_info", version=__version__) == 1
    assert after.value("pierhead_ready") == 1


def test_a_login_that_fails_is_counted(server: Pierhead) -> None:
    before = Scrape(server).value("pierhead_auth_refused_total", reason="NotAuthenticated")
    with server.wire("main", "svc-auditor", "wrong") as wire:
        wire.request("GET", "/v2/").expect(401)
        wire.request("GET", "/api/v1/status").expect(401)
    assert Scrape(server).value("pierhead_auth_refused_total", reason="NotAuthenticated") == before + 2


def test_names_and_methods_of_clients_make_no_new_series(server: Pierhead) -> None:
    series = len(Scrape(server).samples)
    with server.wire("main") as wire:
        for number in range(300):
            wire.request("GET", f"/v2/nowhere-{number}/app/manifests/tag-{number}").expect(404)
            wire.request("GET", f"/v2/docker-hosted-dev/app-{number}/manifests/tag-{number}").expect(404)
            wire.request("GET", f"/page-{number}").expect(404)
        for method in ("PROPFIND", "PURGE", "MKCOL", "LOCK", "REPORT"):
            wire.request(method, "/v2/").expect(405)
            wire.close()
    # At most one for each of: answers, durations with their buckets, bytes both ways.
    assert len(Scrape(server).samples) - series < 150


def test_what_is_stored_is_told(start_pierhead: StartPierhead) -> None:
    server = start_pierhead()
    pushed = image(seed=51)
    with server.wire("docker-hosted-dev") as wire:
        wire.push("stored/app", "1", pushed)
    told = Scrape(server)
    size = sum(blob.size for blob in pushed.blobs)
    assert (told.value("pierhead_blobstore_bytes"), told.value("pierhead_tags")) == (size, 1)
    assert told.value("pierhead_repository_bytes", repository="docker-hosted-dev") == size
    assert told.value("pierhead_blobstore_available_bytes") > 0


def test_a_proxy_tells_hits_and_misses_and_whether_its_upstream_answers(start_pierhead: StartPierhead) -> None:
    server = start_pierhead(house("http://127.0.0.1:9"))
    with server.wire("docker-group") as wire:
        assert wire.get_manifest("base", "1").status in (502, 503, 504)
    told = Scrape(server)
    name = "docker-proxy-dockerhub"
    assert told.value("pierhead_proxy_requests_total", repository=name, result="miss") >= 1
    assert told.value("pierhead_upstream_failures_total", repository=name, kind="unreachable") >= 1


def worker(limited_until: int | None, answered_at: int, failed_at: int = 0, **stale_by: int) -> Counted:
    """What one of several says about its only proxy, whose upstream answers."""
    why = f"at {failed_at}"
    state = UpstreamState(Circuit.CLOSED, why, None, None, limited_until, None, answered_at, 1, 0, 0, 0, 0, failed_at)
    proxy = ProxyStatus(RepositoryName("hub"), 1, 1, stale_by, 0, 0, 0, state)
    told = decode(encode(Counted([], [], 0.0, Reading("1", True, 0, 0, [proxy], (0, 0), {}))))
    assert told is not None
    return told


def test_a_limit_or_trouble_that_only_one_worker_was_told_is_shown_by_whichever_is_asked() -> None:
    limited, other = worker(5_000_000, 1, 4, limited=2), worker(None, 2, 3, limited=1, down=4)
    for own, others in ((limited, [other]), (other, [limited])):
        [found] = total(own, others).reading.proxies
        assert (found.upstream.limited_until, found.upstream.last_answer_at) == (5_000_000, 2)
        assert (found.upstream.failed_at, found.upstream.reason) == (4, "at 4")
        assert (found.stale_by, found.stale) == ({"limited": 3, "down": 4}, 7)
    [found] = total(other, [ended(limited)]).reading.proxies
    assert (found.upstream.limited_until, found.stale) == (None, 7)


def test_a_forwarded_request_needs_an_account_that_operates(server: Pierhead) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    with server.wire(username="") as wire:
        refused = wire.request("GET", "/metrics", headers=forwarded)
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, 'Basic realm="Pierhead"')
    with server.wire("main", "svc-deploy") as wire:
        assert wire.request("GET", "/metrics", headers=forwarded).status == 403
    with server.wire() as wire:
        assert wire.request("GET", "/metrics", headers=forwarded).status == 200


def test_openmetrics_is_given_to_those_who_ask_for_it(server: Pierhead) -> None:
    with Wire(server.port()) as wire:
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        answer = wire.request("GET", "/metrics", headers=accept).expect(200)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")


def test_metrics_are_read_and_not_written(server: Pierhead) -> None:
    with Wire(server.port()) as wire:
        assert wire.request("POST", "/metrics", b"x").status == 405
        assert wire.request("HEAD", "/metrics").body == b""


def test_any_of_several_workers_answers_for_all_and_for_those_that_ended(start_pierhead: StartPierhead) -> None:
    server = start_pierhead(hosted_only(), arguments=["--workers", "2"])

    def pulled() -> float:
        return Scrape(server).value("pierhead_pulls_total", repository=DEV)

    with server.wire(DEV) as wire:
        wire.push("workers/app", "1", image(seed=60))
    for _ in range(30):
        with server.wire(DEV) as wire:
            wire.get_manifest("workers/app", "1").expect(200)

    def told() -> int:
        files = [decode(path.read_bytes()) for path in (server.data / "metrics").glob("*[0-9]")]
        cells = [cell for one in files if one is not None for cell in one.cells]
        return sum(cell.requests for (route, method, *_), cell in cells if (route, method) == ("manifest", "GET"))

    wait_until(lambda: told() == 30, 15, "both workers have told what they counted")
    assert {pulled() for _ in range(10)} == {30}
    killed = workers_of(server)[0]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(set(workers_of(server)) - {killed}) == 2, 15, "a new worker")
    assert {pulled() for _ in range(10)} == {30}
    assert Scrape(server).value("pierhead_http_requests_in_flight") == 1
