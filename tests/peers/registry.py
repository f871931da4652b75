"""The CNCF's docker-registry, as Debian packages it: a real upstream, and a yardstick."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from pathlib import Path

from tests.peers.processes import LOOPBACK, Server, free_port, program


class DockerRegistry(Server):
    """docker-registry 2.8 on a free port, without accounts unless an htpasswd file is given."""

    name = "docker-registry"

    def __init__(self, folder: Path | None = None, *, delete: bool = True, htpasswd: Path | None = None) -> None:
        super().__init__(folder)
        self._program = program("docker-registry")
        self.port = free_port()
        self._config_path = self.folder / "config.yml"
        config: dict[str, object] = {
            "version": "0.1",
            "log": {"level": "info", "accesslog": {"disabled": False}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.folder / "storage")},
                "cache": {"blobdescriptor": "inmemory"},
                "delete": {"enabled": delete},
            },
            "http": {"addr": f"{LOOPBACK}:{self.port}", "headers": {"X-Content-Type-Options": ["nosniff"]}},
        }
        if htpasswd is not None:
            config["auth"] = {"htpasswd": {"realm": "upstream", "path": str(htpasswd)}}
        self._config_path.write_text(json.dumps(config, indent=1))  # YAML includes JSON

    @property
    def address(self) -> str:
        """host:port, as it begins an image name."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def command(self) -> Sequence[str]:
        return [self._program, "serve", str(self._config_path)]

    def ready(self) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=2)
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status in {200, 401}
        except OSError:
            return False
        finally:
            connection.close()

    def requests(self) -> list[str]:
        """The lines of its access log: one for each request that it has answered, in order."""
        return [line for line in self.log.splitlines() if '"GET /' in line or '"HEAD /' in line or '"P' in line]
