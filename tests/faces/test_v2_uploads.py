"""Pushing blobs, after the OCI distribution specification ("Pushing blobs") and what clients do beyond its text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faces.v2_house import OCTETS, SENT, Place, house, octets, sha512, ways
from tests.peers.images import sha256
from tests.peers.pierhead import Pierhead
from tests.peers.wire import Answer


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with house() as started:
        yield started


@pytest.fixture(scope="module")
def both(server: Pierhead) -> dict[str, Place]:
    return ways(server)


@pytest.fixture(params=["by port", "by path"])
def place(request: pytest.FixtureRequest, both: dict[str, Place]) -> Place:
    return both[request.param]


SIZES = [1, 100, 16_384, 16_385, 300_000]


def created(place: Place, answer: Answer, name: str, digest: str) -> None:
    headers = answer.headers
    assert headers["Location"] == place.path(name, f"blobs/{digest}")
    assert headers["Docker-Content-Digest"] == digest
    assert headers["Content-Length"] == "0"


@pytest.mark.parametrize("size", SIZES)
def test_post_then_put(size: int, place: Place) -> None:
    blob = octets(size, 1)
    location = place.begin("post/put")
    answer = place.follow("PUT", f"{location}?digest={blob.digest}", blob.data, SENT).expect(201)
    created(place, answer, "post/put", blob.digest)
    place.check_blob("post/put", blob.digest, blob.data)


@pytest.mark.parametrize("size", SIZES)
def test_one_post_with_everything(size: int, place: Place) -> None:
    blob = octets(size, 2)
    answer = place.ask("POST", "one/post", f"blobs/uploads/?digest={blob.digest}", blob.data, SENT).expect(201)
    created(place, answer, "one/post", blob.digest)
    place.check_blob("one/post", blob.digest, blob.data)


def test_post_without_a_trailing_slash_is_the_same(place: Place) -> None:
    answer = place.ask("POST", "no/slash", "blobs/uploads", b"").expect(202)
    place.follow("DELETE", answer.headers["Location"]).expect(204)


@pytest.mark.parametrize("sizes", [(5, 10, 3), (100_000, 7, 200_000), (20_000, 20_000)])
def test_chunks_in_order_with_content_range(sizes: tuple[int, ...], place: Place) -> None:
    data = octets(sum(sizes), 3).data
    location, start = place.begin("chunk/ed"), 0
    for size in sizes:
        end = start + size - 1
        headers = {**SENT, "Content-Range": f"{start}-{end}"}
        answer = place.follow("PATCH", location, data[start : end + 1], headers).expect(202)
        assert answer.headers["Range"] == f"0-{end}"
        assert answer.headers["Location"] == location
        assert location.endswith(answer.headers["Docker-Upload-UUID"])
        status = place.follow("GET", location).expect(204)
        assert status.headers["Range"] == f"0-{end}"
        assert status.headers["Location"] == location
        start = end + 1
    answer = place.follow("PUT", f"{location}?digest={sha256(data)}", b"").expect(201)
    created(place, answer, "chunk/ed", sha256(data))
    place.check_blob("chunk/ed", sha256(data), data)


def test_the_last_chunk_may_come_with_the_put(place: Place) -> None:
    data = octets(50_000, 4).data
    location = place.begin("last/chunk")
    place.follow("PATCH", location, data[:30_000], {**SENT, "Content-Range": "0-29999"}).expect(202)
    headers = {**SENT, "Content-Range": "30000-49999"}
    place.follow("PUT", f"{location}?digest={sha256(data)}", data[30_000:], headers).expect(201)
    place.check_blob("last/chunk", sha256(data), data)


@pytest.mark.parametrize("size", [9, 700_000])
def test_streamed_patches_without_a_range_as_docker_and_buildah_send_them(size: int, place: Place) -> None:
    data = octets(size, 5).data
    location = place.begin("stream/ed")
    half = size // 2
    for part in (data[:half], data[half:]):
        chunks = iter([part[:3], part[3:]])
        place.follow("PATCH", location, chunks, SENT).expect(202)  # type: ignore[arg-type]  # sent chunked
    place.follow("PUT", f"{location}?digest={sha256(data)}", b"").expect(201)
    place.check_blob("stream/ed", sha256(data), data)


def test_a_cancelled_upload_is_gone(place: Place) -> None:
    for sent in (b"", b"hello", octets(100_000).data):
        location = place.begin("can/celled")
        if sent:
            place.follow("PATCH", location, sent, SENT).expect(202)
        place.follow("DELETE", location).expect(204)
        for method in ("GET", "PATCH", "DELETE"):
            answer = place.follow(method, location, b"" if method == "PATCH" else None)
            assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")
        assert place.follow("PUT", f"{location}?digest={sha256(sent)}", b"").status == 404


def test_sha512_blobs_all_ways(place: Place) -> None:
    for number, size in enumerate((10, 40_000)):
        blob = octets(size, 60 + number)
        digest = sha512(blob.data)
        place.ask("POST", "sha/512", f"blobs/uploads/?digest={digest}", blob.data, SENT).expect(201)
        place.check_blob("sha/512", digest, blob.data)
        blob = octets(size, 70 + number)
        digest = sha512(blob.data)
        location = place.begin("sha/512", "?digest-algorithm=sha512")
        place.follow("PATCH", location, blob.data, SENT).expect(202)
        answer = place.follow("PUT", f"{location}?digest={digest}", b"").expect(201)
        assert answer.headers["Docker-Content-Digest"] == digest
        place.check_blob("sha/512", digest, blob.data)
        # A session that was begun for sha256 and ends with sha512.
        blob = octets(size, 80 + number)
        location = place.begin("sha/512")
        place.follow("PATCH", location, blob.data, SENT).expect(202)
        place.follow("PUT", f"{location}?digest={sha512(blob.data)}", b"").expect(201)
        place.check_blob("sha/512", sha512(blob.data), blob.data)


def test_the_empty_blob_all_ways(place: Place) -> None:
    empty = sha256(b"")
    place.ask("POST", "emp/ty1", f"blobs/uploads/?digest={empty}", b"").expect(201)
    location = place.begin("emp/ty2")
    place.follow("PUT", f"{location}?digest={empty}", b"").expect(201)
    location = place.begin("emp/ty3")
    place.follow("PATCH", location, b"", SENT).expect(202)
    place.follow("PUT", f"{location}?digest={empty}", b"").expect(201)
    for name in ("emp/ty1", "emp/ty2", "emp/ty3"):
        place.check_blob(name, empty, b"")


def test_a_put_may_be_repeated_when_its_answer_was_lost(place: Place) -> None:
    blob = octets(30_000, 9)
    location = place.begin("lost/answer")
    for _ in range(3):
        answer = place.follow("PUT", f"{location}?digest={blob.digest}", blob.data, SENT).expect(201)
        created(place, answer, "lost/answer", blob.digest)


def test_the_digest_may_stand_anywhere_in_the_query(place: Place) -> None:
    blob = octets(10, 10)
    location = place.begin("any/where")
    quoted = blob.digest.replace(":", "%3A")
    place.follow("PUT", f"{location}?a=b&digest={quoted}&z=", blob.data, SENT).expect(201)


class TestMounts:
    """Cross-repository and anonymous mounts ("Mounting a blob from another repository")."""

    def test_between_images_of_one_repository(self, place: Place) -> None:
        blob = octets(40_000, 11)
        place.ask("POST", "mount/from", f"blobs/uploads/?digest={blob.digest}", blob.data, SENT).expect(201)
        source = f"{place.prefix}mount/from"
        answer = place.ask("POST", "mount/to", f"blobs/uploads/?mount={blob.digest}&from={source}", b"").expect(201)
        created(place, answer, "mount/to", blob.digest)
        place.check_blob("mount/to", blob.digest, blob.data)

    def test_between_repositories_of_one_server(self, both: dict[str, Place]) -> None:
        place, blob = both["by path"], octets(1_000, 12)
        place.ask("POST", "across/from", f"blobs/uploads/?digest={blob.digest}", blob.data, SENT).expect(201)
        target = f"/v2/other/across/to/blobs/uploads/?mount={blob.digest}&from=open/across/from"
        place.follow("POST", target, b"").expect(201)
        assert place.follow("GET", f"/v2/other/across/to/blobs/{blob.digest}").body == blob.data

    def test_from_a_connector_by_the_full_name(self, both: dict[str, Place], server: Pierhead) -> None:
        by_path, blob = both["by path"], octets(1_000, 13)
        by_path.follow("POST", f"/v2/other/full/name/blobs/uploads/?digest={blob.digest}", blob.data, SENT).expect(201)
        target = f"blobs/uploads/?mount={blob.digest}&from=other/full/name"
        both["by port"].ask("POST", "full/target", target, b"").expect(201)
        both["by port"].check_blob("full/target", blob.digest, blob.data)

    def test_what_is_not_there_becomes_an_upload(self, place: Place) -> None:
        blob = octets(100, 14)
        answer = place.ask("POST", "mount/none", f"blobs/uploads/?mount={blob.digest}&from=no/such", b"").expect(202)
        assert answer.headers["Range"] == "0-0"
        place.follow("PUT", f"{answer.headers['Location']}?digest={blob.digest}", blob.data, SENT).expect(201)
        place.check_blob("mount/none", blob.digest, blob.data)

    def test_without_a_source_the_same_image_of_other_repositories_is_looked_at(self, both: dict[str, Place]) -> None:
        place, blob = both["by path"], octets(100, 15)
        place.ask("POST", "anony/mous", f"blobs/uploads/?digest={blob.digest}", blob.data, SENT).expect(201)
        place.follow("POST", f"/v2/once/anony/mous/blobs/uploads/?mount={blob.digest}", b"").expect(201)
        fresh = place.follow("POST", f"/v2/once/some/thing/blobs/uploads/?mount={blob.digest}", b"").expect(202)
        place.follow("DELETE", fresh.headers["Location"]).expect(204)

    def test_a_blob_named_by_sha512(self, place: Place) -> None:
        blob = octets(100, 16)
        digest = sha512(blob.data)
        place.ask("POST", "mount/512", f"blobs/uploads/?digest={digest}", blob.data, SENT).expect(201)
        source = f"{place.prefix}mount/512"
        place.ask("POST", "mount/512b", f"blobs/uploads/?mount={digest}&from={source}", b"").expect(201)
        place.check_blob("mount/512b", digest, blob.data)

    def test_a_repository_of_policy_deny_takes_no_mount(self, both: dict[str, Place]) -> None:
        place, blob = both["by path"], octets(100, 17)
        place.ask("POST", "deny/from", f"blobs/uploads/?digest={blob.digest}", blob.data, SENT).expect(201)
        answer = place.follow("POST", f"/v2/shut/deny/to/blobs/uploads/?mount={blob.digest}&from=open/deny/from", b"")
        assert (answer.status, answer.code) == (403, "DENIED")


def test_deleting_a_blob(place: Place, server: Pierhead) -> None:
    blob = octets(500, 18)
    place.ask("POST", "del/ete", f"blobs/uploads/?digest={blob.digest}", blob.data, SENT).expect(201)
    admin = Place(server.wire("main"), "open/")
    admin.ask("DELETE", "del/ete", f"blobs/{blob.digest}").expect(202)
    again = admin.ask("DELETE", "del/ete", f"blobs/{blob.digest}")
    assert (again.status, again.code) == (404, "BLOB_UNKNOWN")
    missing = place.ask("GET", "del/ete", f"blobs/{blob.digest}")
    assert (missing.status, missing.code) == (404, "BLOB_UNKNOWN")
    head = place.ask("HEAD", "del/ete", f"blobs/{blob.digest}")
    assert (head.status, head.body) == (404, b"")
    # What was deleted can be pushed again.
    place.ask("POST", "del/ete", f"blobs/uploads/?digest={blob.digest}", blob.data, {"Content-Type": OCTETS}).expect(
        201
    )
    place.check_blob("del/ete", blob.digest, blob.data)
