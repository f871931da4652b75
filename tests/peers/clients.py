"""skopeo, buildah and podman, each with a home, credentials and image storage of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import ClassVar

from tests.peers.processes import plain_environment, program, run


class Client:
    """Call an instance like the command: `skopeo("inspect", "docker://…")`. TLS is not asked of registries."""

    name: ClassVar[str]
    # Words of the command line after which --tls-verify=false may stand.
    without_tls: ClassVar[dict[str, tuple[str, ...]]]

    def __init__(self, folder: Path) -> None:
        self._program = program(self.name)
        self.folder = folder / self.name
        self.auth_file = self.folder / "auth.json"
        for part in ("home", "run"):
            (self.folder / part).mkdir(parents=True, exist_ok=True, mode=0o700)
        self.auth_file.write_text("{}")  # buildah refuses the name of a file that is not there

    def environment(self) -> dict[str, str]:
        more = {"XDG_RUNTIME_DIR": str(self.folder / "run"), "REGISTRY_AUTH_FILE": str(self.auth_file)}
        return plain_environment(self.folder / "home", more)

    def options(self) -> list[str]:
        """What stands between the program's name and the subcommand."""
        return []

    def __call__(
        self,
        *args: str,
        stdin: bytes | None = None,
        check: bool = True,
        seconds: float = 90,
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end. With `check`, raises PeerFailed with its output unless it ends with 0."""
        words = 2 if " ".join(args[:2]) in self.without_tls else 1
        flags = self.without_tls.get(" ".join(args[:words]), ())
        command = [self._program, *self.options(), *args[:words], *flags, *args[words:]]
        return run(command, environment=self.environment(), stdin=stdin, check=check, seconds=seconds)

    def login(self, address: str, username: str, password: str) -> None:
        """Raises PeerFailed with the client's words."""
        self("login", "--username", username, "--password-stdin", address, stdin=password.encode())


_NO_TLS = ("--tls-verify=false",)


class Skopeo(Client):
    name = "skopeo"
    without_tls: ClassVar = {
        "copy": ("--src-tls-verify=false", "--dest-tls-verify=false"),
        "sync": ("--src-tls-verify=false", "--dest-tls-verify=false"),
        **dict.fromkeys(("inspect", "list-tags", "delete", "login", "logout"), _NO_TLS),
    }

    def options(self) -> list[str]:
        return ["--insecure-policy", "--tmpdir", str(self.folder / "home")]


class Buildah(Client):
    name = "buildah"
    without_tls: ClassVar = dict.fromkeys(("push", "pull", "login", "from", "bud", "build", "manifest push"), _NO_TLS)

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "BUILDAH_ISOLATION": "chroot"}

    def options(self) -> list[str]:
        return _storage(self.folder)

    def make_image(self, name: str, files: dict[str, bytes]) -> None:
        """Build an image of one layer from nothing; `name` is NAME:TAG."""
        root = self.folder / "context"
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        container = self("from", "scratch").stdout.strip()
        self("add", "--quiet", container, str(root), "/")
        self("commit", "--quiet", "--rm", container, name)


class Podman(Client):
    name = "podman"
    without_tls: ClassVar = dict.fromkeys(("push", "pull", "login", "manifest push", "search"), _NO_TLS)

    def options(self) -> list[str]:
        return [*_storage(self.folder), "--cgroup-manager=cgroupfs", "--events-backend=none"]


def _storage(folder: Path) -> list[str]:
    return ["--storage-driver=vfs", "--root", str(folder / "storage"), "--runroot", str(folder / "runroot")]
