"""`pierhead ci login --helper` and docker-credential-pierhead: the password is in no file, and asked for each time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.cli.ci_job import PROGRAMS, PULL, PUSH, Job, entry
from tests.cli.odd_vault import LOGIN, READ, REVOKE, OddVault
from tests.peers.gitlab import gitlab
from tests.peers.pierhead import Pierhead

NOT_FOUND = (1, "credentials not found in native keychain")
PASSWORD = "the-password-1"


@pytest.fixture
def odd() -> Iterator[OddVault]:
    with OddVault({}) as server:
        yield server


@pytest.fixture
def job(odd: OddVault, tmp_path: Path) -> Job:
    return Job(tmp_path, odd.url)


def test_the_helper_is_named_and_no_file_holds_a_secret(job: Job) -> None:
    job.succeeds()
    job.write_config({**job.read_config(), "credsStore": "desktop", "credHelpers": {PUSH: "ecr-login", "x": "y"}})
    done = job.succeeds("--helper")
    assert done.stdout == (
        f"docker-credential-pierhead logs in to {PUSH} and {PULL} as u, by {job.config}; no password is written.\n"
    )
    assert f"replaced: the login of {PUSH}, the helper ecr-login of {PUSH}, the login of {PULL}." in done.stderr
    helpers = {PUSH: "pierhead", "x": "y", PULL: "pierhead"}
    assert job.read_config() == {"credsStore": "desktop", "credHelpers": helpers}
    for content in job.files().values():
        assert not any(
            secret in content for secret in (PASSWORD.encode(), b"eyJ", entry("u", PASSWORD)["auth"].encode())
        )


def test_each_get_asks_vault_anew_and_gives_the_token_back(job: Job, odd: OddVault) -> None:
    job.succeeds("--helper")
    files = job.files()
    for server in (PUSH, PULL, f"https://{PUSH}", f"https://{PULL.upper()}/v2/", f"{PUSH}\n"):
        odd.seen.clear()
        code, text = job.helper("get", server)
        assert (code, json.loads(text)) == (0, {"ServerURL": server.strip(), "Username": "u", "Secret": PASSWORD})
        assert [path for path, _ in odd.seen] == [LOGIN, READ, REVOKE]
    assert job.files() == files


def test_options_of_the_login_hold_for_the_helper(job: Job, odd: OddVault) -> None:
    place = {"auth/gitlab/login": odd.script[LOGIN], "kv/data/ours": odd.script[READ], LOGIN: (404, {}, "{}")}
    odd.script |= place
    job.succeeds("--helper", "--path", "kv/data/ours", "--auth-path", "gitlab", "--role", "other")
    assert job.helper("get", PULL)[0] == 0
    assert job.helper("list") == (0, json.dumps({PUSH: "ours", PULL: "ours"}))


def test_without_a_login_the_environment_says_who_is_known(job: Job, odd: OddVault) -> None:
    assert json.loads(job.helper("get", PUSH)[1])["Secret"] == PASSWORD
    odd.script["secret/data/nexus/svc-other"] = odd.script.pop(READ)
    assert json.loads(job.helper("get", PUSH, NEXUS_ACCOUNT="svc-other")[1])["Username"] == "u"
    assert job.files() == {}


def test_the_protocol_is_kept_for_what_is_not_there(job: Job, odd: OddVault) -> None:
    job.succeeds("--helper")
    odd.seen.clear()
    assert job.helper("get", "docker.io") == NOT_FOUND
    assert job.helper("get", PUSH.partition(":")[0]) == NOT_FOUND
    assert job.helper("get", "") == (1, "no credentials server URL")
    assert job.helper("erase", PUSH) == (0, "")
    code, text = job.helper("store", json.dumps({"ServerURL": PUSH, "Username": "u", "Secret": "not-to-be-shown"}))
    assert code == 1
    assert "keeps nothing" in text
    assert "not-to-be-shown" not in text
    assert job.helper("version")[1].startswith("docker-credential-pierhead ")
    assert job.helper("nonsense") == (1, "Usage: docker-credential-pierhead <store|get|erase|list|version>")
    assert odd.seen == []


def test_a_fault_is_told_on_standard_output_and_nothing_is_fallen_back_to(job: Job, odd: OddVault) -> None:
    job.succeeds("--helper")
    assert job.helper("get", PUSH, VAULT_ADDR="")[1].startswith("VAULT_ADDR is not set")
    assert job.helper("get", PUSH, VAULT_ID_TOKEN="x")[1].startswith("What stands in VAULT_ID_TOKEN is no JWT")
    odd.script[READ] = (404, {}, '{"errors": []}')
    code, text = job.helper("get", PUSH)
    assert code == 1
    assert "holds no secret at" in text
    (job.docker / "pierhead-ci.json").write_text("{}")
    assert "cannot be understood" in job.helper("get", PUSH)[1]


def test_a_login_with_the_helper_proves_that_it_would_work(job: Job, odd: OddVault) -> None:
    assert "VAULT_ADDR is not set" in job.refused("--helper", VAULT_ADDR="")
    assert "docker-credential-pierhead is not on PATH" in job.refused("--helper", PATH="/usr/bin:/bin")


# --- with the id_token itself ----------------------------------------------------------------------------------------


class Accepting:
    """A registry that takes `oidc`, as far as a login shows: whether Pierhead does is its own tests' matter."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(f"{self.path} {self.headers['Authorization']}")
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def registry() -> Iterator[Accepting]:
    server = Accepting()
    yield server
    server.close()


@pytest.fixture
def oidc(registry: Accepting, tmp_path: Path) -> Job:
    made = Job(tmp_path, "", (registry.address, registry.address))
    made.variables |= {"VAULT_ID_TOKEN": "", "PIERHEAD_ID_TOKEN": gitlab().id_token()}
    return made


def test_an_id_token_is_the_password_of_oidc(oidc: Job, registry: Accepting) -> None:
    token = oidc.variables["PIERHEAD_ID_TOKEN"]
    done = oidc.succeeds("--oidc")
    assert (done.stdout, done.stderr) == (f"Logged in to {registry.address} as oidc, in {oidc.config}.\n", "")
    assert oidc.read_config() == {"auths": {registry.address: entry("oidc", token)}}
    assert registry.asked == [f"/v2/ Basic {entry('oidc', token)['auth']}"]


def test_the_helper_hands_out_the_id_token_of_now(oidc: Job, registry: Accepting) -> None:
    oidc.succeeds("--oidc", "--helper")
    assert not any(b"eyJ" in content for content in oidc.files().values())
    later = gitlab().id_token(job_id="5208")
    told = json.loads(oidc.helper("get", registry.address, PIERHEAD_ID_TOKEN=later)[1])
    assert (told["Username"], told["Secret"]) == ("oidc", later)
    assert "PIERHEAD_ID_TOKEN is not set" in oidc.helper("get", registry.address, PIERHEAD_ID_TOKEN="")[1]


def test_the_variable_of_the_id_token_can_be_named(oidc: Job, registry: Accepting) -> None:
    token = gitlab().id_token(job_id="7")
    oidc.succeeds("--oidc", "--helper", "--token-variable", "OURS", OURS=token, PIERHEAD_ID_TOKEN="")
    assert json.loads(oidc.helper("get", registry.address, OURS=token)[1])["Secret"] == token


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": int(time.time()) - 60}, "is over since"),
        ({"exp": None}, "has no time at which it ends (exp)"),
        ({"exp": "soon"}, "has no time at which it ends (exp)"),
        ({"exp": 10**400}, "has no time at which it ends (exp)"),
        ({"exp": True}, "has no time at which it ends (exp)"),
    ],
)
def test_a_token_that_is_over_or_never_ends_is_not_shown_to_anybody(
    claims: dict[str, object], words: str, oidc: Job, registry: Accepting
) -> None:
    line = oidc.refused("--oidc", PIERHEAD_ID_TOKEN=gitlab().sign({**gitlab().claims(), **claims}))
    assert words in line
    assert "eyJ" not in line
    assert registry.asked == []


@pytest.mark.parametrize("text", ["the-password-1", "a.b.c", "e30.e30.", "e30.W10.x", "e30.e30.x", "é.é.é", ".."])
def test_what_is_no_jwt_is_not_shown_to_anybody(text: str, oidc: Job, registry: Accepting) -> None:
    line = oidc.refused("--oidc", PIERHEAD_ID_TOKEN=text)
    assert line.startswith("What stands in PIERHEAD_ID_TOKEN is no JWT")
    assert registry.asked == []


def test_a_token_in_place_of_a_variables_name_is_not_repeated(oidc: Job) -> None:
    token = oidc.variables["PIERHEAD_ID_TOKEN"]
    assert oidc.refused("--oidc", "--token-variable", token).startswith("--token-variable takes the name of a variable")


def test_a_registry_that_refuses_the_token_is_quoted_and_nothing_is_written(pierhead: Pierhead, tmp_path: Path) -> None:
    job = Job(tmp_path, "", (pierhead.address("docker-hosted-dev"), pierhead.address("docker-group")))
    line = job.refused("--oidc", PIERHEAD_ID_TOKEN=gitlab().id_token(aud="https://elsewhere.cwiq.io"))
    assert line.startswith(f"{pierhead.address('docker-hosted-dev')} refuses the id_token in PIERHEAD_ID_TOKEN: ")
    assert (
        "It is for https://elsewhere.cwiq.io, from https://gitlab.shared.cwiq.io, of project orchestrator/server"
        in line
    )
    assert "eyJ" not in line
    assert "eyJ" not in pierhead.log


def test_a_registry_that_cannot_be_asked_leaves_the_login_unproved(oidc: Job) -> None:
    done = oidc.succeeds("--oidc", NEXUS_REGISTRY="127.0.0.1:9")
    assert done.stderr == (
        "Whether 127.0.0.1:9 takes the id_token is not known: it could not be asked (Connection refused).\n"
    )
    assert "127.0.0.1:9" in oidc.read_config()["auths"]


def test_the_helper_is_quick_and_imports_nothing_that_it_does_not_need(job: Job) -> None:
    show = (
        "import sys\nfrom pierhead.cli.credential_helper import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print(*sys.modules, file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", show, "get"]
    done = subprocess.run(command, env=job.environment(), input=PUSH, capture_output=True, text=True, timeout=60)
    assert PASSWORD in done.stdout
    own = {name for name in done.stderr.split() if name.startswith("pierhead.")}
    assert all(name.startswith("pierhead.cli") for name in own)
    assert not {"asyncio", "click", "rich", "aiohttp"} & set(done.stderr.split())
    assert (PROGRAMS / "docker-credential-pierhead").exists()
