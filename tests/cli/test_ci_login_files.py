"""What `pierhead ci login` does to the files in which Docker and Podman keep logins."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.ci_job import PULL, PUSH, Job, entry
from tests.cli.odd_vault import OddVault

BOTH = dict.fromkeys((PUSH, PULL), entry("u", "the-password-1"))


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    """With a Vault that always answers well: here it is about files."""
    with OddVault({}) as odd:
        yield Job(tmp_path, odd.url)


def test_what_stands_in_the_file_stays(job: Job) -> None:
    before = {
        "auths": {"quay.io": entry("robot", "x"), PUSH: {"auth": "b2xk", "identitytoken": "old"}},
        "credHelpers": {"gcr.io": "gcloud"},
        "detachKeys": "ctrl-e,e",
        "plugins": {"scan": {"optin": "false"}},
        "HttpHeaders": {"User-Agent": "é"},
    }
    job.write_config(before)
    os.chmod(job.config, 0o644)
    assert job.succeeds().stderr == ""
    assert job.read_config() == {**before, "auths": {"quay.io": entry("robot", "x"), **BOTH}}
    assert job.config.stat().st_mode & 0o777 == 0o600


def test_an_empty_file_is_a_file_to_write_to(job: Job) -> None:
    job.write_config("\n")
    job.succeeds()
    assert job.read_config() == {"auths": BOTH}


def test_helpers_that_would_be_asked_instead_are_turned_off_and_named(job: Job) -> None:
    job.write_config({"credsStore": "desktop", "credHelpers": {PUSH: "ecr-login", "gcr.io": "gcloud"}})
    said = job.succeeds().stderr
    assert f"taken out of credHelpers, which would be asked instead: ecr-login of {PUSH}." in said
    assert f"credsStore desktop is turned off for {PUSH} and {PULL}, and stays for others" in said
    assert job.read_config() == {
        "auths": BOTH,
        "credsStore": "desktop",
        "credHelpers": {PUSH: "", "gcr.io": "gcloud", PULL: ""},
    }
    assert "taken out" not in job.succeeds().stderr


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "it holds no JSON"),
        ("[]", "it holds no JSON object"),
        ('{"auths": []}', "`auths` is no object"),
        ('{"credHelpers": 1}', "`credHelpers` is no object"),
        ("[" * 200_000, "it holds no JSON"),
    ],
)
def test_a_file_that_cannot_be_understood_is_left_alone(text: str, why: str, job: Job) -> None:
    job.write_config(text)
    assert f"{job.config} cannot be changed: {why}." in job.refused()


def test_a_folder_that_cannot_be_written_to_is_named(job: Job) -> None:
    (job.home / "file").write_text("no folder\n")
    assert f"{job.home}/file/config.json cannot be written: " in job.refused(DOCKER_CONFIG=str(job.home / "file"))
    job.config.mkdir(parents=True)
    assert f"{job.config} cannot be written: Is a directory" in job.refused()


def test_another_folder_and_a_link_are_respected(job: Job) -> None:
    folder, kept = job.home / "of the job", job.home / "kept.json"
    kept.write_text("{}")
    folder.mkdir()
    (folder / "config.json").symlink_to(kept)
    assert f", in {folder}/config.json." in job.succeeds(DOCKER_CONFIG=str(folder)).stdout
    assert (folder / "config.json").is_symlink()
    assert "auths" in kept.read_text()
    assert not job.docker.exists()


def test_podmans_file_is_written_where_it_is_named_or_there(job: Job) -> None:
    named, runtime = job.home / "named.json", job.home / "run"
    done = job.succeeds(REGISTRY_AUTH_FILE=str(named), XDG_RUNTIME_DIR=str(runtime))
    assert f", in {job.config} and {named}." in done.stdout
    assert named.read_bytes() == job.config.read_bytes()
    assert named.stat().st_mode & 0o777 == 0o600
    usual = runtime / "containers" / "auth.json"
    assert str(usual) not in job.succeeds(XDG_RUNTIME_DIR=str(runtime)).stdout
    usual.parent.mkdir(parents=True)
    usual.write_text("{}")
    assert f", in {job.config} and {usual}." in job.succeeds(XDG_RUNTIME_DIR=str(runtime)).stdout
    assert usual.read_bytes() == job.config.read_bytes()


def test_one_file_for_both_programs_is_written_once(job: Job) -> None:
    assert f", in {job.config}." in job.succeeds(REGISTRY_AUTH_FILE=str(job.config)).stdout


def test_jobs_that_share_a_home_lose_no_entry(job: Job) -> None:
    """Each writes its own two registries; whoever reads before another has written would take its entries away."""
    started = []
    command = [sys.executable, "-m", "pierhead", "ci", "login"]
    for number in range(6):
        own = {"NEXUS_REGISTRY": f"push-{number}:1", "NEXUS_REGISTRY_PULL": f"pull-{number}:1"}
        started.append(subprocess.Popen(command, env=job.environment(own), stdout=subprocess.DEVNULL))
    assert [process.wait(60) for process in started] == [0] * 6
    assert len(job.read_config()["auths"]) == 12
    assert [path.name for path in job.docker.iterdir()] == ["config.json"]
