"""Hostile uploads and mounts: rows 33 to 57 of the table, over a real socket, with nothing left behind."""

from __future__ import annotations

import ast
import hashlib
import socket
import threading
import time
from pathlib import Path

import pytest

import pierhead
from tests.peers.images import Blob, random_bytes, sha256
from tests.peers.processes import LOOPBACK, wait_until
from tests.promises.ground import (
    ALICE,
    BLOB_BYTES_MAX,
    BOB,
    MIB,
    READER,
    UPLOADS_MAX,
    Ground,
    Heard,
    answers_in,
    chunked,
    read_all,
)

UPLOADS = "/v2/known/image/blobs/uploads/"
OCTETS = "application/octet-stream"
BOB_ONLY = Blob(b"bytes of bob's own repository", OCTETS)


def patch(ground: Ground, session: str, body: bytes, content_range: str | None = None, *, who: str = ALICE) -> Heard:
    headers = {} if content_range is None else {"Content-Range": content_range}
    return ground.ask("PATCH", session, body, headers, who=who)


def finish(
    ground: Ground, session: str, digest: str, body: bytes = b"", *, who: str = ALICE, port: str = "open"
) -> Heard:
    return ground.ask("PUT", f"{session}?digest={digest}", body, who=who, port=port)


@pytest.mark.parametrize(
    ("row", "what", "content_range"),
    [
        (33, "out of order", "100-104"),
        (34, "the same chunk twice", "0-9"),
        (35, "an overlap", "5-14"),
        (36, "a gap of one byte", "11-15"),
    ],
)
def test_a_chunk_that_does_not_begin_at_the_end_is_416_and_harms_nothing(
    row: int, what: str, content_range: str, unharmed: Ground
) -> None:
    del row, what
    session, first, second = unharmed.begin(), b"0123456789", b"abcde"
    assert patch(unharmed, session, first, "0-9").headers["Range"] == "0-9"
    start, end = map(int, content_range.split("-"))
    heard = patch(unharmed, session, b"x" * (end - start + 1), content_range)
    assert heard.is_one_of("416 BLOB_UPLOAD_INVALID")
    assert heard.headers["Range"] == "0-9"
    assert heard.headers["Location"] == session
    assert "begins at 10" in heard.message
    last = finish(unharmed, session, sha256(first + second), b"x" * (end - start + 1))
    assert last.status == 400  # other bytes: nothing was taken of the refused chunk, and the session is over now
    session = unharmed.begin()
    assert patch(unharmed, session, first, "0-9").status == 202
    assert patch(unharmed, session, b"x" * (end - start + 1), content_range).status == 416
    assert patch(unharmed, session, second, "10-14").status == 202
    assert finish(unharmed, session, sha256(first + second)).status == 201
    assert unharmed.wire().get_blob("known/image", sha256(first + second)).body == first + second


@pytest.mark.parametrize(
    "content_range",
    ["5-4", "0--1", "bytes 0-4/*", "bytes 0-4/5", "0-5,7-9", f"0-{2**64}", f"{2**64}-{2**64 + 4}", "", "0", "-", "a-b"],
)
def test_row_37_a_range_that_is_none_is_400(content_range: str, unharmed: Ground) -> None:
    session = unharmed.begin()
    assert patch(unharmed, session, b"hello", content_range).is_one_of("400 BLOB_UPLOAD_INVALID")
    assert unharmed.ask("GET", session).headers["Range"] == "0-0"
    assert finish(unharmed, session, sha256(b"hello"), b"hello").status == 201


@pytest.mark.parametrize("content_range", ["0-5", "0-3"])
def test_row_38_a_range_of_another_length_than_the_body_is_400(content_range: str, unharmed: Ground) -> None:
    session = unharmed.begin()
    assert patch(unharmed, session, b"hello", content_range).is_one_of("400 SIZE_INVALID")
    streamed = unharmed.head(
        "PATCH", session, {"Transfer-Encoding": "chunked", "Content-Range": content_range, "Connection": "close"}
    )
    [heard] = answers_in(unharmed.say(streamed + chunked(b"he", b"llo")))
    assert heard.is_one_of("400 SIZE_INVALID")
    held = int(unharmed.ask("GET", session).headers["Range"].removeprefix("0-"))
    assert held < 5, "the session tells what it has of a chunk that lied, and goes on"
    assert unharmed.ask("DELETE", session).status == 204


def test_row_39_what_came_before_a_disconnect_is_kept_and_told_exactly(unharmed: Ground) -> None:
    session, data = unharmed.begin(), random_bytes(700_000, 39)
    head = unharmed.head("PATCH", session, {"Content-Length": str(len(data))})
    with socket.create_connection((LOOPBACK, unharmed.server.port("open"))) as line:
        line.sendall(head + data[:400_000])
    answer = unharmed.ask("GET", session)

    def resumed() -> bool:
        nonlocal answer
        range_ = answer.headers["Range"]
        held = 0 if range_ == "0-0" else int(range_.removeprefix("0-")) + 1
        assert held <= 400_000
        answer = patch(unharmed, session, data[held:], f"{held}-{len(data) - 1}")
        return answer.status == 202

    wait_until(resumed, 10, "the upload goes on from where it says that it ended")
    assert finish(unharmed, session, sha256(data)).status == 201
    assert unharmed.wire().get_blob("known/image", sha256(data)).body == data


def test_row_40_a_wrong_digest_leaves_nothing(unharmed: Ground) -> None:
    for data in (b"small", random_bytes(2 * MIB, 40)):
        session, wrong = unharmed.begin(), sha256(b"something else")
        heard = finish(unharmed, session, wrong, data)
        assert heard.is_one_of("400 DIGEST_INVALID")
        assert sha256(data) in heard.message
        for digest in (wrong, sha256(data)):
            assert unharmed.ask("HEAD", f"/v2/known/image/blobs/{digest}").status == 404
        assert unharmed.ask("GET", session).is_one_of("404 BLOB_UPLOAD_UNKNOWN")
        assert not unharmed.uploads()
        assert unharmed.ask("POST", f"{UPLOADS}?digest={wrong}", data).is_one_of("400 DIGEST_INVALID")
        assert not unharmed.uploads()


def test_row_41_a_put_needs_one_digest(unharmed: Ground) -> None:
    session, one = unharmed.begin(), sha256(b"hello")
    for query in ("", "?digest=", "?x=1", f"?digest={one}&digest={one}", f"?digest={one}&digest={sha256(b'other')}"):
        assert unharmed.ask("PUT", session + query, b"hello").is_one_of("400 DIGEST_INVALID"), query
    assert finish(unharmed, session, one, b"hello").status == 201


def test_row_42_a_put_whose_answer_was_lost_is_answered_again(unharmed: Ground) -> None:
    session, data = unharmed.begin(), b"answered twice"
    first = finish(unharmed, session, sha256(data), data)
    again = finish(unharmed, session, sha256(data), data)
    assert first.status == again.status == 201
    assert first.headers["Location"] == again.headers["Location"]
    assert finish(unharmed, session, sha256(b"other"), data).is_one_of("404 BLOB_UPLOAD_UNKNOWN")
    assert finish(unharmed, session, sha256(data), data, who=BOB).is_one_of("404 BLOB_UPLOAD_UNKNOWN")
    assert patch(unharmed, session, data).is_one_of("404 BLOB_UPLOAD_UNKNOWN")


def test_row_43_an_upload_belongs_to_account_image_and_repository(unharmed: Ground) -> None:
    session = unharmed.begin()
    upload = session.rpartition("/")[2]
    assert patch(unharmed, session, b"hello").status == 202
    places = [
        (session, BOB, "open"),
        (session, "admin", "open"),
        (session, ALICE, "once"),
        (f"/v2/other/image/blobs/uploads/{upload}", ALICE, "open"),
        (f"/v2/once/known/image/blobs/uploads/{upload}", ALICE, "main"),
    ]
    for place, who, port in places:
        for method in ("GET", "PATCH", "DELETE"):
            heard = unharmed.ask(method, place, b"", who=who, port=port)
            assert heard.is_one_of("404 BLOB_UPLOAD_UNKNOWN"), (method, place, who, port)
        assert finish(unharmed, place, sha256(b"hello"), who=who, port=port).is_one_of("404 BLOB_UPLOAD_UNKNOWN")
    # By path it is the same repository, and so the same upload.
    assert unharmed.ask("GET", f"/v2/open{session[3:]}", port="main").headers["Range"] == "0-4"
    assert unharmed.ask("GET", session, who=READER).status == 403
    assert unharmed.ask("DELETE", session).status == 204


def test_row_44_an_upload_has_no_state_that_could_be_forged(unharmed: Ground) -> None:
    session = unharmed.begin()
    assert "?" not in session
    assert patch(unharmed, f"{session}?_state=eyJPZmZzZXQiOjk5fQ==", b"hello").headers["Range"] == "0-4"
    flipped = session[:-1] + ("0" if session[-1] != "0" else "1")
    assert unharmed.ask("GET", flipped).is_one_of("404 BLOB_UPLOAD_UNKNOWN")
    assert unharmed.ask("DELETE", session).status == 204


def test_row_45_nothing_in_the_program_can_unpickle() -> None:
    imported = set()
    for path in Path(pierhead.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            imported |= {*names, *([node.module or ""] if isinstance(node, ast.ImportFrom) else [])}
    assert not {"pickle", "marshal", "shelve", "dill", "copyreg"} & imported


def test_row_46_of_two_patches_at_once_one_is_taken_and_one_is_416(unharmed: Ground) -> None:
    session, data = unharmed.begin(), random_bytes(300_000, 46)
    head = unharmed.head("PATCH", session, {"Content-Length": str(len(data)), "Connection": "close"})
    with socket.create_connection((LOOPBACK, unharmed.server.port("open"))) as slow:
        slow.sendall(head + data[:200_000])
        wait_until(lambda: len(unharmed.uploads()) == 1, 10, "the first holds the session")
        second = patch(unharmed, session, data)
        slow.sendall(data[200_000:])
        [first] = answers_in(read_all(slow))
    taken, refused = sorted((first, second), key=lambda heard: heard.status)
    assert refused.is_one_of("416 BLOB_UPLOAD_INVALID")
    assert refused.headers["Location"] == session
    assert taken.status == 202
    assert taken.headers["Range"] == "0-299999"
    assert finish(unharmed, session, sha256(data)).status == 201


@pytest.mark.parametrize("size", [100, 20_000], ids=["small", "larger"])
def test_row_46_patches_that_race_add_up_to_what_the_answers_say(size: int, unharmed: Ground) -> None:
    session, taken, lock = unharmed.begin(), [0], threading.Lock()

    def push(number: int) -> None:
        heard = patch(unharmed, session, bytes([number]) * size)
        assert heard.status in (202, 416)
        with lock:
            taken[0] += heard.status == 202

    threads = [threading.Thread(target=push, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken[0] >= 1
    assert unharmed.ask("GET", session).headers["Range"] == f"0-{size * taken[0] - 1}"
    assert unharmed.ask("DELETE", session).status == 204


def test_row_47_an_account_has_a_bounded_number_of_uploads(unharmed: Ground) -> None:
    wire = unharmed.wire(BOB)
    opened = [wire.upload_start("known/image") for _ in range(UPLOADS_MAX)]
    refused = wire.request("POST", UPLOADS, b"")
    assert (refused.status, refused.code) == (429, "TOOMANYREQUESTS")
    assert int(refused.headers["Retry-After"]) > 0
    assert str(UPLOADS_MAX) in refused.message
    # Others go on, and so does this account with what it has, or with blobs that need no session.
    unharmed.push_blob(Blob(b"alice goes on", OCTETS))
    assert wire.request("POST", f"{UPLOADS}?digest={sha256(b'whole')}", b"whole").status == 201
    for session in opened:
        wire.request("DELETE", session).expect(204)
    wire.request("DELETE", wire.upload_start("known/image")).expect(204)


def test_row_48_an_endless_body_ends_at_the_largest_blob(unharmed: Ground) -> None:
    session = unharmed.begin()
    for target, method in ((session, "PATCH"), (f"{UPLOADS}?digest={sha256(b'x')}", "POST")):
        head = unharmed.head(method, target, {"Transfer-Encoding": "chunked"})
        pieces = [b"x" * (256 * 1024)] * (BLOB_BYTES_MAX // (256 * 1024) + 8)
        [heard] = answers_in(unharmed.say(head + chunked(*pieces, end=False)))
        assert heard.is_one_of("413 SIZE_INVALID")
        wait_until(lambda: not unharmed.uploads(), 5, "nothing is left of it")
    assert unharmed.ask("GET", session).is_one_of("404 BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_row_49_encoded_bodies_are_not_taken(method: str, unharmed: Ground) -> None:
    session, digest = unharmed.begin(), sha256(b"hello")
    target = {"POST": f"{UPLOADS}?digest={digest}", "PATCH": session, "PUT": f"{session}?digest={digest}"}[method]
    assert unharmed.ask(method, target, b"hello", {"Content-Encoding": "gzip"}).is_one_of("415 UNSUPPORTED")
    assert unharmed.ask("DELETE", session).status == 204


def test_row_50_who_waits_to_send_hears_a_refusal_before_sending(unharmed: Ground) -> None:
    session, huge = unharmed.begin(), str(BLOB_BYTES_MAX + 1)
    waits = {"Expect": "100-continue", "Content-Length": huge}
    for who, wanted in (("", "401 UNAUTHORIZED"), (READER, "403 DENIED"), (ALICE, "413 SIZE_INVALID")):
        said = unharmed.say(unharmed.head("PATCH", session, waits, who))
        assert b"100 Continue" not in said
        [heard] = answers_in(said)
        assert heard.is_one_of(wanted)
    # The last one was alice's own, and ended the session.
    session = unharmed.begin()
    waits["Content-Length"] = "5"
    with socket.create_connection((LOOPBACK, unharmed.server.port("open"))) as line:
        line.sendall(unharmed.head("PATCH", session, {**waits, "Connection": "close"}))
        assert line.recv(1024).startswith(b"HTTP/1.1 100 ")
        line.sendall(b"hello")
        assert answers_in(read_all(line))[0].status == 202
    assert unharmed.ask("DELETE", session).status == 204


def test_row_51_an_empty_body_is_the_empty_blob_and_no_other(unharmed: Ground) -> None:
    empty = sha256(b"")
    assert unharmed.ask("POST", f"{UPLOADS}?digest={sha256(b'hello')}").is_one_of("400 DIGEST_INVALID")
    assert unharmed.ask("POST", f"{UPLOADS}?digest={empty}").status == 201
    read = unharmed.ask("GET", f"/v2/known/image/blobs/{empty}")
    assert (read.status, read.body, read.headers["Content-Length"]) == (200, b"", "0")
    assert finish(unharmed, unharmed.begin(), empty).status == 201


def test_row_52_a_mount_of_what_may_not_be_read_looks_like_a_mount_of_nothing(unharmed: Ground) -> None:
    unharmed.push_blob(BOB_ONLY, "bobs/image", BOB)
    sources = ["nobodys/image", "nosuch/known/image", "shut/bobs/image", "../../bobs/image", "UPPER", ""]
    for source in sources:
        heard = unharmed.ask("POST", f"{UPLOADS}?mount={BOB_ONLY.digest}&from={source}")
        assert heard.status == 202, source
        assert heard.body == b""
        assert unharmed.ask("DELETE", heard.headers["Location"]).status == 204
    assert unharmed.ask("HEAD", f"/v2/known/image/blobs/{BOB_ONLY.digest}").status == 404


def test_row_53_a_mount_without_a_source_gives_what_the_same_image_has_elsewhere(unharmed: Ground) -> None:
    unharmed.push_blob(BOB_ONLY, "bobs/image", BOB)
    heard = unharmed.ask("POST", f"{UPLOADS}?mount={BOB_ONLY.digest}")
    assert heard.status == 202
    assert unharmed.ask("DELETE", heard.headers["Location"]).status == 204
    elsewhere = unharmed.ask("POST", f"/v2/bobs/image/blobs/uploads/?mount={BOB_ONLY.digest}", port="once")
    assert elsewhere.status == 201
    assert elsewhere.headers["Docker-Content-Digest"] == BOB_ONLY.digest


def test_row_54_a_mount_of_no_digest_is_400(unharmed: Ground) -> None:
    for digest in ("sha256:12", "x", "", f"sha256:{'A' * 64}"):
        assert unharmed.ask("POST", f"{UPLOADS}?mount={digest}&from=known/image").is_one_of("400 DIGEST_INVALID")


def test_row_57_a_blob_that_was_deleted_stays_deleted_whoever_else_has_it(unharmed: Ground) -> None:
    blob = Blob(b"held by two, deleted by one", OCTETS)
    for name in ("first/image", "second/image"):
        unharmed.push_blob(blob, name)
    assert unharmed.ask("DELETE", f"/v2/first/image/blobs/{blob.digest}", who="admin").status == 202
    for _ in range(3):
        assert unharmed.ask("HEAD", f"/v2/second/image/blobs/{blob.digest}").status == 200
        assert unharmed.ask("GET", f"/v2/first/image/blobs/{blob.digest}").is_one_of("404 BLOB_UNKNOWN")
        assert unharmed.ask("HEAD", f"/v2/first/image/blobs/{blob.digest}").status == 404


def test_row_26_a_sha512_session_ends_with_either_algorithm(unharmed: Ground) -> None:
    data = b"two algorithms"
    for digest in (f"sha512:{hashlib.sha512(data).hexdigest()}", sha256(data)):
        session = unharmed.ask("POST", f"{UPLOADS}?digest-algorithm=sha512").headers["Location"]
        assert patch(unharmed, session, data).status == 202
        began = time.monotonic()
        assert finish(unharmed, session, digest).status == 201
        assert time.monotonic() - began < 5
