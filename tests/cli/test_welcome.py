"""What the server prints when it is ready works as it is printed."""

from __future__ import annotations

import os
import re
import subprocess

from tests.peers.engine import DockerEngine
from tests.peers.fixtures import StartPierhead


def printed_commands(log: str) -> list[str]:
    return [line.strip() for line in log.splitlines() if re.match(r" +(docker|tar) ", line)]


def test_the_printed_commands_work_as_they_stand(start_pierhead: StartPierhead, docker_engine: DockerEngine) -> None:
    server = start_pierhead()
    commands = printed_commands(server.log)
    assert [command.split()[:2] for command in commands] == [
        ["docker", "login"],
        ["docker", "login"],
        ["tar", "-cf"],
        ["docker", "push"],
        ["docker", "pull"],
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(server.folder),
        "DOCKER_HOST": f"unix://{docker_engine.socket}",
        "DOCKER_CONFIG": str(server.folder / "docker"),
    }
    for command in commands:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=server.folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    with server.wire("docker-group") as wire:
        assert wire.tags("hello/pier") == ["1"]


def test_an_account_without_its_secret_is_warned_about_and_no_fault(start_pierhead: StartPierhead) -> None:
    server = start_pierhead(environment={"SVC_ORCHESTRATOR_PASSWORD": ""})
    assert "WARNING" in server.log
    assert "svc-orchestrator" in server.log
