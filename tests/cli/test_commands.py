"""Commands against a running server: tables for people, documents for programs, one line for a fault."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.peers.images import artifact, image, index
from tests.peers.pierhead import Pierhead, house
from tests.peers.wire import Wire

OTHER = {"PIERHEAD_USER": "svc-deploy", "PIERHEAD_PASSWORD": "deploy-secret-1"}


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(house("http://127.0.0.1:9")) as started:
        with started.wire("docker-hosted-dev") as wire:
            for number in range(3):
                wire.push("orchestrator/server", f"1.{number}.0", image(seed=number))
            wire.push("orchestrator/ui", "latest", index({"linux/amd64": image(seed=5), "linux/arm64": image(seed=6)}))
            signed = artifact(image(seed=1))
            wire.push("orchestrator/server", signed.digest, signed)
        yield started


def run(server: Pierhead, *args: str, **environment: str) -> str:
    """What a command prints; it has to end well and to leave standard error alone."""
    code, out, err = server.run_command(*args, environment=environment)
    assert (code, err) == (0, ""), (out, err)
    return out


def document(server: Pierhead, *args: str) -> Any:
    return json.loads(run(server, *args, "-o", "json"))


def refused(server: Pierhead, *args: str, **environment: str) -> tuple[str, str]:
    """Standard output, and the one line on standard error."""
    ended, out, err = server.run_command(*args, environment=environment)
    assert ended == 1, (ended, out, err)
    assert err.count("\n") == 1, err
    return out, err.strip()


def rest(server: Pierhead, path: str) -> Any:
    with server.wire() as wire:
        return wire.request("GET", f"/api/v1{path}").expect(200).json()


def test_status_tells_ports_storage_and_upstreams(server: Pierhead) -> None:
    out = run(server, "status")
    assert f"at {server.url()}: ready." in out
    assert "you are admin" in out
    assert server.address("docker-hosted-dev") in out
    assert "4 tags of 2 images" in out
    assert "docker-proxy-dockerhub" in out
    less = run(server, "status", **OTHER)
    assert "you are svc-deploy" in less
    assert "Storage" not in less


def test_an_upstream_that_does_not_answer_shows_in_status(server: Pierhead) -> None:
    assert "not asked yet" in run(server, "status")
    with server.wire("docker-group") as wire:
        wire.get_manifest("nowhere/app", "1")
        once = run(server, "status")
        assert "fails" in once
        assert "! docker-proxy-dockerhub: connection refused" in once
        for number in range(4):
            wire.get_manifest(f"nowhere/app-{number}", "1")
    out = run(server, "status")
    assert "does not answer since 20" in out
    assert "next try 20" in out


def test_tables_in_a_pipe_have_every_column_and_whole_digests(server: Pierhead) -> None:
    lines = run(server, "tags", "orchestrator/server").splitlines()
    assert lines[0].split() == ["TAG", "DIGEST", "SIZE", "SINCE", "LAST", "PULL", "BY", "IN", "TYPE", "RULE"]
    assert [line.split()[:2] for line in lines[1:]] == [[f"1.{n}.0", image(seed=n).digest] for n in range(3)]
    assert "\033" not in "".join(lines)
    images = run(server, "images").splitlines()
    assert [line.split()[:2] for line in images[1:]] == [
        ["orchestrator/server", "docker-hosted-dev"],
        ["orchestrator/ui", "docker-hosted-dev"],
    ]
    assert len(run(server, "repositories").splitlines()) == 6


@pytest.mark.parametrize(
    ("args", "path"),
    [
        (("repositories",), "/repositories"),
        (("images", "docker-group"), "/repositories/docker-group/images"),
        (("tags", "orchestrator/server"), "/repositories/docker-group/images/orchestrator/server/-/tags"),
        (("inspect", "docker-hosted-dev/orchestrator/ui"),
         "/repositories/docker-hosted-dev/images/orchestrator/ui/-/tags/latest"),
        (("inspect", f"orchestrator/server@{image(seed=1).digest}"),
         f"/repositories/docker-group/images/orchestrator/server/-/manifests/{image(seed=1).digest}"),
        (("tag", "history", "orchestrator/ui:latest"),
         "/repositories/docker-group/images/orchestrator/ui/-/tags/latest/history"),
        (("gc", "--dry-run"), "/gc"),
    ],
)  # fmt: skip
def test_json_is_what_the_route_answers(server: Pierhead, args: tuple[str, ...], path: str) -> None:
    assert document(server, *args) == rest(server, path)


def test_json_of_a_long_list_has_all_its_pages_joined(server: Pierhead) -> None:
    pushed = image(seed=9)
    with server.wire("docker-hosted-dev") as wire:
        for blob in pushed.blobs:
            wire.push_blob("long/list", blob)
        for first in range(0, 520, 20):
            tags = "&".join(f"tag=t{number:04}" for number in range(first, first + 20))
            headers = {"Content-Type": pushed.manifest.media_type}
            target = f"/v2/long/list/manifests/{pushed.digest}?{tags}"
            wire.request("PUT", target, pushed.manifest.data, headers).expect(201)
    told = document(server, "tags", "long/list")
    assert [item["name"] for item in told["items"]] == [f"t{number:04}" for number in range(520)]
    assert told["next"] is None
    assert len(document(server, "tags", "long/list", "--prefix", "t000")["items"]) == 10


def test_inspect_shows_an_image_to_people(server: Pierhead) -> None:
    out = run(server, "inspect", "orchestrator/server:1.1.0")
    for wanted in (image(seed=1).digest, "linux/amd64", "by admin", "seed=1", "application/vnd.example.signature.v1"):
        assert wanted in out
    platforms = run(server, "inspect", "orchestrator/ui")
    assert "linux/arm64" in platforms
    assert image(seed=6).digest in platforms


def test_delete_wants_the_repository_said_and_deletes_what_is_named(server: Pierhead) -> None:
    with server.wire("docker-hosted-dev") as wire:
        wire.push("doomed/app", "1", image(seed=10))
        wire.push("doomed/app", "2", image(seed=10))
        _, line = refused(server, "delete", "doomed/app:1")
        assert "REPOSITORY/doomed/app" in line
        assert wire.get_manifest("doomed/app", "1").status == 200
        out = run(server, "delete", "docker-hosted-dev/doomed/app:1")
        assert out == "docker-hosted-dev/doomed/app:1 is deleted.\n"
        assert wire.get_manifest("doomed/app", "1").status == 404
        run(server, "delete", f"doomed/app@{image(seed=10).digest}", "--repository", "docker-hosted-dev")
        assert wire.get_manifest("doomed/app", "2").status == 404


def test_gc_says_what_it_did_and_what_is_left(server: Pierhead) -> None:
    assert "Nothing refers to" in run(server, "gc", "--dry-run")
    assert "Nothing refers to" in run(server, "gc")
    assert document(server, "gc")["outcome"] in ("idle", "worked")


def test_health_needs_no_account(server: Pierhead) -> None:
    assert run(server, "health", PIERHEAD_USER="", PIERHEAD_PASSWORD="") == "ok\n"


@pytest.mark.parametrize(
    ("args", "environment", "words"),
    [
        (("status",), {"PIERHEAD_USER": ""}, "PIERHEAD_USER and PIERHEAD_PASSWORD"),
        (("status",), {"PIERHEAD_PASSWORD": "wrong"}, "Name or password is wrong"),
        (("status",), {"PIERHEAD_PASSWORD": "wrong"}, "says to admin: "),
        (
            ("status",),
            {"PIERHEAD_PASSWORD": "wrong"},
            "Run `pierhead login`, or set PIERHEAD_USER and PIERHEAD_PASSWORD.",
        ),
        (("status",), {"PIERHEAD_SERVER": "http://127.0.0.1:9"}, "pierhead serve"),
        (("health",), {"PIERHEAD_SERVER": "http://127.0.0.1:9"}, "cannot be reached"),
        (("status",), {"PIERHEAD_SERVER": "127.0.0.1:8081"}, "http://127.0.0.1:8081"),
        (("status",), {"PIERHEAD_SERVER": "http://h:port"}, "no address of a server"),
        (("gc",), OTHER, "svc-deploy may not run tasks here. That needs the role `operator` or `admin`."),
        (("images", "No/Such"), {}, "cannot be a name"),
        (("images", "no-such"), {}, "There is no repository `no-such` here."),
        (("tags", "no/such"), {}, "no/such is not in docker-group."),
        (("inspect", "orchestrator/server:9"), {}, "`pierhead tags` lists those there are."),
        (("tag", "history", "orchestrator/server"), {}, "Say which tag"),
        (("inspect", "127.0.0.1:8444/hello/pier:1"), {}, "Leave out 127.0.0.1:8444: "),
        (("inspect", "127.0.0.1:8444/hello/pier:1"), {}, "such as hello/pier:1."),
        (("delete", "docker-hosted-dev/a:1@sha256:2"), {}, "Name the tag or the digest, not both: "),
        (("delete", "docker-group/orchestrator/server:1.0.0"), {}, "delete in the repository that holds the image"),
        (("delete", "docker-proxy-dockerhub/python:3"), {}, "is a proxy: what it keeps of its upstream stays."),
    ],
)
def test_a_fault_is_one_line_that_says_what_to_do(
    server: Pierhead, args: tuple[str, ...], environment: dict[str, str], words: str
) -> None:
    out, line = refused(server, *args, **environment)
    assert out == ""
    assert words in line


def test_a_fault_in_json_is_the_problem_document_beside_the_line(server: Pierhead) -> None:
    out, line = refused(server, "inspect", "orchestrator/server:9", "-o", "json")
    problem = json.loads(out)
    assert (problem["code"], problem["status"]) == ("manifest_unknown", 404)
    assert line.startswith(problem["message"])


def test_another_kind_of_server_is_told_from_pierhead(server: Pierhead) -> None:
    """The main port behind a path that it does not have."""
    _, line = refused(server, "status", PIERHEAD_SERVER=server.url("docker-group"))
    assert "--server" in line


@pytest.mark.parametrize(
    ("args", "status", "body", "words"),
    [
        (("health",), 200, b"<html>", "does not answer like Pierhead"),
        (("status",), 200, b'{"grafana": true}', "answers without 'ready'. It is another program than Pierhead"),
        (("repositories",), 200, b"{}", "answers without 'items'. It is another program than Pierhead"),
        (("repositories",), 502, b"<html>", "cannot reach it (status 502). Try again later."),
    ],
)
def test_another_program_and_a_proxy_are_told(
    server: Pierhead, args: tuple[str, ...], status: int, body: bytes, words: str
) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if body.startswith(b"{") else "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with HTTPServer(("127.0.0.1", 0), Other) as other:
        answering = threading.Thread(target=other.handle_request)
        answering.start()
        _, line = refused(server, *args, PIERHEAD_SERVER=f"http://127.0.0.1:{other.server_port}")
        answering.join()
    assert words in line


def test_a_plain_port_taken_for_one_with_tls_is_told(server: Pierhead) -> None:
    _, line = refused(server, "status", PIERHEAD_SERVER=server.url().replace("http:", "https:"))
    assert "begins with http://" in line
    assert "pierhead serve" not in line


def test_a_port_with_tls_taken_for_a_plain_one_is_told(server: Pierhead) -> None:
    """Such a port ends the connection when what comes is no handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def end_one() -> None:
            listening.accept()[0].close()

        ending = threading.Thread(target=end_one)
        ending.start()
        _, line = refused(server, "status", PIERHEAD_SERVER=f"http://127.0.0.1:{listening.getsockname()[1]}")
        ending.join()
    assert "begins with https://" in line
    assert "pierhead serve" not in line


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("args", [("status",), ("repositories", "-o", "json"), ("tags", "no/such", "-o", "json")])
def test_output_that_cannot_be_written_is_told_on_one_line(
    server: Pierhead, args: tuple[str, ...], unbuffered: str
) -> None:
    ended, err = in_a_shell(server, f"pierhead {' '.join(args)} > /dev/full", unbuffered)
    assert ended == 1
    assert err.splitlines()[-1] == "What this prints cannot be written: No space left on device."
    assert "Traceback" not in err
    assert "Exception" not in err


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_wants_no_more_and_a_closed_output_are_no_faults(server: Pierhead, unbuffered: str) -> None:
    assert in_a_shell(server, "pierhead status | true", unbuffered) == (0, "")
    assert in_a_shell(server, "pierhead status >&-", unbuffered) == (0, "")


def test_closed_standard_streams_are_not_taken_by_files_that_are_opened_later(tmp_path: Path) -> None:
    """Log lines would be written into them."""
    look = "pathlib.Path(sys.argv[1]).write_text(' '.join(os.readlink(f'/proc/self/fd/{n}') for n in range(3)))"
    program = f"import os, pathlib, sys; from pierhead.cli.main import stand_in; stand_in(); {look}"
    line = '"$0" -c "$1" "$2" <&- >&- 2>&-'
    subprocess.run(["bash", "-c", line, sys.executable, program, str(tmp_path / "seen")], check=True, timeout=60)
    assert (tmp_path / "seen").read_text() == "/dev/null /dev/null /dev/null"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("PIERHEAD_USER=$'\\xff' pierhead status", "has to be UTF-8"),
        ("PIERHEAD_PASSWORD=$'\\xff' pierhead status", "has to be UTF-8"),
        ("pierhead tags $'\\xff'", "is not UTF-8"),
        ("pierhead promotions --image $'\\xff'", "is not UTF-8"),
    ],
)
def test_what_is_not_utf_8_is_refused_on_one_line(server: Pierhead, line: str, words: str) -> None:
    ended, err = in_a_shell(server, line, "")
    assert (ended, err.count("\n")) == (1, 1), err
    assert words in err


def in_a_shell(server: Pierhead, line: str, unbuffered: str) -> tuple[int, str]:
    """The exit code of ``line``, and what it says on standard error."""
    known = {"PIERHEAD_USER": "admin", "PIERHEAD_PASSWORD": server.admin_password, "PYTHONUNBUFFERED": unbuffered}
    environment = server.environment() | known | {"PIERHEAD_SERVER": server.url()}
    written = line.replace("pierhead", f"{sys.executable} -m pierhead", 1)
    done = subprocess.run(["bash", "-c", written], env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "args", [("nonsense",), ("tags",), ("status", "--nonsense"), ("delete",), ("images", "-o", "xml")]
)
def test_a_command_line_that_cannot_be_understood_ends_with_2(server: Pierhead, args: tuple[str, ...]) -> None:
    code, out, err = server.run_command(*args)
    assert (code, out) == (2, "")
    assert "Usage: " in err


def test_labels_cannot_send_control_characters_to_a_terminal(server: Pierhead) -> None:
    evil = image(seed=12, annotations={"note": "\x1b[31mred\x07\u202e"})
    with server.wire("docker-hosted-dev") as wire:
        wire.push("evil/app", "1", evil)
    out = run(server, "inspect", "evil/app:1")
    assert all(line.isprintable() for line in out.splitlines())
    assert "\\x1b[31mred" in out


def test_a_new_password_is_taken_by_the_running_server_at_once(server: Pierhead) -> None:
    old = server.admin_password
    assert "cat " in run(server, "admin", "reset-password", "--data", str(server.data))
    written = document(server, "admin", "reset-password", "--data", str(server.data))
    assert written == {"account": "admin", "file": str(server.data / "admin.password")}
    assert server.admin_password != old
    with Wire(server.port(), "admin", server.admin_password) as wire:
        assert wire.request("GET", "/v2/").status == 200
    server.restart()
    with Wire(server.port(), "admin", old) as wire:
        assert wire.request("GET", "/v2/").status == 401
    assert (server.data / "admin.password").stat().st_mode & 0o777 == 0o600


def test_a_folder_without_data_is_not_made_into_one(server: Pierhead) -> None:
    missing = server.folder / "missing"
    _, line = refused(server, "admin", "reset-password", "--data", str(missing))
    assert "is no data folder" in line
    assert not missing.exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(server: Pierhead, shell: str) -> None:
    assert "_PIERHEAD_COMPLETE" in run(server, "completion", shell)
