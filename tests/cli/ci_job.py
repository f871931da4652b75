"""A job of a pipeline as `pierhead ci login` meets it: an environment, a home, and files in it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.peers.gitlab import gitlab
from tests.peers.processes import plain_environment, run

PUSH, PULL = "nexus.shared.cwiq.io:8443", "nexus.shared.cwiq.io:8444"
PROGRAMS = Path(sys.executable).parent
"""Where the program and its credential helper are installed."""


class Job:
    """`home` is the job's own; `vault` is the address of Vault. A variable that is set to "" counts as not set."""

    def __init__(self, home: Path, vault: str, registries: tuple[str, str] = (PUSH, PULL)) -> None:
        self.home = home
        self.docker = home / ".docker"
        self.config = self.docker / "config.json"
        self.variables = {
            "VAULT_ADDR": vault,
            "VAULT_ID_TOKEN": gitlab().id_token(project_id=5),
            "NEXUS_REGISTRY": registries[0],
            "NEXUS_REGISTRY_PULL": registries[1],
        }

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        known = plain_environment(self.home, {**self.variables, **(more or {})})
        if "PATH" not in (more or {}):
            known["PATH"] = f"{PROGRAMS}:{known['PATH']}"
        return {name: text for name, text in known.items() if text}

    def login(self, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`pierhead ci login OPTIONS`, whatever comes of it."""
        command = [sys.executable, "-m", "pierhead", "ci", "login", *options]
        return run(command, environment=self.environment(variables), check=False, seconds=60)

    def succeeds(self, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        done = self.login(*options, **variables)
        assert done.returncode == 0, done
        return done

    def refused(self, *options: str, **variables: str) -> str:
        """The one line on standard error; nothing is on standard output, and no file was written."""
        before = self.files()
        done = self.login(*options, **variables)
        assert (done.returncode, done.stdout) == (1, ""), done
        assert done.stderr.count("\n") == 1, done.stderr
        assert self.files() == before
        return done.stderr.strip()

    def helper(self, word: str, given: str = "", **variables: str) -> tuple[int, str]:
        """`docker-credential-pierhead WORD`: the exit code, and what it prints."""
        program = str(PROGRAMS / "docker-credential-pierhead")
        done = run([program, word], environment=self.environment(variables), stdin=given.encode(), check=False)
        told = done.returncode == 1 and word == "get" and "native keychain" not in done.stdout
        assert done.stderr == (done.stdout if told else "")
        return done.returncode, done.stdout.strip()

    def files(self) -> dict[str, bytes]:
        """Everything in the home, by path."""
        return {str(path): path.read_bytes() for path in sorted(self.home.rglob("*")) if path.is_file()}

    def write_config(self, document: object) -> None:
        self.docker.mkdir(mode=0o700, exist_ok=True)
        self.config.write_text(document if isinstance(document, str) else json.dumps(document))

    def read_config(self) -> Any:
        return json.loads(self.config.read_text())


def entry(username: str, password: str) -> dict[str, str]:
    """As it stands under `auths`."""
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}
