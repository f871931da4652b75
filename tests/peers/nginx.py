"""nginx with a configuration of the test's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.peers.processes import Server, answers, free_port, program

_FRAME = """\
daemon off;
pid {folder}/nginx.pid;
error_log stderr info;
worker_processes 1;
events {{ worker_connections 512; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
{servers}
}}
"""


class Nginx(Server):
    """`servers` is what stands in nginx's `http` block; `{port}` and `{folder}` in it are filled in."""

    name = "nginx"

    def __init__(self, servers: str, folder: Path | None = None) -> None:
        super().__init__(folder)
        self._program = program("nginx")
        self.port = free_port()
        inner = servers.replace("{port}", str(self.port)).replace("{folder}", str(self.folder))
        self._config_path = self.folder / "nginx.conf"
        self._config_path.write_text(_FRAME.format(folder=self.folder, servers=inner))

    def command(self) -> Sequence[str]:
        return [self._program, "-c", str(self._config_path), "-p", str(self.folder), "-e", "stderr"]

    def ready(self) -> bool:
        return answers(self.port)
