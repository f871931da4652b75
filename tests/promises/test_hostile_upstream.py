"""Hostile upstreams and mixed members: rows 125 to 143 of the table, through proxy and group of a running program.

Contracts of the client and of the cache (tests/contracts, tests/repositories) hold the finer cases; here is what a
client of the group hears, that nothing wrong is kept, and that nobody is met who should not be.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.faults import behaviours as bad
from tests.faults.dishonest_upstream import Behaviour, DishonestUpstream, Image, Tokens
from tests.peers.images import image, random_bytes
from tests.peers.pierhead import Config, Pierhead
from tests.peers.processes import LOOPBACK, wait_until
from tests.peers.wire import Wire
from tests.promises.ground import CONFIG, ENVIRONMENT, OUTSIDER, PASSWORD, READER

LARGE = random_bytes(600_000, 129)
SMALL = b"a layer of a few bytes"


@dataclass
class Shore:
    """The program, its upstreams, and an address that nobody may ever connect to."""

    server: Pierhead
    hub: DishonestUpstream
    second: DishonestUpstream
    cdn: DishonestUpstream
    trap: socket.socket

    @property
    def trap_address(self) -> str:
        host, port = self.trap.getsockname()
        return f"{host}:{port}"

    def wire(self, who: str = READER, port: str = "pull") -> Wire:
        return self.server.wire(port, who, PASSWORD)

    def nobody_was_met(self) -> bool:
        self.trap.setblocking(False)
        try:
            self.trap.accept()[0].close()
        except BlockingIOError:
            return True
        return False


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Where the upstreams live: a thread of their own, since tests here block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def shore(loop: asyncio.AbstractEventLoop) -> Iterator[Shore]:
    upstreams = [DishonestUpstream(tokens=Tokens(users={"anna": "secret-7"})), DishonestUpstream(), DishonestUpstream()]
    for upstream in upstreams:
        asyncio.run_coroutine_threadsafe(upstream.start(), loop).result(10)
    hub, second, cdn = upstreams
    proxy = {"type": "proxy", "fresh_for": "0s", "library": True}
    repositories: Config = {
        "open": {"type": "hosted", "listen": "auto:open"},
        "late": {"type": "hosted"},
        "hub": {**proxy, "upstream": hub.url, "username_env": "HUB_USER", "password_env": "HUB_PASSWORD",
                "allow_private": [cdn.address]},
        "second": {**proxy, "upstream": second.url},
        "pull": {"type": "group", "listen": "auto:pull", "members": ["open", "late", "hub", "second"],
                 "reserve": ["internal/*"]},
    }  # fmt: skip
    environment = {**ENVIRONMENT, "HUB_USER": "anna", "HUB_PASSWORD": "secret-7"}
    config = {**CONFIG, "repositories": repositories}
    with Pierhead(config, environment=environment) as server, socket.create_server((LOOPBACK, 0)) as trap:
        yield Shore(server, hub, second, cdn, trap)
    for upstream in upstreams:
        asyncio.run_coroutine_threadsafe(upstream.stop(), loop).result(10)


@pytest.fixture(autouse=True)
def honest_again(shore: Shore) -> Iterator[None]:
    yield
    for upstream in (shore.hub, shore.second, shore.cdn):
        upstream.be_honest()
    assert shore.nobody_was_met(), "somebody connected to the address that an upstream named"
    assert "Traceback" not in shore.server.log


def fresh(shore: Shore, name: str, layers: list[bytes] | None = None) -> Image:
    """A new image of the first upstream, which nothing here has seen."""
    return shore.hub.add_image(f"library/{name}", "1", [LARGE + name.encode(), SMALL + name.encode(), *(layers or [])])


# (row, what, behaviour for manifests; {trap} is the address that must not be met)
ASTRAY = [
    (125, "a realm on another port", 'Bearer realm="http://{trap}/token",service="x"'),
    (125, "a realm on a link-local address", 'Bearer realm="http://169.254.169.254/token",service="x"'),
    (125, "a realm of another scheme", 'Bearer realm="file:///etc/passwd",service="x"'),
    (125, "no realm at all", 'Bearer service="x"'),
]
REDIRECTS = [
    "http://{trap}/x",
    "http://localhost:{port}/x",
    "http://[::ffff:7f00:1]:{port}/x",
    "http://0x7f.1:{port}/x",
    "http://2130706433:{port}/x",
    "http://169.254.169.254/latest/meta-data/",
    "file:///etc/passwd",
    "gopher://{trap}/x",
]
BAD_MANIFESTS: list[tuple[int, str, Behaviour]] = [
    (128, "redirects without end", bad.redirect_in_circles()),
    (130, "a digest that is not that of the bytes", bad.lying_digest()),
    (131, "a body that ends early", bad.cut(20)),
    (132, "a web page", bad.web_page()),
    (133, "an encoding", bad.compressed()),
    (134, "a manifest without end", bad.endless()),
    (134, "very many headers", bad.many_headers(5_000)),
    (134, "no HTTP", bad.no_http()),
]


def refused(shore: Shore, name: str) -> None:
    """The tag is answered with 502 and a reason, and nothing is kept: honest again, it comes."""
    with shore.wire() as wire:
        answer = wire.get_manifest(name, "1")
        assert answer.status in (502, 503), answer.body
        assert answer.code == "UNAVAILABLE"
        assert answer.headers["Warning"].startswith("199 ")
        assert "secret-7" not in answer.body.decode()
        shore.hub.be_honest()
        assert wire.get_manifest(name, "1").expect(200).headers["Docker-Content-Digest"].startswith("sha256:")


@pytest.mark.parametrize("line", ASTRAY, ids=[f"row {row}: {what}" for row, what, _ in ASTRAY])
def test_row_125_no_credential_goes_where_a_challenge_leads(line: tuple[int, str, str], shore: Shore) -> None:
    name = f"realm-{ASTRAY.index(line)}"
    fresh(shore, name)
    shore.hub.play(bad.challenge(line[2].format(trap=shore.trap_address)), f"/{name}/")
    refused(shore, name)


def test_row_126_credentials_stay_behind_when_a_redirect_leads_to_another_host(shore: Shore) -> None:
    made = fresh(shore, "redirected")
    [digest] = [one for one, data in made.layers.items() if data.startswith(LARGE)]
    shore.cdn.blobs[digest] = made.layers[digest]
    shore.hub.play(bad.redirect(shore.cdn.url + "/v2/library/redirected/blobs/{last}"), f"/blobs/{digest}")
    before = len(shore.cdn.seen)
    with shore.wire() as wire:
        assert wire.get_blob("redirected", digest).expect(200).body == made.layers[digest]
    asked = shore.cdn.seen[before:]
    assert asked
    for request in asked:
        assert not {"authorization", "cookie", "proxy-authorization"} & set(request.headers)


@pytest.mark.parametrize("location", REDIRECTS)
def test_row_127_redirects_astray_are_not_followed(location: str, shore: Shore) -> None:
    name = f"astray-{REDIRECTS.index(location)}"
    fresh(shore, name)
    where = location.format(trap=shore.trap_address, port=shore.trap.getsockname()[1])
    shore.hub.play(bad.redirect(where), f"/{name}/manifests/")
    refused(shore, name)


@pytest.mark.parametrize("line", BAD_MANIFESTS, ids=[f"row {row}: {what}" for row, what, _ in BAD_MANIFESTS])
def test_rows_128_to_134_a_bad_answer_to_a_manifest_is_502_and_never_kept(
    line: tuple[int, str, Behaviour], shore: Shore
) -> None:
    name = f"bad-{BAD_MANIFESTS.index(line)}"
    fresh(shore, name)
    shore.hub.play(line[2], f"/{name}/manifests/")
    refused(shore, name)


@pytest.mark.parametrize(
    ("row", "behaviour"),
    [
        (129, bad.other_bytes()),
        (131, bad.cut(100_000)),
        (131, bad.cut_chunked(100_000)),
        (131, bad.wrong_length(5)),
        (131, bad.wrong_length(-5)),
        (133, bad.compressed()),
    ],
    ids=["row 129: other bytes", "row 131: cut", "row 131: cut, chunked", "row 131: too long", "row 131: too short",
         "row 133: an encoding"],
)  # fmt: skip
@pytest.mark.parametrize("which", ["large", "small"])
def test_rows_129_to_133_no_reader_gets_a_whole_answer_with_wrong_bytes(
    row: int, behaviour: Behaviour, which: str, shore: Shore, request: pytest.FixtureRequest
) -> None:
    name = "blob-" + "".join(c if c.isalnum() else "-" for c in request.node.callspec.id.lower()).strip("-")
    while "--" in name:
        name = name.replace("--", "-")
    made = fresh(shore, name)
    [digest] = [one for one, data in made.layers.items() if (len(data) > 1_000) == (which == "large")]
    shore.hub.play(behaviour, f"/{name}/blobs/")
    with shore.wire() as wire:
        try:
            answer = wire.get_blob(name, digest)
        except (http.client.IncompleteRead, ConnectionError):
            answer = None
        if answer is not None and answer.status == 200:
            assert row == 131, "a length alone may be mended by asking for the rest"
            assert answer.body == made.layers[digest]
        elif answer is not None:
            assert (answer.status, answer.code) == (502, "UNAVAILABLE")
        shore.hub.be_honest()
        assert wire.get_blob(name, digest).expect(200).body == made.layers[digest]


@pytest.mark.parametrize(
    ("behaviour", "wanted", "why"),
    [
        (bad.cut(0), None, "the connection was cut in the midst of it."),
        (bad.other_bytes(), "bytes=-100", "it sends other bytes than"),
        (bad.other_bytes(), "bytes=-9,599900-599950", "it sends other bytes than"),
    ],
    ids=["not a byte comes", "the end of a lie", "parts of its end"],
)
def test_rows_129_to_131_what_ends_before_a_byte_was_given_out_is_502_with_the_reason(
    behaviour: Behaviour, wanted: str | None, why: str, shore: Shore
) -> None:
    name = f"unbegun-{len(wanted or '')}"
    made = fresh(shore, name)
    [digest] = [one for one, data in made.layers.items() if len(data) > 1_000]
    shore.hub.play(behaviour, f"/{name}/blobs/")
    headers = {} if wanted is None else {"Range": wanted}
    with shore.wire() as wire:
        wire.get_manifest(name, "1").expect(200)
        answer = wire.get_blob(name, digest, headers=headers)
        assert (answer.status, answer.code) == (502, "UNAVAILABLE")
        assert why in answer.message
        assert why in answer.headers["Warning"]
        shore.hub.be_honest()
        wire.get_blob(name, digest, headers=headers).expect(200, 206)


def test_rows_129_to_131_why_an_answer_was_cut_short_stands_in_the_log(
    shore: Shore, loop: asyncio.AbstractEventLoop
) -> None:
    made, gate = fresh(shore, "short"), asyncio.Event()
    [digest] = [one for one, data in made.layers.items() if len(data) > 1_000]
    shore.hub.blobs[digest] = made.layers[digest][:-1] + b"?"
    shore.hub.play(bad.wait_for(gate, after=300_000), "/short/blobs/")
    with shore.wire() as wire:
        wire.get_manifest("short", "1").expect(200)
        with wire.streamed(f"/v2/short/blobs/{digest}") as answer:
            assert (answer.status, answer.read(1)) == (200, made.layers[digest][:1])
            loop.call_soon_threadsafe(gate.set)
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                answer.read()
    why = f"{shore.hub.address} gave an answer that cannot be used: it sends other bytes than {digest} names."
    shore.server.wait_for_log(f"a fetch for library/short broke off: {why}")
    shore.server.wait_for_log(f'image=short member=hub unavailable="{why}')
    assert "ERROR" not in shore.server.log


def test_row_135_what_the_upstream_deletes_stays_in_the_cache(shore: Shore) -> None:
    made = fresh(shore, "deleted")
    with shore.wire() as wire:
        wire.get_manifest("deleted", "1").expect(200)
        for key in [key for key in shore.hub.manifests if key[0] == "library/deleted"]:
            del shore.hub.manifests[key]
        by_digest = wire.get_manifest("deleted", made.digest).expect(200)
        assert by_digest.body == made.manifest
        by_tag = wire.get_manifest("deleted", "1").expect(200)
        assert by_tag.body == made.manifest
        assert by_tag.headers["Warning"].startswith("110 ")


def test_row_137_a_reserved_name_is_404_and_no_upstream_hears_of_it(shore: Shore) -> None:
    shore.hub.add_image("internal/app", "9", [SMALL])
    before = len(shore.hub.seen) + len(shore.second.seen)
    digest = "sha256:" + "a" * 64
    with shore.wire() as wire:
        for method in ("GET", "HEAD"):
            for rest in ("manifests/9", f"manifests/{digest}", f"blobs/{digest}", "tags/list"):
                assert wire.request(method, f"/v2/internal/app/{rest}").status == 404
        assert wire.request("GET", f"/v2/internal/app/referrers/{digest}").json()["manifests"] == []
        assert wire.get_manifest("internal/app", "9").code == "MANIFEST_UNKNOWN"
    assert len(shore.hub.seen) + len(shore.second.seen) == before


def test_row_138_a_member_in_trouble_ends_the_look_up_and_nobody_else_answers(shore: Shore) -> None:
    fresh(shore, "confused")
    shore.second.add_image("library/confused", "1", [b"the attacker's"])
    shore.hub.play(bad.status(503), "/confused/")
    with shore.wire() as wire:
        answer = wire.get_manifest("confused", "1")
        assert (answer.status, answer.code) == (503, "UNAVAILABLE")
    assert shore.second.count(path="/confused/") == 0


def test_row_139_a_tag_comes_from_the_first_member_and_a_digest_from_any(shore: Shore) -> None:
    first, later = image(seed=1), image(seed=2)
    with shore.wire("alice", "main") as wire:
        wire.push("open/same/tag", "1", first)
        wire.push("late/same/tag", "1", later)
    with shore.wire() as wire:
        assert wire.get_manifest("same/tag", "1").body == first.manifest.data
        for one in (first, later):
            assert wire.get_manifest("same/tag", one.digest).expect(200).body == one.manifest.data
            for blob in one.blobs:
                assert wire.get_blob("same/tag", blob.digest).expect(200).body == blob.data


def test_row_140_members_that_an_account_may_not_read_are_not_there_for_it(shore: Shore) -> None:
    made = fresh(shore, "unseen")
    with shore.wire() as wire:
        wire.get_manifest("unseen", "1").expect(200)
    with shore.wire(OUTSIDER) as wire:
        for reference in ("1", made.digest):
            assert wire.get_manifest("unseen", reference).code == "MANIFEST_UNKNOWN"
        for digest in made.layers:
            assert wire.get_blob("unseen", digest).code == "BLOB_UNKNOWN"
        assert wire.request("GET", "/v2/unseen/tags/list").status == 404
        assert wire.request("GET", "/v2/_catalog").json() == {"repositories": []}


def test_row_142_no_query_and_no_path_chooses_an_upstream(shore: Shore) -> None:
    fresh(shore, "chosen")
    with shore.wire() as wire:
        for ns in ("evil.example", shore.trap_address, f"http://{shore.trap_address}", "../../x"):
            wire.request("GET", f"/v2/library/chosen/manifests/1?ns={ns}").expect(200)
        for name in (shore.trap_address.replace(":", "/"), "http/evil.example/x", "docker.io/library/chosen"):
            assert wire.get_manifest(name, "1").status == 404


def test_row_143_what_is_not_there_is_asked_for_once_in_a_while(shore: Shore) -> None:
    with shore.wire() as wire:
        for _ in range(20):
            assert wire.get_manifest("nowhere/at-all", "1").code == "MANIFEST_UNKNOWN"
    assert shore.hub.count(path="/nowhere/at-all/manifests/") <= 4


def test_a_limit_is_told_with_its_reason_in_answers_log_and_metrics_and_goes_by_itself(shore: Shore) -> None:
    shore.second.add_image("library/limited", "1", [SMALL])
    label = 'repository="second"'
    with shore.wire(port="main") as wire:

        def metrics() -> str:
            return wire.request("GET", "/metrics").expect(200).body.decode()

        wire.get_manifest("second/limited", "1").expect(200)
        shore.second.play(bad.limited(retry_after=5), "/limited/manifests/")
        stale = wire.get_manifest("second/limited", "1").expect(200)
        refused = wire.get_manifest("second/limited", "2").expect(429)
        assert (refused.code, int(refused.headers["Retry-After"]) <= 5) == ("TOOMANYREQUESTS", True)
        reason = f"{shore.second.address} allows no more pulls for now."
        assert stale.headers["Warning"].startswith(f'110 - "{reason} Next try ')
        assert refused.headers["Warning"].startswith(f'199 - "{reason} limited:2 is not kept here. Kept: 1. Next try ')
        shore.server.wait_for_log(f'refused=UpstreamLimited unavailable="{reason} limited:2 is not kept here.')
        shore.server.wait_for_log(f'stale="{reason} Next try ')
        told = metrics()
        assert f"pierhead_upstream_limited{{{label}}} 1.0" in told
        assert f'pierhead_proxy_stale_total{{reason="limited",{label}}} 1.0' in told
        shore.second.be_honest()
        wait_until(lambda: f"pierhead_upstream_limited{{{label}}} 0.0" in metrics(), 20, "the end of the limit")
        assert "Warning" not in wire.get_manifest("second/limited", "1").expect(200).headers
