"""What the server prints when it is ready works as it is printed."""

from __future__ import annotations

import json
import os
import re
import subprocess

from tests.peers.engine import DockerEngine
from tests.peers.fixtures import StartPierhead
from tests.peers.pierhead import house


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


def test_a_log_for_programs_is_told_in_their_form_that_it_is_ready(start_pierhead: StartPierhead) -> None:
    server = start_pierhead({**house(), "log": {"format": "json"}})
    server.wait_for_log("is ready at")
    events = [json.loads(line)["event"] for line in server.log.splitlines()]
    ready = f"is ready at {server.url()}. The first password, of the account admin, was written to data/admin.password."
    assert [event for event in events if ready in event]
    server.stop()
    (server.data / "admin.password").unlink()
    shown = len(server.log)
    server.start()
    server.wait_for_log("The account admin has the password that it had. To give it another:")
    assert "first password" not in server.log[shown:]


def test_a_password_file_that_is_not_there_is_not_read_from(start_pierhead: StartPierhead) -> None:
    server = start_pierhead()
    server.stop()
    config = house()
    config["accounts"]["admin"] = {"password_env": "ADMIN_OF_THE_FILE", "roles": ["admin"]}
    server.write_config(config)
    shown = len(server.log)
    server.start()
    server.wait_for_log("The account admin has the password that the configuration gives it.")
    assert "admin.password" not in server.log[shown:]
    server.stop()
    server.write_config(house())
    (server.data / "admin.password").unlink()
    shown = len(server.log)
    server.start()
    server.wait_for_log("reset-password")
    again = server.log[shown:]
    assert "admin.password" not in again
    assert "pierhead admin reset-password --data data\n" in again
    assert f"docker login {server.address('docker-hosted-dev')} -u admin\n" in again
