"""`pierhead verify` finds out whether an image is signed, in a server and in a file, and says why it does not count."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import cosign
from tests.peers.cosign import Signer
from tests.peers.images import Image, image, index
from tests.peers.pierhead import Pierhead, house
from tests.peers.processes import free_port

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]

DEV = "docker-hosted-dev"


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(house()) as started:
        yield started


@pytest.fixture
def name() -> str:
    return f"orchestrator/x{uuid.uuid4().hex[:12]}"


def key_file(folder: Path, signer: Signer) -> str:
    path = folder / f"{uuid.uuid4().hex[:6]}.pub"
    path.write_bytes(signer.public)
    return str(path)


def push(server: Pierhead, name: str, one: Image, attached: Image | None = None, tag: str = "") -> None:
    with server.wire() as wire:
        wire.push(f"{DEV}/{name}", "1.0.0", one)
        if attached is not None:
            wire.push(f"{DEV}/{name}", tag or attached.digest, attached)


@pytest.mark.parametrize("form", ["tag", "referrer", "bundle"])
def test_an_image_that_is_signed_with_the_key_is_said_to_be_signed(
    server: Pierhead, name: str, tmp_path: Path, form: str
) -> None:
    one, key = image(seed=41), Signer.ecdsa()
    if form == "bundle":
        attached = cosign.bundle(one, dsseEnvelope=cosign.envelope(key, cosign.statement(one.digest)))
    else:
        attached = cosign.simple(key, cosign.payload(one.digest), one if form == "referrer" else None)
    push(server, name, one, attached, f"sha256-{one.digest[7:]}.sig" if form == "tag" else "")
    path = key_file(tmp_path, key)
    code, out, err = server.run_command("verify", f"docker-group/{name}:1.0.0", "--key", path, "-o", "json")
    assert (code, one.digest in err) == (0, True), err
    found = json.loads(out)
    assert (found["signed"], found["digest"]) == (True, one.digest)
    assert [(each["good"], each["manifest"]) for each in found["signatures"]] == [(True, attached.digest)]
    code, out, err = server.run_command("verify", f"{DEV}/{name}:1.0.0", "--key", key_file(tmp_path, Signer.rsa()))
    assert code == 1
    assert "it is not good under the key" in out
    assert "is not signed with the key of" in err


def test_an_unsigned_image_and_one_with_anothers_signature_are_not_said_to_be_signed(
    server: Pierhead, name: str, tmp_path: Path
) -> None:
    one, other, key = image(seed=42), image(seed=43), Signer.ed25519()
    push(server, name, one)
    path = key_file(tmp_path, key)
    code, _, err = server.run_command("verify", f"{DEV}/{name}:1.0.0", "--key", path)
    assert (code, "it has no signature" in err) == (1, True), err
    push(server, name, one, cosign.simple(key, cosign.payload(other.digest), one))
    code, _, err = server.run_command("verify", f"{DEV}/{name}:1.0.0", "--key", path)
    assert (code, "it signs another image" in err) == (1, True), err


def test_a_signature_of_a_platform_does_not_count_for_the_index(server: Pierhead, name: str, tmp_path: Path) -> None:
    both, key = index({"linux/amd64": image(seed=44), "linux/arm64": image(seed=45)}), Signer.ecdsa()
    child = both.images[0]
    with server.wire() as wire:
        wire.push(f"{DEV}/{name}", "1.0.0", both)
        signature = cosign.simple(key, cosign.payload(child.digest), child)
        wire.push(f"{DEV}/{name}", signature.digest, signature)
    path = key_file(tmp_path, key)
    assert server.run_command("verify", f"{DEV}/{name}:1.0.0", "--key", path)[0] == 1
    assert server.run_command("verify", f"{DEV}/{name}@{child.digest}", "--key", path)[0] == 0


def test_a_file_is_checked_without_asking_anybody(server: Pierhead, name: str, tmp_path: Path) -> None:
    one, key = image(seed=46), Signer.ecdsa()
    push(server, name, one, cosign.simple(key, cosign.payload(one.digest), one))
    file, path = str(tmp_path / "image.tar"), key_file(tmp_path, key)
    code, _, err = server.run_command("export", f"{DEV}/{name}:1.0.0", "-o", file)
    assert code == 0, err
    nowhere = {"PIERHEAD_SERVER": f"http://127.0.0.1:{free_port()}", "PIERHEAD_PASSWORD": ""}
    code, _, err = server.run_command("verify", "--archive", file, "--key", path, environment=nowhere)
    assert code == 0, err
    other = key_file(tmp_path, Signer.ecdsa())
    assert server.run_command("verify", "--archive", file, "--key", other, environment=nowhere)[0] == 1


def test_a_key_that_is_none_is_named(server: Pierhead, tmp_path: Path) -> None:
    (tmp_path / "cosign.key").write_text("-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----\n")
    code, _, err = server.run_command("verify", f"{DEV}/x:1", "--key", str(tmp_path / "cosign.key"))
    assert code == 1
    assert "cosign.key holds a private key" in err
