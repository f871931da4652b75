"""An image goes from one installation to another with all that belongs to it, and the other one's rules hold."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peers.images import Image, artifact, image, index, random_layer
from tests.peers.pierhead import PASSWORDS, Pierhead, house
from tests.peers.processes import free_port
from tests.promises.relay import Relay

pytestmark = [pytest.mark.server, pytest.mark.timeout(240)]

DEV, UAT = "docker-hosted-dev", "docker-hosted-uat"
MIB = 1 << 20


@pytest.fixture(scope="module")
def here() -> Iterator[Pierhead]:
    with Pierhead(house()) as started:
        yield started


@pytest.fixture(scope="module")
def there() -> Iterator[Pierhead]:
    with Pierhead(house()) as started:
        yield started


@pytest.fixture
def name() -> str:
    return f"orchestrator/x{uuid.uuid4().hex[:12]}"


def login_there(there: Pierhead, account: str = "admin") -> dict[str, str]:
    password = there.admin_password if account == "admin" else PASSWORDS[account]
    return {"PIERHEAD_TO_USER": account, "PIERHEAD_TO_PASSWORD": password}


def promote(here: Pierhead, there: Pierhead, *args: str, url: str = "", **more: str) -> Any:
    to = f"{url or there.url()}/{DEV}"
    environment = {**login_there(there), **more}
    code, out, err = here.run_command("promote", *args, "--to", to, "-o", "json", environment=environment)
    assert code == 0, err
    return json.loads(out)


def test_an_image_goes_to_another_installation_with_its_platforms_and_referrers_and_the_same_again_sends_nothing(
    here: Pierhead, there: Pierhead, name: str
) -> None:
    both = index({"linux/amd64": image(seed=1), "linux/arm64": image(seed=2, architecture="arm64")})
    sbom, of_child = artifact(both, payload=b"sbom"), artifact(both.images[0], payload=b"of a platform")
    old = artifact(payload=b"cosign of old")
    with here.wire() as wire:
        wire.push(f"{DEV}/{name}", "1.0.0", both)
        for one in (sbom, of_child):
            wire.push(f"{DEV}/{name}", one.digest, one)
        wire.push(f"{DEV}/{name}", f"sha256-{both.digest[7:]}.sig", old)
    plan = promote(here, there, f"{name}:1.0.0", "--from", DEV, "--dry-run")
    assert (plan["digest"], plan["blobs_to_send"] > 0) == (both.digest, True)
    with there.wire() as wire:
        assert wire.get_manifest(f"{DEV}/{name}", "1.0.0").status == 404, "a plan changes nothing"
    done = promote(here, there, f"{DEV}/{name}:1.0.0@{both.digest}", "--as", "2.0.0", "--as", "stable")
    assert (done["tags"], done["referrers"], done["blobs_sent"]) == (["2.0.0", "stable"], 3, plan["blobs_to_send"])
    with there.wire() as wire:
        where = f"{DEV}/{name}"
        for tag in done["tags"]:
            assert wire.get_manifest(where, tag).expect(200).body == both.manifest.data
        for one in (*both.images, sbom, of_child, old):
            assert wire.get_manifest(where, one.digest).expect(200).body == one.manifest.data
            for blob in one.blobs:
                assert wire.get_blob(where, blob.digest).expect(200).body == blob.data
        listed = wire.request("GET", f"/v2/{where}/referrers/{both.digest}").json()["manifests"]
        assert [one["digest"] for one in listed] == [sbom.digest]
        assert wire.get_manifest(where, f"sha256-{both.digest[7:]}.sig").expect(200).body == old.manifest.data
    again = promote(here, there, f"{DEV}/{name}:1.0.0", "--as", "2.0.0")
    assert (again["blobs_sent"], again["bytes_sent"]) == (0, 0)


def test_what_another_repository_there_has_of_the_image_is_mounted_and_not_sent(
    here: Pierhead, there: Pierhead, name: str
) -> None:
    one = image([random_layer(200_000, 3)], seed=3)
    with here.wire() as wire:
        wire.push(f"{DEV}/{name}", "1.0.0", one)
    with there.wire() as wire:
        wire.push(f"{UAT}/{name}", "0.9.0", one)
    done = promote(here, there, f"{DEV}/{name}:1.0.0")
    assert (done["blobs_mounted"], done["bytes_sent"]) == (2, 0)


def test_the_other_sides_rules_hold(here: Pierhead, there: Pierhead, name: str) -> None:
    one, other = image(seed=4), image(seed=5)
    with here.wire() as wire:
        wire.push(f"{DEV}/{name}", "1.0.0", one)
    with there.wire() as wire:
        wire.push(f"{UAT}/{name}", "1.0.0", other)

    def refused(to: str, *args: str, **login: str) -> str:
        told = ("promote", f"{DEV}/{name}:1.0.0", "--to", to, *args)
        code, _, err = here.run_command(*told, environment=login or login_there(there))
        assert code == 1, err
        return err

    assert "written once" in refused(f"{there.url()}/{UAT}")
    publisher = login_there(there, "svc-orchestrator")
    assert "promot" in refused(f"{there.url()}/{UAT}", "--as", "2.0.0", **publisher), "the stage has another way in"
    assert "svc-deploy" in refused(f"{there.url()}/{DEV}", **login_there(there, "svc-deploy"))
    wrong = {"PIERHEAD_TO_USER": "admin", "PIERHEAD_TO_PASSWORD": "wrong"}
    assert "wrong" in refused(f"{there.url()}/{DEV}", **wrong)
    assert f"pierhead login --server {there.url()}" in refused(f"{there.url()}/{DEV}", PIERHEAD_TO_USER="")
    assert "names no repository" in refused(f"{there.url()}/")
    assert "cannot be reached" in refused(f"http://127.0.0.1:{free_port()}/{DEV}")
    assert "--from, --as and --dry-run" in refused(f"{there.url()}/{DEV}", "--comment", "x")
    with there.wire() as wire:
        assert wire.get_manifest(f"{UAT}/{name}", "1.0.0").body == other.manifest.data
        assert wire.get_manifest(f"{UAT}/{name}", "2.0.0").status == 404
        assert wire.get_manifest(f"{DEV}/{name}", "1.0.0").status == 404


def test_a_digest_that_the_tag_no_longer_has_is_refused(here: Pierhead, there: Pierhead, name: str) -> None:
    one, two = image(seed=6), image(seed=7)
    with here.wire() as wire:
        wire.push(f"{DEV}/{name}", "1.0.0", one)
        wire.push(f"{DEV}/{name}", "1.0.0", two)
    told = ("promote", f"{DEV}/{name}:1.0.0@{one.digest}", "--to", f"{there.url()}/{DEV}")
    code, _, err = here.run_command(*told, environment=login_there(there))
    assert code == 1
    assert f"is {two.digest} by now" in err


def big(here: Pierhead, name: str, seed: int) -> Image:
    one = image([random_layer(12 * MIB, seed)], seed=seed)
    with here.wire() as wire:
        wire.push(f"{DEV}/{name}", "1.0.0", one)
    return one


def test_a_command_that_was_killed_goes_on_with_its_upload_and_no_tag_was_seen_meanwhile(
    here: Pierhead, there: Pierhead, name: str, tmp_path: Path
) -> None:
    one = big(here, name, 8)
    with Relay(there.port()) as relay:
        relay.hold_up = 8 * MIB
        environment = {
            **here.environment(), **login_there(there), "PIERHEAD_SERVER": here.url(), "PIERHEAD_USER": "admin",
            "PIERHEAD_PASSWORD": here.admin_password, "XDG_STATE_HOME": str(tmp_path),
        }  # fmt: skip
        command = [sys.executable, "-m", "pierhead", "promote", f"{DEV}/{name}:1.0.0", "--to", f"{relay.url}/{DEV}"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                assert relay.held.wait(60), "nothing came so far"
            finally:
                process.kill()
        relay.free()
        with there.wire() as wire:
            assert wire.get_manifest(f"{DEV}/{name}", "1.0.0").status == 404
        done = promote(here, there, f"{DEV}/{name}:1.0.0", url=relay.url, XDG_STATE_HOME=str(tmp_path))
        assert done["bytes_resumed"] > 4 * MIB
        assert relay.up < 9 * MIB, "what was there is not sent again"
    with there.wire() as wire:
        assert wire.get_blob(f"{DEV}/{name}", one.layers[0].digest).body == one.layers[0].data


@pytest.mark.parametrize("side", ["here", "there"])
def test_a_line_that_breaks_on_either_side_is_taken_up_again(
    here: Pierhead, there: Pierhead, name: str, tmp_path: Path, side: str
) -> None:
    one = big(here, name, 9 if side == "here" else 10)
    with Relay((here if side == "here" else there).port()) as relay:
        relay.cut = True
        more = {"XDG_STATE_HOME": str(tmp_path)}
        if side == "here":
            relay.hold_down = 8 * MIB
            promote(here, there, f"{DEV}/{name}:1.0.0", PIERHEAD_SERVER=relay.url, **more)
        else:
            relay.hold_up = 8 * MIB
            promote(here, there, f"{DEV}/{name}:1.0.0", url=relay.url, **more)
        assert relay.cuts == 1
        assert max(relay.up, relay.down) < 9 * MIB
    with there.wire() as wire:
        assert wire.get_manifest(f"{DEV}/{name}", "1.0.0").body == one.manifest.data
        assert wire.get_blob(f"{DEV}/{name}", one.layers[0].digest).body == one.layers[0].data
