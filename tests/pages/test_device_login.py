"""`pierhead login`: a code in a terminal, approved in a real browser."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.pages.house import ANNA, BEN, BEN_PASSWORD, ENVIRONMENT, sign_in, with_people
from tests.peers.browser import NARROW, Browser, Visitor
from tests.peers.pierhead import Pierhead

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(with_people(), environment=ENVIRONMENT) as one:
        yield one


def environment_of(server: Pierhead, home: Path) -> dict[str, str]:
    known = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "DOCKER_CONFIG": str(home / "docker")}
    return {**server.environment(), **known, "PIERHEAD_SERVER": server.url()}


def pierhead(server: Pierhead, home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pierhead", *args],
        env=environment_of(server, home), capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@contextmanager
def logging_in(server: Pierhead, home: Path, *args: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command while it waits, and the code that it shows."""
    command = [sys.executable, "-m", "pierhead", "login", "--machine", "laptop-7", *args]
    process = subprocess.Popen(
        command, env=environment_of(server, home), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(2)]
        found = re.search(r"^Code  ([A-Z]{4}-[A-Z]{4})$", "".join(lines), re.MULTILINE)
        assert found, lines
        assert f"Open  {server.url()}/-/login\n" in lines
        yield process, found[1]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def look_at(visitor: Visitor, server: Pierhead, code: str) -> None:
    visitor.page.goto(server.url() + "/-/login")
    visitor.page.fill("#code", code.lower().replace("-", " "))
    visitor.page.get_by_role("button", name="Look what it is").click()
    visitor.page.wait_for_selector(f"text={code}")


def test_a_command_line_is_logged_in_by_a_browser_and_out_again(
    browser: Browser, server: Pierhead, tmp_path: Path
) -> None:
    assert pierhead(server, tmp_path, "repositories").returncode == 1
    visitor = browser.visitor(viewport=NARROW)
    sign_in(visitor, server)
    with logging_in(server, tmp_path, "--docker") as (process, code):
        look_at(visitor, server, code)
        assert "laptop-7" in visitor.text()
        assert "Somebody may have sent you the link" in visitor.text()
        assert visitor.overflow() <= 0
        visitor.page.get_by_role("button", name="Log it in as me").click()
        visitor.page.wait_for_url("**/-/login?done=approve")
        said, fault = process.communicate(timeout=60)
        assert process.returncode == 0, fault
    assert f"Logged in to {server.url()} as {ANNA}" in said
    kept = tmp_path / "config" / "pierhead" / "credentials.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert pierhead(server, tmp_path, "repositories").returncode == 0
    docker = json.loads((tmp_path / "docker" / "config.json").read_text())
    assert server.address("docker-group") in docker["auths"]
    visitor.page.goto(server.url() + "/-/me")
    assert "pierhead login, laptop-7" in visitor.text()
    out = pierhead(server, tmp_path, "logout")
    assert out.returncode == 0, out.stderr
    assert pierhead(server, tmp_path, "repositories").returncode == 1
    visitor.page.goto(server.url() + "/-/me")
    assert "pierhead login, laptop-7" not in visitor.text()
    assert visitor.faults == visitor.violations() == []


def test_what_is_refused_gets_nothing_and_a_code_holds_once(browser: Browser, server: Pierhead, tmp_path: Path) -> None:
    visitor = browser.visitor()
    sign_in(visitor, server, BEN, BEN_PASSWORD)
    with logging_in(server, tmp_path) as (process, code):
        look_at(visitor, server, code)
        visitor.page.get_by_role("button", name="Refuse it").click()
        visitor.page.wait_for_url("**/-/login?done=refuse")
        _, fault = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "refused in the browser" in fault
    assert not (tmp_path / "config").exists()
    visitor.page.goto(f"{server.url()}/-/login?code={code}")
    visitor.page.wait_for_selector("#fault")
    assert "No command line waits under this code" in visitor.text()


def test_a_link_with_a_code_approves_nothing_by_being_opened(browser: Browser, server: Pierhead) -> None:
    with server.wire(username="") as wire:
        asked = wire.request("POST", "/api/v1/login", b'{"machine": "theirs"}', headers=JSON).expect(201)
        told = json.loads(asked.body)
        visitor = browser.visitor()
        sign_in(visitor, server)
        visitor.page.goto(told["page_with_code"])
        assert told["code"] in visitor.text()
        secret = json.dumps({"secret": told["secret"]}).encode()
        first = wire.request("POST", "/api/v1/login/token", secret, headers=JSON).expect(200)
        assert json.loads(first.body) == {
            "state": "waiting",
            "account": None,
            "token": None,
            "id": None,
            "expires": None,
        }
        assert wire.request("POST", "/api/v1/login/token", secret, headers=JSON).status == 429
        wrong = json.dumps({"secret": "x" * 43}).encode()
        assert json.loads(wire.request("POST", "/api/v1/login/token", wrong, headers=JSON).body)["state"] == "ended"


def test_codes_are_not_to_be_guessed(browser: Browser, server: Pierhead) -> None:
    visitor = browser.visitor()
    sign_in(visitor, server, BEN, BEN_PASSWORD)
    answers = []
    for number in range(12):
        code = "BCDFGHJK"[number % 8] * 4 + "-" + "ZXWV"[number % 4] * 4
        there = visitor.page.goto(f"{server.url()}/-/login?code={code}")
        assert there is not None
        answers.append(there.status)
    assert answers[0] == 404
    assert answers[-1] == 429


def test_asking_without_end_is_slowed_down(server: Pierhead) -> None:
    with server.wire(username="") as wire:
        answers = [
            wire.request("POST", "/api/v1/login", b'{"machine": "many"}', headers=JSON).status for _ in range(25)
        ]
        assert answers[-1] == 429
        assert wire.request("POST", "/api/v1/login", b'{"machine": ""}', headers=JSON).status in (400, 429)
