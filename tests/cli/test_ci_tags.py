"""`pierhead ci tags`: what a job reads from it, and one sentence where there is nothing to read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.processes import plain_environment, run

SHA = "a1b2c3d4"
MAIN = {"CI_COMMIT_BRANCH": "main", "CI_COMMIT_REF_NAME": "main", "CI_COMMIT_SHORT_SHA": SHA}
NEXUS = {
    "NEXUS_REGISTRY": "nexus.shared.cwiq.io:8443",
    "NEXUS_IMAGE": "nexus.shared.cwiq.io:8443/orchestrator/server",
}


def call(home: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pierhead", "ci", "tags", *options]
    environment = plain_environment(home, variables)
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=90)


def printed(home: Path, *options: str, **variables: str) -> list[str]:
    done = call(home, *options, **variables)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.splitlines()


def refused(home: Path, *options: str, **variables: str) -> str:
    done = call(home, *options, **variables)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert done.stderr.count("\n") == 1
    return done.stderr.strip()


def test_one_tag_a_line_and_nothing_else(tmp_path: Path) -> None:
    assert printed(tmp_path, **MAIN) == [f"main-{SHA}", "latest"]
    assert printed(tmp_path, CI_COMMIT_TAG="v1.4.0", CI_COMMIT_SHORT_SHA=SHA) == ["1.4.0", "stable"]
    assert printed(tmp_path, CI_COMMIT_BRANCH="Fix/Login", CI_COMMIT_SHORT_SHA=SHA) == [f"branch-fix-login-{SHA}"]
    assert list(tmp_path.iterdir()) == []


def test_json_tells_the_rule_as_well(tmp_path: Path) -> None:
    told = json.loads("".join(printed(tmp_path, "-o", "json", **MAIN)))
    tags = [f"main-{SHA}", "latest"]
    assert told == {"tags": tags, "moving": ["latest"], "rule": "main", "image_tag": tags[0]}


def test_what_cannot_be_tagged_is_said_in_one_line_and_writes_nothing(tmp_path: Path) -> None:
    assert "neither CI_COMMIT_BRANCH nor CI_COMMIT_TAG is set" in refused(tmp_path, "--dotenv", "build.env")
    assert "build metadata" in refused(tmp_path, "--dotenv", "build.env", CI_COMMIT_TAG="v1.2.3+b")
    assert list(tmp_path.iterdir()) == []


def test_the_tag_is_noted_for_later_jobs_beside_what_stands_there(tmp_path: Path) -> None:
    noted = tmp_path / "build.env"
    assert printed(tmp_path, "--dotenv", "build.env", **MAIN) == [f"main-{SHA}", "latest"]
    assert noted.read_text() == f"IMAGE_TAG=main-{SHA}\n"
    noted.write_text("A=1\nIMAGE_TAG=old\n\nIMAGE_TAG_OLD=x=y\nB=\N{SNOWMAN}")
    noted.chmod(0o640)
    link = tmp_path / "link.env"
    link.symlink_to(noted)
    printed(tmp_path, "--dotenv", str(link), CI_COMMIT_TAG="v2.0")
    assert noted.read_text() == "A=1\nIMAGE_TAG_OLD=x=y\nB=\N{SNOWMAN}\nIMAGE_TAG=2.0\n"
    assert noted.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["build.env", "link.env"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    line = refused(tmp_path, "--dotenv", "no/such/build.env", **MAIN)
    assert line == "no/such/build.env cannot be written: No such file or directory. Name another file with --dotenv."
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    line = refused(tmp_path, "--dotenv", "pipe", **MAIN)
    assert line.startswith("pipe cannot be written: It is no file, but a device or a pipe.")
    assert pipe.is_fifo(), "it was renamed over"


@pytest.mark.parametrize(
    ("builder", "flag"), [("--kaniko", "--destination"), ("--buildah", "--tag"), ("--docker", "--tag")]
)
def test_a_builder_gets_a_flag_for_each_tag(builder: str, flag: str, tmp_path: Path) -> None:
    where = NEXUS["NEXUS_IMAGE"]
    expected = [f"{flag}={where}:main-{SHA}", f"{flag}={where}:latest"]
    assert printed(tmp_path, builder, **MAIN, **NEXUS) == expected
    # The image of the project itself stands before what all projects inherit.
    kaniko = {"NEXUS_REGISTRY_PUSH": "h:8443", "IMAGE_NAME": "orchestrator/mcp", "NEXUS_IMAGE_NAME": "orchestrator-mcp"}
    assert printed(tmp_path, builder, **MAIN, **{**NEXUS, **kaniko})[0] == f"{flag}=h:8443/orchestrator/mcp:main-{SHA}"
    assert printed(tmp_path, builder, "--image", "h:1/a/b", **MAIN)[0] == f"{flag}=h:1/a/b:main-{SHA}"
    only = {"NEXUS_REGISTRY": "h:8443", "NEXUS_IMAGE_NAME": "team/app"}
    assert printed(tmp_path, builder, **MAIN, **only)[0] == f"{flag}=h:8443/team/app:main-{SHA}"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "set NEXUS_IMAGE, or NEXUS_REGISTRY and IMAGE_NAME, or give --image"),
        ({"NEXUS_REGISTRY": "h:8443"}, "set IMAGE_NAME, such as orchestrator/server, or give --image"),
        ({"IMAGE_NAME": "a/b"}, "set NEXUS_REGISTRY, the registry's host and port, or give --image"),
        ({"NEXUS_IMAGE": "h:8443/Team/App"}, "`Team/App` cannot be a name"),
        ({"NEXUS_IMAGE": "app"}, "`app` is no image of a registry: write HOST:PORT/NAME"),
    ],
)
def test_a_destination_that_is_not_known_is_asked_for(variables: dict[str, str], words: str, tmp_path: Path) -> None:
    assert words in refused(tmp_path, "--kaniko", "--dotenv", "build.env", **MAIN, **variables)
    assert list(tmp_path.iterdir()) == []


def test_a_command_line_that_contradicts_itself_ends_with_2(tmp_path: Path) -> None:
    assert call(tmp_path, "--kaniko", "--docker", **MAIN, **NEXUS).returncode == 2
    assert call(tmp_path, "--kaniko", "-o", "json", **MAIN, **NEXUS).returncode == 2


def test_a_file_gives_the_strategy_whatever_else_it_holds(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "tls: {certificate: /no/such.crt, key: /no/such.key}\n"  # of the server's machine
        "tags:\n  trunk: {branch: [trunk, main], names: ['{short_sha}', 't-{slug}'], once: [nowhere]}\n"
    )
    assert printed(tmp_path, "--config", "own.yaml", **MAIN) == [SHA, "t-main"]
    assert printed(tmp_path, PIERHEAD_CONFIG=str(own), **MAIN) == [SHA, "t-main"]
    assert "fits no rule" in refused(tmp_path, "--config", "own.yaml", CI_COMMIT_TAG="v1.0")
    own.write_text("tags:\n  trunk: {branch: main, names: ['{sha}']}\n")
    done = call(tmp_path, "--config", "own.yaml", **MAIN)
    assert done.returncode == 2
    assert done.stderr.startswith("own.yaml line 2: `names: {sha}` holds {sha}, which stands for nothing.")
    assert call(tmp_path, "--config", "none.yaml", **MAIN).returncode == 2


def test_it_starts_without_the_servers_modules(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pierhead.cli.main import main\n"
        "try:\n    main(['ci', 'tags'])\nexcept SystemExit as ended:\n    assert not ended.code, ended.code\n"
        "print(*sorted(sys.modules))"
    )
    environment = plain_environment(tmp_path, {**MAIN, "PYTHONPATH": os.pathsep.join(sys.path)})
    *_, loaded = run([sys.executable, "-c", code], environment=environment).stdout.splitlines()
    heavy = {"aiohttp", "apsw", "asyncio", "cryptography", "jinja2", "pydantic", "ruamel", "rich", "ssl", "uvloop"}
    assert not heavy & set(loaded.split())
    assert not [name for name in loaded.split() if name.startswith(("pierhead.boot", "pierhead.faces"))]
