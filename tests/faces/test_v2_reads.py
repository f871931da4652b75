"""Pulling blobs: whole, in ranges, conditionally, by HEAD (RFC 9110, sections 13 and 14), and what a port answers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.faces.v2_house import OCTETS, SENT, Place, house, octets, ways
from tests.peers.images import Blob, image
from tests.peers.pierhead import Pierhead
from tests.peers.wire import Answer

SMALL = octets(1_000, 1)  # kept in its row
LARGE = octets(700_000, 2)  # a file


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with house() as started:
        for blob in (SMALL, LARGE):
            ways(started)["by port"].wire.push_blob("read/s", blob)
        yield started


@pytest.fixture(scope="module")
def place(server: Pierhead) -> Place:
    return ways(server)["by port"]


@pytest.fixture(params=["small", "large"])
def blob(request: pytest.FixtureRequest) -> Blob:
    return SMALL if request.param == "small" else LARGE


def read(place: Place, blob: Blob, **headers: str) -> Answer:
    """``If_Range`` stands for If-Range."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return place.ask("GET", "read/s", f"blobs/{blob.digest}", headers=named)


def test_everything_without_a_range(place: Place, blob: Blob) -> None:
    place.check_blob("read/s", blob.digest, blob.data)


@pytest.mark.parametrize(
    ("range_", "start", "end"),
    [
        ("0-0", 0, 0),
        ("0-99", 0, 99),
        ("500-", 500, None),
        ("500-999999999999", 500, None),
        ("-1", -1, None),
        ("-300", -300, None),
        ("-999999999", 0, None),
        (" 5-9", 5, 9),
    ],
)
def test_a_single_range_is_206_and_exact(range_: str, start: int, end: int | None, place: Place, blob: Blob) -> None:
    first = start if start >= 0 else blob.size + start
    last = blob.size - 1 if end is None else end
    answer = read(place, blob, Range=f"bytes={range_}").expect(206)
    assert answer.body == blob.data[first : last + 1]
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{blob.size}"
    assert answer.headers["Content-Length"] == str(last + 1 - first)
    assert answer.headers["Docker-Content-Digest"] == blob.digest


def test_every_piece_of_a_download_that_is_resumed(place: Place) -> None:
    got, step = b"", 130_001
    while len(got) < LARGE.size:
        end = min(len(got) + step, LARGE.size) - 1
        got += read(place, LARGE, Range=f"bytes={len(got)}-{end}").expect(206).body
    assert got == LARGE.data


def parts_of(answer: Answer) -> list[tuple[str, bytes]]:
    """The parts of a multipart/byteranges body: Content-Range and bytes."""
    found = re.fullmatch(r"multipart/byteranges; boundary=(\S+)", answer.headers["Content-Type"])
    assert found is not None
    pieces = answer.body.split(b"\r\n--" + found[1].encode())
    assert pieces[0] == b""
    assert pieces[-1] == b"--\r\n"
    parts = []
    for piece in pieces[1:-1]:
        head, _, data = piece.partition(b"\r\n\r\n")
        lines = dict(line.split(": ", 1) for line in head.decode().strip().split("\r\n"))
        assert lines["Content-Type"] == OCTETS
        parts.append((lines["Content-Range"], data))
    return parts


@pytest.mark.parametrize("range_", ["0-9,20-29", "900-,0-0", "0-0,-1", "5-6, 8-9 ,11-12"])
def test_several_ranges_are_multipart_as_podman_asks_for_them(range_: str, place: Place, blob: Blob) -> None:
    answer = read(place, blob, Range=f"bytes={range_}").expect(206)
    assert answer.headers["Content-Length"] == str(len(answer.body))
    parts = parts_of(answer)
    assert len(parts) == range_.count(",") + 1
    for content_range, data in parts:
        first, last = map(int, content_range.removeprefix("bytes ").partition("/")[0].split("-"))
        assert data == blob.data[first : last + 1]
        assert content_range.endswith(f"/{blob.size}")


@pytest.mark.parametrize("range_", ["0-9,5-19", "0-,0-", "5-9,0-6"])
def test_ranges_that_overlap_are_sent_once(range_: str, place: Place, blob: Blob) -> None:
    answer = read(place, blob, Range=f"bytes={range_}").expect(206)
    first, last = map(int, answer.headers["Content-Range"].removeprefix("bytes ").partition("/")[0].split("-"))
    assert answer.body == blob.data[first : last + 1]


def test_past_the_end_is_416_and_tells_the_size(place: Place, blob: Blob) -> None:
    answer = read(place, blob, Range=f"bytes={blob.size}-")
    assert answer.status == 416
    assert answer.headers["Content-Range"] == f"bytes */{blob.size}"
    assert str(blob.size) in answer.message


def test_if_range_decides_whether_a_range_is_given(place: Place, blob: Blob) -> None:
    mark = f'"{blob.digest}"'
    read(place, blob, Range="bytes=0-9", If_Range=mark).expect(206)
    for other in ('"x"', f"W/{mark}", "Mon, 01 Jan 2024 00:00:00 GMT"):
        assert read(place, blob, Range="bytes=0-9", If_Range=other).expect(200).body == blob.data


def test_what_is_known_already_is_304_whatever_range_was_asked(place: Place, blob: Blob) -> None:
    mark = f'"{blob.digest}"'
    for headers in ({"If_None_Match": mark}, {"If_None_Match": mark, "Range": "bytes=0-9"}, {"If_None_Match": "*"}):
        answer = read(place, blob, **headers)
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["ETag"] == mark
    head = place.ask("HEAD", "read/s", f"blobs/{blob.digest}", headers={"If-None-Match": mark})
    assert head.status == 304
    read(place, blob, If_None_Match='"other"').expect(200)


def test_head_of_a_blob_ignores_ranges_and_sends_nothing(place: Place, blob: Blob) -> None:
    answer = place.ask("HEAD", "read/s", f"blobs/{blob.digest}", headers={"Range": "bytes=0-9"}).expect(200)
    assert answer.body == b""
    assert answer.headers["Content-Length"] == str(blob.size)


def test_a_blob_is_only_there_for_images_that_were_given_it(place: Place) -> None:
    answer = place.ask("GET", "other/image", f"blobs/{LARGE.digest}")
    assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")
    assert LARGE.digest in answer.message


def test_a_manifest_is_no_blob(place: Place) -> None:
    one = image(seed=1)
    place.wire.push("read/s", "1", one)
    assert place.ask("GET", "read/s", f"blobs/{one.digest}").code == "BLOB_UNKNOWN"
    assert place.ask("GET", "read/s", f"manifests/{one.config.digest}").code == "MANIFEST_UNKNOWN"


def test_the_ping_tells_docker_that_this_is_a_registry(server: Pierhead) -> None:
    for port in ("main", "open", "once", "shut"):
        with server.wire(port) as wire:
            for target in ("/v2/", "/v2"):
                answer = wire.request("GET", target).expect(200)
                assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
                assert answer.json() == {}
        with server.wire(port, "") as nobody:
            refused = nobody.request("GET", "/v2/")
            assert (refused.status, refused.code) == (401, "UNAUTHORIZED")
            assert refused.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
            (bearer,) = refused.headers.get_all("WWW-Authenticate") or [""]
            assert bearer.startswith(f'Bearer realm="http://127.0.0.1:{server.port(port)}/token",service="pierhead-')
            assert "docker login" in refused.message


def test_every_kind_of_refusal_has_the_specifications_form(place: Place) -> None:
    for rest in ("manifests/none", "blobs/sha256:1", "tags/list?n=x", "blobs/uploads/none", f"blobs/sha256:{'a' * 64}"):
        answer = place.ask("GET", "no/thing", rest)
        assert answer.headers["Content-Type"] == "application/json"
        [error] = answer.json()["errors"]
        assert set(error) == {"code", "message", "detail"}
        assert error["code"].isupper()
        assert error["message"].endswith(".")


def test_pieces_of_an_upload_are_no_blob_before_its_end(place: Place) -> None:
    blob = octets(50_000, 3)
    location = place.begin("half/way")
    place.follow("PATCH", location, blob.data, SENT).expect(202)
    assert place.ask("HEAD", "half/way", f"blobs/{blob.digest}").status == 404
    place.follow("PUT", f"{location}?digest={blob.digest}", b"").expect(201)
    assert place.ask("HEAD", "half/way", f"blobs/{blob.digest}").status == 200
