"""docs/accounts.md shows what the commands print: each of its consoles is typed, in order, and compared.

`python -m tests.promises.test_accounts_page` writes the output anew.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.peers.images import image
from tests.peers.pierhead import Pierhead, house
from tests.promises.desk import tell

PAGE = Path(__file__).parents[2] / "docs/accounts.md"
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MINUTE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")
PORTS = {"main": 8081, "docker-hosted-dev": 8443, "docker-group": 8444}


def served() -> Pierhead:
    """What the page takes for granted: the example house with a few images in it."""
    return Pierhead(house("http://127.0.0.1:9"))


def furnish(server: Pierhead) -> None:
    with server.wire("docker-hosted-dev") as wire:
        wire.push("orchestrator/server", "1.4.1", image(seed=1))
    with server.wire() as wire:
        wire.push("docker-hosted-uat/orchestrator/server", "1.4.0", image(seed=2))
    tell(server, "POST", "/account/tokens", {"name": "laptop"})


def typed(server: Pierhead, line: str) -> str:
    """What a line of a console prints, with the ports of the page."""
    text, _, reads = line.partition(" < ")
    known = {"PIERHEAD_SERVER": server.url(), "PIERHEAD_USER": "admin", "PIERHEAD_PASSWORD": server.admin_password}
    program, *arguments = shlex.split(text)
    assert program == "pierhead"
    done = subprocess.run(
        [sys.executable, "-m", "pierhead", *arguments],
        env={**server.environment(), **known},
        input="a-password-of-16\n" if reads else "",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    out = done.stdout + done.stderr
    for name, port in PORTS.items():
        out = out.replace(server.address(name), f"127.0.0.1:{port}").replace(f"({server.port(name)})", f"({port})")
    return MINUTE.sub("2026-11-26 09:30 UTC", out)


def played(server: Pierhead, text: str) -> str:
    """The page with what its commands print now."""

    def console(found: re.Match[str]) -> str:
        lines = [line for line in found[1].splitlines() if line.startswith("$ ")]
        return "```console\n" + "".join(f"{line}\n{typed(server, line[2:])}" for line in lines) + "```"

    return CONSOLE.sub(console, text)


def test_each_console_of_the_page_prints_what_it_shows() -> None:
    with served() as server:
        furnish(server)
        assert played(server, PAGE.read_text()) == PAGE.read_text()


def test_the_page_shows_consoles_and_every_verb_of_explain() -> None:
    shown = "".join(CONSOLE.findall(PAGE.read_text()))
    assert all(f"$ pierhead explain {verb} " in shown for verb in ("pull", "push", "promote"))


if __name__ == "__main__":
    with served() as writing:
        furnish(writing)
        PAGE.write_text(played(writing, PAGE.read_text()))
