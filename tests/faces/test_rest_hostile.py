"""Whatever is asked of REST: never a 500, always a document, and a connection that goes on."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.peers.images import Blob, image
from tests.peers.pierhead import Pierhead, house
from tests.peers.processes import LOOPBACK

WORDS = (
    "api v1 v2 repositories docker-hosted-dev docker-group images tags manifests history - status gc storage upstreams"
)
NASTY = "a a/b . .. %2e%2e %2F %00 %0d%0a %ff % %zz latest %c3%a9 ~ a;b a@b *"
DIGESTS = ["sha256:" + "0" * 64, "sha256:" + "a" * 63, "sha512:" + "0" * 128]
PIECES = st.sampled_from([*WORDS.split(), *NASTY.split(), *DIGESTS, "", "x" * 300])
QUERIES = st.lists(
    st.tuples(
        st.sampled_from(["limit", "cursor", "prefix", "x", "", "%00", "limit[]"]),
        st.sampled_from(
            ["", "1", "-1", "1e3", "%00", "%ff", "AAAA", "_w", "a" * 3000, "%c3%a9", "'; drop table tags; --"]
        ),
    ),
    max_size=4,
)
METHODS = st.sampled_from(["GET", "HEAD", "DELETE", "POST", "PUT", "PATCH", "OPTIONS"])


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(house()) as started:
        with started.wire("docker-hosted-dev") as wire:
            wire.push("a/b", "latest", image(seed=1))
        yield started


@settings(max_examples=400)
@given(method=METHODS, parts=st.lists(PIECES, max_size=9), query=QUERIES)
def test_any_address_gets_an_answer_that_is_no_500(
    server: Pierhead, method: str, parts: list[str], query: list[tuple[str, str]]
) -> None:
    target = "/api/v1/" + "/".join(parts)
    if query:
        target += "?" + "&".join(f"{name}={value}" for name, value in query).replace(" ", "+")
    with server.wire() as wire:
        answer = wire.request(method, target)
        assert answer.status < 500, (method, target, answer.body)
        if method != "HEAD":
            document = json.loads(answer.body)
            assert isinstance(document, dict)
        assert wire.request("GET", "/api/v1/status").status == 200


@pytest.mark.parametrize(
    "raw", [b"\xe9", b"\xc3\xa9", b"\xff/x", b"repositories/\xed\xa0\x80", b"status?x=\xff", b'"<>']
)
def test_bytes_that_no_address_should_have_get_a_problem_document(server: Pierhead, raw: bytes) -> None:
    with server.wire() as wire:
        authorization = wire._authorization.encode()
    request = b"GET /api/v1/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: %s\r\n\r\n" % (
        raw,
        authorization,
    )
    with socket.create_connection((LOOPBACK, server.port()), 10) as line:
        line.sendall(request)
        answer = b"".join(iter(lambda: line.recv(4096), b""))
    assert answer.split()[1] in (b"400", b"404"), answer
    json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    "config",
    [
        b"not json",
        b"[]",
        b"null",
        b"{" * 5_000,
        b'{"config": 7, "os": ["x"], "created": {}, "architecture": 1e999}',
        b'{"config": {"Labels": {"a": 1, "b": "\\ud800"}, "Entrypoint": "sh", "Cmd": [1, null, "x"]}}',
        b'{"os": "\\ud83d", "architecture": "\\u0000\\u001b[31m"}',
        b"\xff\xfe",
    ],
)
def test_a_config_that_is_none_is_told_as_nothing(server: Pierhead, config: bytes) -> None:
    template = image(seed=2)
    blob = Blob(config, template.config.media_type)
    manifest = json.loads(template.manifest.data)
    manifest["config"] = blob.descriptor()
    with server.wire("docker-hosted-dev") as wire:
        for one in (*template.layers, blob):
            wire.push_blob("odd/config", one)
        odd = Blob(json.dumps(manifest).encode(), template.manifest.media_type)
        wire.put_manifest("odd/config", "1", odd).expect(201)
    with server.wire() as wire:
        target = "/api/v1/repositories/docker-hosted-dev/images/odd/config/-/tags/1"
        told = wire.request("GET", target).expect(200).json()
        assert wire.request("GET", "/api/v1/status").status == 200
    assert told["config"]["digest"] == blob.digest
    code, _, err = server.run_command("inspect", "docker-hosted-dev/odd/config:1")
    assert (code, err) == (0, "")
