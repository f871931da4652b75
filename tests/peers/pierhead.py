"""The program itself, started the way a person starts it."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.peers.processes import LOOPBACK, PeerFailed, Server, free_port, plain_environment, run, wait_until
from tests.peers.wire import Wire

Config = dict[str, Any]

# What a configuration says in place of an address: a free port of 127.0.0.1, the same one wherever the name recurs.
_AUTO = re.compile(r"auto:([\w.-]+)")

# Accounts of the example house, and the passwords that tests sign in with.
PASSWORDS = {
    "svc-orchestrator": "orchestrator-secret-1",
    "svc-deploy": "deploy-secret-1",
    "svc-promoter": "promoter-secret-1",
    "svc-auditor": "auditor-secret-1",
}
_ROLES = {
    "svc-orchestrator": "publisher",
    "svc-deploy": "deployer",
    "svc-promoter": "promoter",
    "svc-auditor": "auditor",
}


def variable_of(account: str) -> str:
    return account.upper().replace("-", "_") + "_PASSWORD"


def house(upstream: str | None = None, **more: object) -> Config:
    """Three hosted repositories, a group, and a proxy if there is an upstream.

    The ports are `main`, `docker-hosted-dev` and `docker-group`.
    `more` are further keys of the top level, such as anonymous="pull".
    """
    repositories: Config = {
        "docker-hosted-dev": {"type": "hosted", "write_policy": "ALLOW", "listen": "auto:docker-hosted-dev"},
        "docker-hosted-uat": {"type": "hosted", "write_policy": "ALLOW_ONCE"},
        "docker-hosted-prod": {"type": "hosted", "write_policy": "ALLOW_ONCE"},
    }
    members = ["docker-hosted-prod", "docker-hosted-uat", "docker-hosted-dev"]
    if upstream is not None:
        repositories["docker-proxy-dockerhub"] = {
            "type": "proxy",
            "upstream": upstream,
            "fresh_for": "0s",
            "library": True,
        }
        members.append("docker-proxy-dockerhub")
    repositories["docker-group"] = {
        "type": "group",
        "listen": "auto:docker-group",
        "members": members,
        "reserve": ["orchestrator/*"],
    }
    return {
        "listen": "auto:main",
        "external_url": "http://auto:main",
        "stages": {"dev": "docker-hosted-dev", "uat": "docker-hosted-uat", "prod": "docker-hosted-prod"},
        "repositories": repositories,
        "accounts": {name: {"password_env": variable_of(name), "roles": [_ROLES[name]]} for name in PASSWORDS},
        "anonymous": "none",
        **more,
    }


class Pierhead(Server):
    """`python -m pierhead serve --config FILE --data DIR` on free ports.

    `config` is a mapping or YAML text; `auto:NAME` in it becomes 127.0.0.1:PORT, and `port(NAME)` tells that port.
    One with that name for `main` is needed, since /health is asked there.
    """

    name = "pierhead"
    ready_seconds = 20.0

    def __init__(
        self,
        config: Config | str | None = None,
        folder: Path | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        super().__init__(folder)
        self.config_path = self.folder / "pierhead.yaml"
        self.data = self.folder / "data"
        self.arguments = list(arguments)
        self.extra_environment = dict(environment or {})
        self._ports: dict[str, int] = {}
        self._scheme = "http"
        self.write_config(house() if config is None else config)

    def write_config(self, config: Config | str) -> None:
        """Write the file that the next start or `reload()` reads; names that have a port keep it."""
        text = config if isinstance(config, str) else json.dumps(config, indent=2)  # YAML includes JSON
        self._scheme = "https" if re.search(r'^\s*"?tls"?\s*:', text, re.MULTILINE) else "http"
        self.config_path.write_text(_AUTO.sub(lambda found: f"{LOOPBACK}:{self.port(found[1], new=True)}", text))

    def port(self, name: str = "main", *, new: bool = False) -> int:
        """The port that `auto:NAME` stands for: `main`, or as a rule a repository's name."""
        if new and name not in self._ports:
            port = free_port()
            while port in self._ports.values():
                port = free_port()
            self._ports[name] = port
        return self._ports[name]

    def address(self, name: str = "main") -> str:
        """host:port, as it begins an image name."""
        return f"{LOOPBACK}:{self.port(name)}"

    def url(self, name: str = "main") -> str:
        return f"{self._scheme}://{self.address(name)}"

    def command(self) -> Sequence[str]:
        serve = ["serve", "--config", str(self.config_path), "--data", str(self.data)]
        return [sys.executable, "-m", "pierhead", *serve, *self.arguments]

    def environment(self) -> dict[str, str]:
        passwords = {variable_of(name): password for name, password in PASSWORDS.items()}
        return plain_environment(self.folder, {**passwords, "PYTHONUNBUFFERED": "1", **self.extra_environment})

    def ready(self) -> bool:
        return self.health() == 200

    def health(self, name: str = "main", path: str = "/health") -> int:
        """The status that /health (or another path) is answered with; 0 if nobody answers."""
        context = ssl._create_unverified_context() if self._scheme == "https" else None
        try:
            with urllib.request.urlopen(self.url(name) + path, timeout=5, context=context) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            return refused.code
        except OSError:
            return 0

    @property
    def admin_password(self) -> str:
        """What the first start wrote to the data folder."""
        return (self.data / "admin.password").read_text().strip()

    def wire(self, name: str = "main", username: str = "admin", password: str | None = None) -> Wire:
        """A client of this port; `username` "" is nobody, and the known accounts need no password here."""
        if username and password is None:
            password = self.admin_password if username == "admin" else PASSWORDS[username]
        return Wire(self.port(name), username, password or "")

    def wait_for_log(self, text: str, seconds: float = 10) -> None:
        """Raises PeerFailed if the log does not come to hold `text`."""
        try:
            wait_until(lambda: text in self.log, seconds, f"{text!r} in the log")
        except PeerFailed as missing:
            raise PeerFailed(self._story(str(missing))) from None

    def reload(self, config: Config | str | None = None) -> None:
        """SIGHUP, after writing `config` if there is one. The caller waits for what is to change by that."""
        if config is not None:
            self.write_config(config)
        self.signal(signal.SIGHUP)

    def restart(self) -> None:
        """Drain and end, which has to go well, and start again on the same ports and data."""
        code = self.stop()
        if code != 0:
            raise PeerFailed(self._story(f"{self.name} ended with {code} after SIGTERM"))
        self.start()

    def run_command(self, *args: str, environment: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        """Run `pierhead ARGS` beside the server, as `admin` of it; the exit code, standard output, standard error."""
        known = {"PIERHEAD_SERVER": self.url()}
        if (self.data / "admin.password").exists():
            known |= {"PIERHEAD_USER": "admin", "PIERHEAD_PASSWORD": self.admin_password}
        command = [sys.executable, "-m", "pierhead", *args]
        done = run(command, environment={**self.environment(), **known, **(environment or {})}, check=False)
        return done.returncode, done.stdout, done.stderr


def open_files_of(pid: int) -> int:
    """How many files and sockets a process holds (Linux)."""
    return len(os.listdir(f"/proc/{pid}/fd"))
