"""`pierhead ci login` and a Vault that misbehaves: bounded, nothing followed, and what was lent is given back."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.ci_job import Job
from tests.cli.odd_vault import LOGIN, READ, REVOKE, TOKEN, OddVault, Script, said
from tests.peers.processes import wait_until

NOT_ACTIVE = said({"errors": ["local node not active but active cluster node not found"]}, 500)
STANDBY = said({"initialized": True, "sealed": False, "standby": True}, 429)
ODD: dict[str, tuple[Script, str]] = {
    "a page": ({LOGIN: (200, {"Content-Type": "text/html"}, "<h1>Sign in</h1>")}, "(status 200, no JSON)"),
    "a list": ({LOGIN: said([])}, "(status 200, no JSON)"),
    "deep": ({LOGIN: (200, {}, "[" * 200_000)}, "(status 200, no JSON)"),
    "no token": ({LOGIN: said({"auth": None})}, "its login gives no token"),
    "odd token": ({LOGIN: said({"auth": {"client_token": "s.a\r\nX-Evil: 1"}})}, "its login gives no token"),
    "second factor": ({LOGIN: said({"auth": {"client_token": "", "mfa_requirement": {"a": 1}}})}, "a second factor"),
    "standby": ({LOGIN: NOT_ACTIVE, "sys/health": STANDBY}, "is a standby that finds no active node"),
    "standby, 307": ({LOGIN: (307, {"Location": f"http://127.0.0.1:9/v1/{LOGIN}"}, ""), "sys/health": STANDBY},
                     "is a standby that does not reach its active node, http://127.0.0.1:9: try again"),
    "standby, 503": ({LOGIN: said({"errors": []}, 503), "sys/health": STANDBY}, "is a standby that finds no active"),
    "broken": ({LOGIN: said({"errors": ["internal error"]}, 500)}, "(status 500): internal error"),
    "in the way": ({LOGIN: said({"errors": ["no upstream"]}, 503)}, "(status 503): no upstream"),
    "limited": ({LOGIN: said({"errors": ["rate limit quota exceeded"]}, 429)}, "asked too often (429)"),
    "keys": ({LOGIN: said({"errors": ["error verifying token signature: fetching keys oidc: get keys failed"]}, 400)},
             "cannot get the keys of GitLab"),
    "echo": ({LOGIN: said({"errors": [f"bad token {TOKEN} eyJhbGciOi.eyJpc3M.c2ln"]}, 400)}, "bad token … …"),
    "read fails": ({READ: said({"errors": ["storage is gone"]}, 500)}, "(status 500): storage is gone"),
    "line break": ({READ: said({"data": {"data": {"username": "u", "password": "a\nb"}, "metadata": {}}})},
                   "a line break"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_what_is_not_vaults_answer_is_said_in_one_sentence(name: str, tmp_path: Path) -> None:
    script, words = ODD[name]
    with OddVault(script) as odd:
        line = Job(tmp_path, odd.url).refused()
        assert words in line
        assert TOKEN not in line
        if any(path == READ for path, _ in odd.seen):
            assert odd.seen[-1] == (REVOKE, TOKEN)


@pytest.mark.parametrize("path", [LOGIN, READ])
def test_no_token_is_sent_on_to_where_vault_redirects(path: str, tmp_path: Path) -> None:
    with OddVault({}) as other, OddVault({path: (307, {"Location": f"{other.url}/v1/{path}?jwt=secret"}, "")}) as odd:
        line = Job(tmp_path, odd.url).refused()
        assert f"{odd.url} sends on to {other.url}, where no token is sent unasked" in line
        assert "secret" not in line.replace("secret/data", "")
        assert other.seen == []


@pytest.mark.parametrize("path", [LOGIN, READ])
def test_a_vault_that_does_not_answer_has_its_time_and_no_more(path: str, tmp_path: Path) -> None:
    with OddVault({path: OddVault.keep_waiting}) as odd:
        began = time.monotonic()
        assert "is too slow: it had 1 s" in Job(tmp_path, odd.url).refused(VAULT_CLIENT_TIMEOUT="1s")
        assert time.monotonic() - began < 15
        if path == READ:
            assert odd.seen[-1] == (REVOKE, TOKEN)


def test_a_vault_that_sends_a_byte_now_and_then_has_no_more_time(tmp_path: Path) -> None:
    with OddVault({}, drips=True) as odd:
        began = time.monotonic()
        assert "is too slow: it had 1 s" in Job(tmp_path, odd.url).refused(VAULT_CLIENT_TIMEOUT="1")
        assert time.monotonic() - began < 10


def test_a_token_that_vault_does_not_take_back_spoils_no_login(tmp_path: Path) -> None:
    with OddVault({REVOKE: said({"errors": ["no"]}, 500)}) as odd:
        done = Job(tmp_path, odd.url).succeeds()
        assert done.stdout.startswith("Logged in to ")
        assert done.stderr == f"{odd.url} did not take its own token back; it ends by itself, as role and mount say.\n"


def test_a_job_that_is_cancelled_gives_the_token_back(tmp_path: Path) -> None:
    with OddVault({READ: OddVault.keep_waiting}) as odd:
        job = Job(tmp_path, odd.url)
        command = [sys.executable, "-m", "pierhead", "ci", "login"]
        process = subprocess.Popen(command, env=job.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert odd.arrived.wait(20)
        words = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        assert process.returncode == 128 + signal.SIGTERM
        assert (out, err) == (b"", b"")
        wait_until(lambda: (REVOKE, TOKEN) in odd.seen, 5, "the token came back")
        assert not job.docker.exists()
        assert words[1:] == [b"-m", b"pierhead", b"ci", b"login", b""]


def test_nothing_of_the_server_is_imported_to_log_in(tmp_path: Path) -> None:
    show = (
        "import sys\n"
        "from pierhead.cli.main import main\n"
        "try:\n    main(['ci', 'login', *sys.argv[1:]])\n"
        "except SystemExit:\n    print(*sys.modules, file=sys.stderr)\n"
    )
    with OddVault({}) as odd:
        job = Job(tmp_path, odd.url)
        seen = set()
        for options in ([], ["--oidc", "--token-variable", "VAULT_ID_TOKEN"]):
            known = {"NEXUS_REGISTRY": "127.0.0.1:9", "NEXUS_REGISTRY_PULL": "127.0.0.1:9"}
            command = [sys.executable, "-c", show, *options]
            done = subprocess.run(command, env=job.environment(known), capture_output=True, text=True, timeout=60)
            assert done.stdout.startswith("Logged in to ")
            seen |= set(done.stderr.splitlines()[-1].split())
    own = {name for name in seen if name.startswith("pierhead.") and not name.startswith("pierhead.cli")}
    assert own <= {"pierhead.boot", "pierhead.boot.moment", "pierhead.adapters", "pierhead.adapters.system"}
    assert not seen & {"aiohttp", "apsw", "asyncio", "argon2", "msgspec", "pydantic", "rich", "ruamel", "uvloop"}
