"""containerd and its client `ctr`: the resolver and pusher that Kubernetes nodes and newer Docker engines use."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.peers.processes import Server, plain_environment, program, run


class Containerd(Server):
    """A daemon of its own, without snapshots and without Kubernetes' part."""

    name = "containerd"

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder)
        self._program, self._client = program("containerd"), program("ctr")
        self._socket = self.folder / "c.sock"
        self._config_path = self.folder / "config.toml"
        self._config_path.write_text(
            f"version = 2\nroot = {json.dumps(str(self.folder / 'root'))}\n"
            f"state = {json.dumps(str(self.folder / 'state'))}\n"
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f"[grpc]\n  address = {json.dumps(str(self._socket))}\n"
        )

    def command(self) -> Sequence[str]:
        return [self._program, "--config", str(self._config_path)]

    def ready(self) -> bool:
        return self._socket.exists() and self.ctr("version", check=False).returncode == 0

    def ctr(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`ctr ARGS`. With `check`, raises PeerFailed with its output unless it ends with 0."""
        command = [self._client, "--address", str(self._socket), *args]
        return run(command, environment=plain_environment(self.folder), check=check)

    def push(self, reference: str, login: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`login` is NAME:PASSWORD."""
        return self.ctr("images", "push", "--plain-http", "--user", login, reference, check=check)

    def fetch(self, reference: str, login: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Pulls all content of an image, of every platform, without unpacking it."""
        who = ["--user", login] if login else []
        return self.ctr("content", "fetch", "--plain-http", "--all-platforms", *who, reference, check=check)

    def content(self, digest: str) -> bytes:
        """What it stored under a digest."""
        algorithm, _, encoded = digest.partition(":")
        place = self.folder / "root" / "io.containerd.content.v1.content" / "blobs" / algorithm / encoded
        return place.read_bytes()
