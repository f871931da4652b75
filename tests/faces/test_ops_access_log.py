"""The access log of a running server: what a line tells, and what it must not."""

from __future__ import annotations

import base64
import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pierhead.faces.ops.access_log import plain
from tests.peers.fixtures import StartPierhead
from tests.peers.images import image
from tests.peers.pierhead import PASSWORDS, Pierhead, house
from tests.peers.processes import LOOPBACK, wait_until

SECRET = "s3cr3t-canary"


@pytest.fixture(scope="module")
def as_json() -> Iterator[Pierhead]:
    with Pierhead(house(log={"format": "json"})) as server:
        yield server


def entries(server: Pierhead, request_id: str) -> list[dict[str, Any]]:
    lines = [line for line in server.log.splitlines() if line.startswith("{") and request_id in line]
    return [one for one in map(json.loads, lines) if one.get("request_id") == request_id]


def entry(server: Pierhead, request_id: str) -> dict[str, Any]:
    wait_until(lambda: bool(entries(server, request_id)), 10, f"a line of {request_id}")
    (found,) = entries(server, request_id)
    return found


def test_a_pull_through_the_group_tells_who_what_how_much_and_which_member(as_json: Pierhead) -> None:
    pushed = image(seed=40)
    with as_json.wire("docker-hosted-dev", "svc-orchestrator") as wire:
        wire.push("logged/app", "1", pushed)
    headers = {"X-Request-Id": "pull-1", "User-Agent": "docker/26.1", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    with as_json.wire("docker-group", "svc-deploy") as wire:
        wire.request("GET", "/v2/logged/app/manifests/1", headers=headers).expect(200)
    told = entry(as_json, "pull-1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told.pop("ts"))
    assert 0 < told.pop("duration_ms") < 60_000
    assert told == {
        "level": "info",
        "event": "request",
        "request_id": "pull-1",
        "remote_addr": LOOPBACK,
        "user": "svc-deploy",
        "method": "GET",
        "path": "/v2/logged/app/manifests/1",
        "status": 200,
        "bytes_in": 0,
        "bytes_out": pushed.manifest.size,
        "repository": "docker-group",
        "user_agent": "docker/26.1",
        "member": "docker-hosted-dev",
        "image": "logged/app",
        "trace_id": "ab" * 16,
    }


def test_a_push_tells_the_bytes_that_came_and_a_refusal_its_name(as_json: Pierhead) -> None:
    pushed = image(seed=41)
    with as_json.wire("main", "admin") as wire:
        wire.push("docker-hosted-uat/logged/once", "1", pushed)
        other = image(seed=42)
        for blob in other.blobs:
            wire.push_blob("docker-hosted-uat/logged/once", blob)
        headers = {"Content-Type": other.manifest.media_type, "X-Request-Id": "push-2"}
        answer = wire.request("PUT", "/v2/docker-hosted-uat/logged/once/manifests/1", other.manifest.data, headers)
    assert answer.status == 409
    assert answer.headers["X-Request-Id"] == "push-2"
    told = entry(as_json, "push-2")
    assert (told["status"], told["refused"], told["bytes_in"]) == (409, "TagWrittenOnce", other.manifest.size)


def test_no_credential_of_any_kind_comes_into_a_log(as_json: Pierhead) -> None:
    basic = base64.b64encode(f"admin:{SECRET}".encode()).decode()
    asked = [
        ("/v2/", {"Authorization": f"Basic {basic}"}),
        ("/v2/", {"Authorization": f"Bearer {SECRET}"}),
        (f"/v2/?token={SECRET}&password={SECRET}&X-Amz-Signature={SECRET}", {}),
        (f"/api/v1/status?secret={SECRET}&{SECRET}=1", {}),
        (f"/v2/a/blobs/uploads/x?_state={SECRET}&digest=sha256:00", {"Cookie": f"session={SECRET}"}),
    ]
    with as_json.wire(username="") as wire:
        for number, (target, headers) in enumerate(asked):
            wire.request("GET", target, headers={**headers, "X-Request-Id": f"canary-{number}"})
    for number in range(len(asked)):
        told = entry(as_json, f"canary-{number}")
        assert SECRET not in json.dumps({**told, "path": told["path"].replace(f"&{SECRET}=", "")})
    assert entry(as_json, "canary-4")["path"].endswith("?_state=…&digest=sha256:00")
    log = as_json.log
    assert basic not in log
    assert not [password for password in (*PASSWORDS.values(), as_json.admin_password) if password in log]


def test_probes_that_are_answered_are_left_out_and_other_requests_are_not(as_json: Pierhead) -> None:
    with as_json.wire(username="") as wire:
        wire.request("GET", "/health", headers={"X-Request-Id": "probe-1"}).expect(200)
        wire.request("GET", "/", headers={"X-Request-Id": "probe-2"}).expect(200)
    entry(as_json, "probe-2")
    assert not entries(as_json, "probe-1")


def test_text_lines_are_nginx_combined_with_fields_behind(start_pierhead: StartPierhead) -> None:
    server = start_pierhead()
    with server.wire("main", "svc-deploy") as wire:
        wire.request(
            "GET", "/api/v1/status", headers={"X-Request-Id": "text-1", "User-Agent": "curl/8", "Referer": "r"}
        )
    server.wait_for_log("request_id=text-1")
    (line,) = [line for line in server.log.splitlines() if "request_id=text-1" in line]
    assert re.fullmatch(
        r"127\.0\.0\.1 - svc-deploy \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "
        r'"GET /api/v1/status HTTP/1\.1" 200 \d+ "r" "curl/8" \d\.\d{4} request_id=text-1',
        line,
    )


def test_a_client_cannot_forge_a_line_or_a_field(start_pierhead: StartPierhead) -> None:
    server = start_pierhead()
    request = (
        b'GET /v2/%0aforged" HTTP/1.1\r\nHost: x\r\nX-Request-Id: forge-1\r\nConnection: close\r\n'
        b'User-Agent: a" 200 "\t\xff\xe2\x80\xae forged\r\nReferer: \\"\r\n\r\n'
    )
    with socket.create_connection((LOOPBACK, server.port())) as line:
        line.sendall(request)
        while line.recv(4096):
            pass
    wait_until(lambda: "forged" in server.log, 10, "the line of the forged request")
    told = [line for line in server.log.splitlines() if "forged" in line]
    assert len(told) == 1
    assert told[0].isprintable()
    assert len(re.findall(r'(?<!\\)"', told[0])) == 6, told[0]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é", "plain é"),
        ('a"b', "a\\x22b"),
        ("a\\b", "a\\x5Cb"),
        ("a\nb\r\x00", "a\\x0Ab\\x0D\\x00"),
        ("\udcff", "\\xFF"),
        ("\u202e", "\\xE2\\x80\\xAE"),
        ("\ud800", "\\x3F"),
    ],
)
def test_what_does_not_print_is_escaped(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_the_servers_own_log_has_the_same_form(start_pierhead: StartPierhead) -> None:
    server = start_pierhead(house(log={"format": "json"}), environment={"SVC_ORCHESTRATOR_PASSWORD": ""})
    server.wait_for_log('"level": "warning"')
    told = [json.loads(line) for line in server.log.splitlines() if '"level": "warning"' in line]
    assert any("svc-orchestrator" in one["event"] for one in told)
    assert all(one["ts"].endswith("Z") and one["logger"].startswith("pierhead") for one in told)


def test_nobody_waits_for_whoever_does_not_read_the_log(tmp_path: Path) -> None:
    server = Pierhead(house(), tmp_path)
    command, environment = list(server.command()), server.environment()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        try:
            wait_until(lambda: server.health() == 200, 20, "the server is ready")
            with server.wire("main") as wire:
                for _ in range(1500):
                    wire.request("GET", "/v2/", headers={"User-Agent": "x" * 390}).expect(200)
            process.terminate()
            assert process.wait(15) == 0
        finally:
            process.kill()
