"""Images leave in a file and come back from one, whole and with their digests: with our own commands, and skopeo's."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.clients import Skopeo
from tests.peers.images import Image, artifact, docker_archive, image, index, random_layer, sha256
from tests.peers.pierhead import Pierhead, house
from tests.peers.processes import free_port, wait_until
from tests.promises.relay import Relay

pytestmark = [pytest.mark.server, pytest.mark.timeout(240)]

DEV, UAT = "docker-hosted-dev", "docker-hosted-uat"
MIB = 1 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(house()) as started:
        yield started


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Pierhead]:
    """A second installation, which holds nothing."""
    with Pierhead(house()) as started:
        yield started


@pytest.fixture
def name() -> str:
    return f"orchestrator/x{uuid.uuid4().hex[:12]}"


def run(server: Pierhead, *args: str | Path, environment: dict[str, str] | None = None) -> str:
    code, out, err = server.run_command(*map(str, args), environment=environment)
    assert code == 0, err
    return out


def told(server: Pierhead, *args: str | Path, environment: dict[str, str] | None = None) -> dict[str, object]:
    found = json.loads(run(server, *args, "-o", "json", environment=environment))
    one = found["items"][0] if "items" in found else found
    assert isinstance(one, dict)
    return one


class Signed:
    """An image for two platforms, with an SBOM of the whole, a signature of one platform, and one in cosign's older
    way; the signature of the SBOM is a referrer of a referrer."""

    def __init__(self, seed: int = 1) -> None:
        self.index = index(
            {
                "linux/amd64": image([random_layer(20_000, seed)], seed=seed),
                "linux/arm64": image([random_layer(1_500_000, seed + 50)], seed=seed + 1, architecture="arm64"),
            }
        )
        self.sbom = artifact(self.index, artifact_type="application/spdx+json", payload=b"sbom")
        self.of_sbom = artifact(self.sbom, payload=b"of the sbom")
        self.of_child = artifact(self.index.images[1], payload=b"of a platform")
        self.tagged = artifact(payload=b"cosign of old")
        self.tag = f"sha256-{self.index.digest[7:]}.sig"

    def push(self, server: Pierhead, name: str, tag: str) -> None:
        with server.wire() as wire:
            wire.push(f"{DEV}/{name}", tag, self.index)
            for one in (self.sbom, self.of_sbom, self.of_child):
                wire.push(f"{DEV}/{name}", one.digest, one)
            wire.push(f"{DEV}/{name}", self.tag, self.tagged)

    def is_whole(self, server: Pierhead, where: str, tag: str) -> None:
        """Raises AssertionError unless every byte and every referrer is there."""
        with server.wire() as wire:
            assert wire.get_manifest(where, tag).body == self.index.manifest.data
            for one in (*self.index.images, self.sbom, self.of_sbom, self.of_child, self.tagged):
                assert wire.get_manifest(where, one.digest).body == one.manifest.data
                for blob in one.blobs:
                    assert wire.get_blob(where, blob.digest).body == blob.data
            for subject, referrer in (
                (self.index, self.sbom), (self.sbom, self.of_sbom), (self.index.images[1], self.of_child),
            ):  # fmt: skip
                listed = wire.request("GET", f"/v2/{where}/referrers/{subject.digest}").json()["manifests"]
                assert [one["digest"] for one in listed] == [referrer.digest]
            assert wire.get_manifest(where, self.tag).body == self.tagged.manifest.data


def test_an_image_with_all_its_platforms_and_referrers_goes_through_a_file_to_another_installation(
    server: Pierhead, elsewhere: Pierhead, name: str, tmp_path: Path
) -> None:
    signed = Signed()
    signed.push(server, name, "1.0.0")
    file = tmp_path / "image.tar"
    exported = told(server, "export", f"{DEV}/{name}:1.0.0", "-o", file)
    assert (exported["digest"], exported["manifests"], exported["referrers"]) == (signed.index.digest, 7, 4)
    assert exported["platforms"] == ["linux/amd64", "linux/arm64"]
    assert exported["bytes"] == file.stat().st_size
    imported = told(elsewhere, "import", file, "--to", DEV)
    assert (imported["image"], imported["tags"], imported["referrers"]) == (name, ["1.0.0"], 4)
    assert imported["digests"] == [signed.index.digest]
    signed.is_whole(elsewhere, f"{DEV}/{name}", "1.0.0")
    again = told(elsewhere, "import", file, "--to", UAT, "--as", f"{name}-b:2.0.0")
    assert (again["image"], again["tags"]) == (f"{name}-b", ["2.0.0"])
    signed.is_whole(elsewhere, f"{UAT}/{name}-b", "2.0.0")


def test_the_index_of_an_archive_lists_referrers_with_their_subjects(
    server: Pierhead, name: str, tmp_path: Path
) -> None:
    signed = Signed(3)
    signed.push(server, name, "1.0.0")
    file = tmp_path / "image.tar"
    run(server, "export", f"docker-group/{name}:1.0.0", "-o", file)  # the group finds the same
    with tarfile.open(file) as archive:
        opened = archive.extractfile("index.json")
        assert opened is not None
        entries = json.load(opened)["manifests"]
    assert entries[0]["digest"] == signed.index.digest
    assert entries[0]["annotations"]["org.opencontainers.image.ref.name"] == "1.0.0"
    assert entries[0]["annotations"]["io.containerd.image.name"].endswith(f"/docker-group/{name}:1.0.0")
    subjects = {one["digest"]: one.get("annotations", {}).get("pierhead.subject") for one in entries[1:]}
    assert subjects == {
        signed.sbom.digest: signed.index.digest,
        signed.of_sbom.digest: signed.sbom.digest,
        signed.of_child.digest: signed.index.images[1].digest,
        signed.tagged.digest: None,
    }
    run(server, "export", f"{DEV}/{name}:1.0.0", "-o", file)
    first = file.read_bytes()
    run(server, "export", f"{DEV}/{name}:1.0.0", "-o", file)
    assert file.read_bytes() == first, "the same image gives the same bytes"


@pytest.mark.parametrize("docker", [False, True], ids=["OCI", "Docker"])
def test_skopeo_reads_what_export_writes_and_import_reads_what_skopeo_writes(
    server: Pierhead, elsewhere: Pierhead, name: str, tmp_path: Path, docker: bool
) -> None:
    one = image([random_layer(30_000, 9, docker=docker)], seed=9, docker=docker)
    with server.wire() as wire:
        wire.push(f"{DEV}/{name}", "1.0.0", one)
    file = tmp_path / "ours.tar"
    run(server, "export", f"{DEV}/{name}:1.0.0", "-o", file)
    skopeo = Skopeo(tmp_path)
    assert json.loads(skopeo("inspect", f"oci-archive:{file}").stdout)["Digest"] == one.digest
    skopeo.login(elsewhere.address(DEV), "admin", elsewhere.admin_password)
    skopeo.login(server.address(DEV), "admin", server.admin_password)
    skopeo("copy", f"oci-archive:{file}", f"docker://{elsewhere.address(DEV)}/{name}:by-skopeo")
    with elsewhere.wire() as wire:
        assert wire.get_manifest(f"{DEV}/{name}", "by-skopeo").body == one.manifest.data
    theirs = tmp_path / "theirs.tar"
    skopeo("copy", f"docker://{server.address(DEV)}/{name}:1.0.0", f"oci-archive:{theirs}:2.0.0")
    imported = told(elsewhere, "import", theirs, "--to", DEV, "--as", name)
    assert imported["tags"] == ["2.0.0"]
    if not docker:  # skopeo turns Docker's manifests into OCI's in its archives
        assert imported["digests"] == [one.digest]
    with elsewhere.wire() as wire:
        assert sha256(wire.get_manifest(f"{DEV}/{name}", "2.0.0").body) in imported["digests"]  # type: ignore[operator]


def test_skopeo_copies_every_platform_of_an_archive_with_referrers_when_it_is_told_the_tag(
    server: Pierhead, elsewhere: Pierhead, name: str, tmp_path: Path
) -> None:
    signed = Signed(5)
    signed.push(server, name, "1.0.0")
    file = tmp_path / "image.tar"
    run(server, "export", f"{DEV}/{name}:1.0.0", "-o", file)
    skopeo = Skopeo(tmp_path)
    skopeo.login(elsewhere.address(DEV), "admin", elsewhere.admin_password)
    skopeo("copy", "--all", f"oci-archive:{file}:1.0.0", f"docker://{elsewhere.address(DEV)}/{name}:1.0.0")
    with elsewhere.wire() as wire:
        assert wire.get_manifest(f"{DEV}/{name}", "1.0.0").body == signed.index.manifest.data
    run(server, "export", f"{DEV}/{name}:1.0.0", "-o", file, "--no-referrers")
    assert json.loads(skopeo("inspect", f"oci-archive:{file}").stdout)["Digest"] == signed.index.digest


def test_what_docker_save_wrote_in_its_older_format_is_refused_with_the_way_out(
    server: Pierhead, tmp_path: Path
) -> None:
    file = tmp_path / "old.tar"
    file.write_bytes(docker_archive(image(), "example/x:1"))
    code, _, err = server.run_command("import", str(file), "--to", DEV)
    assert code == 1
    assert "Docker's older format" in err
    assert f"skopeo copy docker-archive:{file} oci-archive:" in err


# --- transfers that break -------------------------------------------------------------------------------------------


def big(server: Pierhead, name: str, size: int = 12 * MIB) -> Image:
    one = image([random_layer(size, 77), random_layer(5_000, 78)], seed=77)
    with server.wire() as wire:
        wire.push(f"{DEV}/{name}", "1.0.0", one)
    return one


def killed(server: Pierhead, relay: Relay, *args: str | Path, home: Path, part: Path | None = None) -> None:
    """Runs the command through the relay until that holds, and ``part`` has what it let through; kills it there."""
    environment = {
        **server.environment(), "PIERHEAD_SERVER": relay.url, "PIERHEAD_USER": "admin",
        "PIERHEAD_PASSWORD": server.admin_password, "XDG_STATE_HOME": str(home),
    }  # fmt: skip
    command = [sys.executable, "-m", "pierhead", *map(str, args)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert relay.held.wait(60), "nothing came so far"
            if part is not None:
                wait_until(lambda: part.stat().st_size > 6 * MIB, 60, "what came is written")
        finally:
            process.kill()
    relay.free()


def test_an_export_that_was_killed_goes_on_behind_its_last_byte(server: Pierhead, name: str, tmp_path: Path) -> None:
    one, file = big(server, name), tmp_path / "image.tar"
    with Relay(server.port()) as relay:
        relay.hold_down = 8 * MIB
        part = tmp_path / "image.tar.part"
        killed(server, relay, "export", f"{DEV}/{name}:1.0.0", "-o", file, home=tmp_path, part=part)
        assert not file.exists(), "a file under its name is whole"
        half = part.stat().st_size
        assert half > 4 * MIB
        found = told(server, "export", f"{DEV}/{name}:1.0.0", "-o", file, environment={"PIERHEAD_SERVER": relay.url})
        assert int(str(found["bytes_resumed"])) == half
        assert relay.down < 9 * MIB, "what was there is not fetched again"
    with tarfile.open(file) as archive:
        opened = archive.extractfile(f"blobs/sha256/{one.layers[0].digest[7:]}")
        assert opened is not None
        assert opened.read() == one.layers[0].data


def test_a_half_written_export_that_was_damaged_is_fetched_anew_and_not_believed(
    server: Pierhead, name: str, tmp_path: Path
) -> None:
    one, file = big(server, name, 2 * MIB), tmp_path / "image.tar"
    run(server, "export", f"{DEV}/{name}:1.0.0", "-o", file)
    whole = bytearray(file.read_bytes())
    at = bytes(whole).index(one.layers[0].data) + 1_000
    whole[at] ^= 1
    (tmp_path / "image.tar.part").write_bytes(whole[: at + MIB])
    good = file.read_bytes()
    file.unlink()
    run(server, "export", f"{DEV}/{name}:1.0.0", "-o", file)
    assert file.read_bytes() == good


def test_an_import_that_was_killed_goes_on_with_its_upload_and_showed_no_tag_meanwhile(
    server: Pierhead, elsewhere: Pierhead, name: str, tmp_path: Path
) -> None:
    one, file = big(server, name), tmp_path / "image.tar"
    run(server, "export", f"{DEV}/{name}:1.0.0", "-o", file)
    with Relay(elsewhere.port()) as relay:
        relay.hold_up = 8 * MIB
        killed(elsewhere, relay, "import", file, "--to", DEV, home=tmp_path)
        with elsewhere.wire() as wire:
            assert wire.get_manifest(f"{DEV}/{name}", "1.0.0").status == 404
        environment = {"PIERHEAD_SERVER": relay.url, "XDG_STATE_HOME": str(tmp_path)}
        found = told(elsewhere, "import", file, "--to", DEV, environment=environment)
        assert int(str(found["bytes_resumed"])) > 4 * MIB
        assert relay.up < 9 * MIB, "what was there is not sent again"
    with elsewhere.wire() as wire:
        assert wire.get_manifest(f"{DEV}/{name}", "1.0.0").body == one.manifest.data
        assert wire.get_blob(f"{DEV}/{name}", one.layers[0].digest).body == one.layers[0].data


@pytest.mark.parametrize("way", ["export", "import"])
def test_a_line_that_breaks_is_taken_up_again_within_the_same_command(
    server: Pierhead, elsewhere: Pierhead, name: str, tmp_path: Path, way: str
) -> None:
    one, file = big(server, name), tmp_path / "image.tar"
    with Relay((server if way == "export" else elsewhere).port()) as relay:
        relay.cut = True
        through = {"PIERHEAD_SERVER": relay.url, "XDG_STATE_HOME": str(tmp_path)}
        if way == "export":
            relay.hold_down = 8 * MIB
        run(server, "export", f"{DEV}/{name}:1.0.0", "-o", file, environment=through if way == "export" else None)
        if way == "import":
            relay.hold_up = 8 * MIB
        run(elsewhere, "import", file, "--to", UAT, environment=through if way == "import" else None)
        assert relay.cuts == 1
        assert max(relay.up, relay.down) < 9 * MIB, "the second connection carried the rest alone"
    with elsewhere.wire() as wire:
        assert wire.get_blob(f"{UAT}/{name}", one.layers[0].digest).body == one.layers[0].data


# --- refusals -------------------------------------------------------------------------------------------------------


def test_a_tag_that_is_written_once_is_refused_before_anything_is_sent(
    server: Pierhead, name: str, tmp_path: Path
) -> None:
    first, second = image(seed=21), image(seed=22)
    with server.wire() as wire:
        wire.push(f"{UAT}/{name}", "1.0.0", first)
        wire.push(f"{DEV}/{name}", "1.0.0", second)
    file = tmp_path / "image.tar"
    run(server, "export", f"{DEV}/{name}:1.0.0", "-o", file)
    code, _, err = server.run_command("import", str(file), "--to", UAT)
    assert code == 1
    assert "cannot be overwritten" in err
    assert "Nothing was sent" in err
    with server.wire() as wire:
        assert wire.get_manifest(f"{UAT}/{name}", "1.0.0").body == first.manifest.data
        assert wire.get_manifest(f"{UAT}/{name}", second.digest).status == 404


def test_an_account_without_the_right_is_told_the_servers_own_sentence(
    server: Pierhead, name: str, tmp_path: Path
) -> None:
    with server.wire() as wire:
        wire.push(f"{DEV}/{name}", "1.0.0", image(seed=23))
    file = tmp_path / "image.tar"
    run(server, "export", f"{DEV}/{name}:1.0.0", "-o", file)
    deployer = {"PIERHEAD_USER": "svc-deploy", "PIERHEAD_PASSWORD": "deploy-secret-1"}
    code, _, err = server.run_command("import", str(file), "--to", DEV, "--as", f"{name}-new", environment=deployer)
    assert (code, "svc-deploy" in err) == (1, True), err
    nobody = {"PIERHEAD_USER": "", "PIERHEAD_PASSWORD": "", "HOME": str(tmp_path)}
    code, _, err = server.run_command("export", f"{DEV}/{name}:1.0.0", "-o", str(file), environment=nobody)
    assert (code, "pierhead login" in err) == (1, True), err


def rewritten(file: Path, digest: str, data: bytes | None) -> None:
    """The same archive, with other bytes under a digest, or without them."""
    with tarfile.open(file) as archive:
        entries = [(one, archive.extractfile(one).read()) for one in archive]  # type: ignore[union-attr]
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as archive:
        for entry, content in entries:
            if entry.name.endswith(digest[7:]):
                if data is None:
                    continue
                entry.size, content = len(data), data
            archive.addfile(entry, io.BytesIO(content))


@pytest.mark.parametrize(
    ("what", "said"),
    [("layer", "are others"), ("manifest", "are others"), ("longer layer", "its manifest says"), ("gone", "not whole")],
)
def test_an_archive_with_other_bytes_than_its_digests_name_sets_no_tag(
    server: Pierhead, elsewhere: Pierhead, tmp_path: Path, name: str, what: str, said: str
) -> None:
    two = index({"linux/amd64": image(seed=31), "linux/arm64": image(seed=32, architecture="arm64")})
    with server.wire() as wire:
        wire.push(f"{DEV}/{name}", "1.0.0", two)
    file = tmp_path / "image.tar"
    run(server, "export", f"{DEV}/{name}:1.0.0", "-o", file)
    layer, manifest = two.images[1].layers[0], two.images[0].manifest
    if what == "manifest":
        rewritten(file, manifest.digest, manifest.data.replace(b"layers", b"lay3rs"))
    else:
        other = {"layer": bytes(layer.size), "longer layer": layer.data + b"x", "gone": None}[what]
        rewritten(file, layer.digest, other)
    code, _, err = elsewhere.run_command("import", str(file), "--to", DEV)
    assert (code, said in err) == (1, True), err
    with elsewhere.wire() as wire:
        assert wire.get_manifest(f"{DEV}/{name}", "1.0.0").status == 404


def test_one_of_a_kind_is_counted_as_one(server: Pierhead, name: str, tmp_path: Path) -> None:
    with server.wire() as wire:
        wire.push(f"{DEV}/{name}", "1.0.0", image(seed=4))
    out = run(server, "export", f"{DEV}/{name}:1.0.0", "-o", tmp_path / "x.tar")
    assert "content  1 manifest, 0 of them" in out
    code, _, err = server.run_command("import", str(tmp_path / "x.tar"), "--to", DEV, "--as", "BAD")
    assert (code, err) == (1, "`BAD` is no name of an image: it looks like orchestrator/server:1.0.0, or server.\n")


def test_an_export_does_not_take_the_place_of_a_device_or_a_pipe(server: Pierhead, name: str, tmp_path: Path) -> None:
    with server.wire() as wire:
        wire.push(f"{DEV}/{name}", "1.0.0", image(seed=3))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code, out, err = server.run_command("export", f"{DEV}/{name}:1.0.0", "-o", str(pipe))
    assert (code, out) == (1, "")
    assert f"{pipe} cannot be written: It is no file, but a device or a pipe." in err
    assert [path.is_fifo() for path in tmp_path.iterdir()] == [True]


def test_a_server_that_is_not_there_is_named(tmp_path: Path, server: Pierhead) -> None:
    nowhere = {"PIERHEAD_SERVER": f"http://127.0.0.1:{free_port()}"}
    code, _, err = server.run_command("export", f"{DEV}/x:1", "-o", str(tmp_path / "x.tar"), environment=nowhere)
    assert code == 1
    assert "cannot be reached" in err
