"""`pierhead ci init`: what it writes, for whom, and that it writes over nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.peers.processes import plain_environment

SHARED = Path(__file__).parents[2] / "examples/cwiq/shared.yaml"
CATALOGUE = ("--config", str(SHARED))


def call(home: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pierhead", "ci", "init", *options]
    environment = plain_environment(home, variables)
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=90)


def written(home: Path, *options: str, **variables: str) -> Any:
    """The file, read."""
    done = call(home, *options, **variables)
    assert (done.returncode, done.stderr) == (0, ""), done
    return YAML(typ="safe").load(home / ".gitlab-ci.yml")


def refused(home: Path, *options: str, **variables: str) -> str:
    done = call(home, *options, **variables)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert done.stderr.count("\n") == 1
    return done.stderr.strip()


@pytest.mark.parametrize("word", ["8", "agent-runner", "orchestrator/mcp", "mcp", ""])
def test_a_service_is_known_by_its_project_its_name_and_its_image(word: str, tmp_path: Path) -> None:
    found = written(tmp_path, *filter(None, [word]), *CATALOGUE, CI_PROJECT_ID="8")
    assert found["variables"] == {"IMAGE_NAME": "orchestrator/mcp", "NEXUS_IMAGE_NAME": "orchestrator/mcp"}
    assert found["include"] == [{"project": "platform/ci-templates", "file": ".gitlab-ci-common.yml"}]
    assert [name for name in found if "extends" in (found[name] or ())] == ["build", "scan", "promote", "deploy"]
    assert found["build"]["extends"] == ".pierhead-build-buildah"


def test_it_says_what_it_wrote(tmp_path: Path) -> None:
    done = call(tmp_path, "server", *CATALOGUE)
    assert done.stdout == (
        "Wrote .gitlab-ci.yml: builds orchestrator/server of server with buildah, GitLab project 5; jobs from "
        "platform/ci-templates.\n"
    )
    told = json.loads(call(tmp_path, "5", *CATALOGUE, "--force", "-o", "json").stdout)
    assert told == {
        "file": ".gitlab-ci.yml",
        "service": "server",
        "image": "orchestrator/server",
        "project_id": "5",
        "builder": "buildah",
        "templates": "platform/ci-templates",
    }


def test_the_tags_of_the_strategy_stand_at_its_head(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("tags: {trunk: {branch: trunk, names: ['t-{short_sha}'], moving: [edge]}}\n")
    written(tmp_path, "team/app", "--config", str(own), "--builder", "kaniko", "--templates", "ci/common.yml")
    text = (tmp_path / ".gitlab-ci.yml").read_text()
    assert "#   branch trunk: t-{short_sha}, edge\n" in text
    assert "  - local: ci/common.yml\n" in text
    assert "tags:\n  extends: .pierhead-tags-kaniko\n" in text


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    kept = tmp_path / ".gitlab-ci.yml"
    kept.write_text("mine: {}\n")
    line = refused(tmp_path, "server", *CATALOGUE)
    assert line == ".gitlab-ci.yml is there and stays as it is. Write over it with --force, or name another --file."
    kept.unlink()
    kept.symlink_to("nowhere.yml")
    refused(tmp_path, "server", *CATALOGUE)
    assert kept.is_symlink()
    assert [path.name for path in tmp_path.iterdir()] == [".gitlab-ci.yml"]
    assert call(tmp_path, "server", *CATALOGUE, "--force").returncode == 0
    assert "orchestrator/server" in kept.read_text()
    assert "cannot be written: No such file or directory" in refused(tmp_path, "a/b", "--file", "no/such/x.yml")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "It is no file, but a device" in refused(tmp_path, "server", *CATALOGUE, "--file", "pipe", "--force")
    assert pipe.is_fifo(), "it was renamed over"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["srver", *CATALOGUE], "`srver` is no service, image or project of the catalogue. Did you mean server?"),
        (["orchestrator/agnt", *CATALOGUE], "Did you mean orchestrator/agent?"),
        (["99", *CATALOGUE], "There are server, ui, agent, "),
        ([*CATALOGUE], "Which service is not known: name one of server, ui, "),
        (["server"], "name the file that has `services` with --config"),
        (["Team/App"], "`Team/App` cannot be a name"),
        ([], "name the image, such as orchestrator/server"),
    ],
)
def test_a_service_that_is_not_known_is_asked_for(options: list[str], words: str, tmp_path: Path) -> None:
    assert words in refused(tmp_path, *options)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_faults_ends_with_2(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("services: {server: {image: 'a:1'}}\n")
    done = call(tmp_path, "server", "--config", str(own))
    assert done.returncode == 2
    assert done.stderr.startswith("own.yaml line 1: `image: a:1` is no image's name")
