"""A Docker engine of the tests' own: no bridge, no firewall rules, nothing of the machine's engine is touched."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.peers.images import Image, docker_archive, tar_of
from tests.peers.processes import PeerMissing, Server, plain_environment, program, run


class DockerEngine(Server):
    """dockerd on a Unix socket in its own folder. Engines take registries on 127.0.0.0/8 without TLS."""

    name = "dockerd"
    ready_seconds = 40.0
    stop_seconds = 30.0

    def __init__(self, folder: Path | None = None) -> None:
        self._program, self._client = program("dockerd"), program("docker")
        if os.geteuid() != 0:
            raise PeerMissing("a Docker engine can be started by root only")
        super().__init__(folder)
        self.socket = self.folder / "docker.sock"
        self.config_dir = self.folder / "client"

    def command(self) -> Sequence[str]:
        return [
            self._program,
            *("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"),
            *("--storage-driver", "vfs", "--data-root", str(self.folder / "data")),
            *("--exec-root", str(self.folder / "exec"), "--pidfile", str(self.folder / "dockerd.pid")),
            *("--config-file", str(self._empty_config()), "-H", f"unix://{self.socket}"),
        ]

    def _empty_config(self) -> Path:
        path = self.folder / "daemon.json"  # otherwise it reads the machine's own
        path.write_text("{}")
        return path

    def ready(self) -> bool:
        return self.socket.exists() and self.docker("version", check=False).returncode == 0

    def docker(
        self,
        *args: str,
        config_dir: Path | None = None,
        stdin: bytes | None = None,
        check: bool = True,
        seconds: float = 90,
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker ARGS` against this engine; credentials of `docker login` go to `config_dir`."""
        command = [self._client, "--config", str(config_dir or self.config_dir), "-H", f"unix://{self.socket}", *args]
        return run(command, environment=plain_environment(self.folder), stdin=stdin, check=check, seconds=seconds)

    def login(self, address: str, username: str, password: str, *, config_dir: Path | None = None) -> None:
        """`docker login`, the password on standard input. Raises PeerFailed with the client's words."""
        args = ("login", "--username", username, "--password-stdin", address)
        self.docker(*args, config_dir=config_dir, stdin=password.encode())

    def make_tiny_image(self, name: str, content: bytes = b"a ship comes in\n") -> None:
        """An image of one layer with one file, made without any network; `name` is NAME:TAG."""
        self.docker("import", "--message", "made for a test", "-", name, stdin=tar_of({"cargo.txt": content}))

    def run_image(self, name: str, *args: str) -> str:
        """`docker run` an image (pulled if it is not here) without a network; what it prints."""
        return self.docker("run", "--rm", "--network=none", name, *args).stdout

    def load(self, image: Image, name: str) -> None:
        """`docker load` an image that was built in Python; `name` is NAME:TAG."""
        self.docker("load", "--quiet", stdin=docker_archive(image, name))
