"""No secret in logs, errors, audit, metrics, process list, or a crash report: one look for all of them at once.

The passwords of accounts come from a hash, the environment, a file and Vault; beside them the credentials for Vault, an
upstream and a provider, every kind of token, session and code. `canaries.py` uses them well, `misuse.py` badly.
"""

from __future__ import annotations

import base64
import re
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.peers.wire import Wire
from tests.promises import canaries, misuse
from tests.promises.canaries import Scene
from tests.promises.houses import alive

pytestmark = [pytest.mark.server, pytest.mark.slow]

MAY_HOLD_SECRETS = {"admin.password"}
"""And the keys of tokens; each is its owner's alone to read."""
# Tokens of OpenBao and Vault: what the program got by its AppRole is known to nobody here.
VAULT_TOKEN = re.compile(r"(?<![\w.])(?:hv)?s\.[A-Za-z0-9_-]{20,}")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with canaries.opened(tmp_path_factory.mktemp("canaries")) as scene:
        canaries.use_well(scene)
        misuse.use_badly(scene)
        canaries.reread_as(scene, "json")
        misuse.use_badly(scene, each=5)
        misuse.break_inside(scene)
        yield scene


def shapes(what: str, secret: str) -> set[str]:
    """How it could be written down."""
    raw = secret.encode()
    found = {secret, quote(secret, safe=""), base64.b64encode(raw).decode().rstrip("=")[:-1], raw.hex()}
    found |= {base64.b64encode(f"{name}:{secret}".encode()).decode().rstrip("=")[:-1] for name in ("svc-env", "nobody")}
    if "code of a device" in what:
        found |= {secret.replace("-", ""), secret.lower()}
    if secret.count(".") == 2:
        found |= set(secret.split(".")[1:])  # what comes before is the same in every token of a key
    return found


def found_in(scene: Scene, text: str, *, but: tuple[str, ...] = ()) -> set[str]:
    """What secrets a text holds."""
    held = {
        what
        for what, secret in scene.secrets.items()
        if secret not in but and any(shape in text for shape in shapes(what, secret))
    }
    return held | ({"a token of Vault"} if VAULT_TOKEN.search(text) else set())


def test_everything_was_tried(scene: Scene) -> None:
    """A look for what was never used finds nothing."""
    assert len(scene.secrets) >= 30
    assert {200, 201, 303, 400, 401, 403, 404, 429, 500} <= scene.statuses
    assert found_in(scene, f"x {scene.secrets['password of svc-vault']} y") == {"password of svc-vault"}
    assert "a request failed" in scene.server.log or "A handler failed" in scene.server.log
    assert '"event":"request"' in scene.server.log
    assert '" 401 ' in scene.server.log


def test_no_line_of_any_log_holds_one(scene: Scene) -> None:
    for line in scene.server.log.splitlines():
        assert not found_in(scene, line), line


def test_no_answer_and_no_output_of_a_command_holds_one_but_that_which_gives_it(scene: Scene) -> None:
    for one in scene.heard:
        assert not found_in(scene, one.text, but=one.gives), (one.what, one.text)


def test_no_event_holds_one_and_no_byte_of_the_database(scene: Scene) -> None:
    assert not found_in(scene, canaries.audit_of(scene))
    for path in scene.server.data.glob("pierhead.db*"):
        assert not found_in(scene, path.read_bytes().decode("latin-1")), path


def test_no_metric_holds_one(scene: Scene) -> None:
    with Wire(scene.server.port()) as wire:
        assert not found_in(scene, wire.request("GET", "/metrics").expect(200).body.decode())


def test_no_file_of_the_data_folder_holds_one_but_those_that_only_their_owner_reads(scene: Scene) -> None:
    data = scene.server.data
    for path in data.rglob("*"):
        if not path.is_file():
            continue
        # The reserve for a full disk is 64 MiB of zeros, in which no secret lies, but each would be looked for.
        held = found_in(scene, path.read_bytes().replace(bytes(4096), b"\0").decode("latin-1"))
        if path.name in MAY_HOLD_SECRETS or path.parent == data / "keys":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        else:
            assert not held, path


def test_no_list_of_processes_holds_one(scene: Scene) -> None:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "pierhead" in listed
    assert not found_in(scene, listed)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert not found_in(scene, path.read_text(errors="replace")), path
        except OSError:
            continue  # it has ended


def test_a_crash_leaves_none_behind(scene: Scene) -> None:
    """Last, since nothing answers afterwards."""
    server = scene.server
    told = Path(f"/proc/{server.pid}/limits").read_text()
    assert re.search(r"Max core file size\s+[01]\s", told), "the image of a process holds every secret that it knows"
    before = len(server.log)
    server.signal(signal.SIGABRT)
    assert server.process is not None
    assert server.process.wait(20) == -signal.SIGABRT
    assert not alive(server.pid)
    assert not found_in(scene, server.log[before:])
    assert not [path for path in server.folder.rglob("*core*") if path.is_file()]
