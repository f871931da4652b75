"""The example file of the shared environment, as it is shipped, with its addresses exchanged for free ones."""

from __future__ import annotations

from pathlib import Path

from tests.peers.pierhead import Pierhead
from tests.peers.wire import Wire
from tests.promises.houses import DEV, GROUP

EXAMPLES = Path(__file__).parents[2] / "examples/cwiq"
PROXY = "docker-proxy-dockerhub"
SHARED_PORTS = {8081: "main", 8443: DEV, 8444: GROUP}
SECRETS = {
    f"SVC_{name.upper()}_PASSWORD": f"{name}-secret"
    for name in ("orchestrator", "datastore", "deployer", "promoter", "admin")
}


def example(name: str, ports: dict[int, str], upstream: str) -> str:
    """The text of an example file with its addresses exchanged."""
    text = (EXAMPLES / name).read_text()
    for port, repository in ports.items():
        assert f"127.0.0.1:{port}" in text
        text = text.replace(f"127.0.0.1:{port}", f"auto:{repository}")
    hub = "upstream: https://registry-1.docker.io"
    assert text.count(hub) == 1
    return text.replace(hub, f"upstream: {upstream}\n    library: true")


def password(account: str) -> str:
    return SECRETS[f"{account.upper().replace('-', '_')}_PASSWORD"]


def as_account(server: Pierhead, account: str, port: str = "main") -> Wire:
    return server.wire(port, account, password(account))
