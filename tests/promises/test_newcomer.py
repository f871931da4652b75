"""A fresh copy, `make run`, and then what is printed, and what the README says, word for word.

The example listens on fixed ports, so everything here runs in a network of its own (Linux, as root).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers.engine import DockerEngine
from tests.peers.fixtures import made
from tests.peers.processes import PeerMissing, Server, plain_environment, program, run

ROOT = Path(__file__).parents[2]
PASSWORD_LINE = "The first password, of the account admin:"


class FreshCopy(Server):
    """`make run` in a copy of the checkout, in a network namespace that has nothing but a loopback."""

    name = "newcomer"
    ready_seconds = 60.0

    def __init__(self) -> None:
        if os.geteuid() != 0:
            raise PeerMissing("a network of its own can be made by root only")
        self._unshare, self._enter, self._make = program("unshare"), program("nsenter"), program("make")
        super().__init__()
        self.checkout = self.folder / "pierhead"
        left_out = shutil.ignore_patterns(".git", ".venv", "data", "data-dev", "__pycache__", ".*_cache", ".hypothesis")
        shutil.copytree(ROOT, self.checkout, ignore=left_out)
        installed(self.checkout)

    def command(self) -> Sequence[str]:
        made_up = f"ip link set lo up && cd {self.checkout} && exec {self._make} run"
        return [self._unshare, "--net", "sh", "-c", made_up]

    def ready(self) -> bool:
        return "docker pull " in self.log

    def stop(self) -> int:
        """make passes nothing on to what it runs: the whole session is ended."""
        self.kill()
        return 0

    def inside(self) -> list[str]:
        """Words before a command that put it into this network."""
        return [self._enter, f"--net=/proc/{self.pid}/ns/net"]

    def shell(self, line: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a line as it stands, in the copy."""
        command = [*self.inside(), "sh", "-c", f"cd {self.checkout} && {line}"]
        return run(command, environment=environment, check=False)


def installed(checkout: Path) -> None:
    """What `make setup` leaves behind, without a download: a .venv with the packages of this one, and its stamp."""
    venv.create(checkout / ".venv", with_pip=False, symlinks=True)
    packages = next((checkout / ".venv/lib").glob("python*/site-packages"))
    (packages / "packages.pth").write_text(f"{checkout / 'src'}\n{sysconfig.get_paths()['purelib']}\n")
    script = checkout / ".venv/bin/pierhead"
    script.write_text(
        f"#!{checkout}/.venv/bin/python\nimport sys\nfrom pierhead.cli.main import main\nsys.exit(main())\n"
    )
    script.chmod(0o755)
    # As scripts/setup writes it.
    key = subprocess.run(
        ["sh", "-c", "{ cat requirements/run.txt pyproject.toml; pwd -P; } | cksum"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    (checkout / ".venv/.installed-run").write_text(key.stdout)


class EngineInside(DockerEngine):
    """A Docker engine in the same network."""

    def __init__(self, copy: FreshCopy) -> None:
        self._copy = copy
        super().__init__()

    def command(self) -> Sequence[str]:
        return [*self._copy.inside(), *super().command()]


@dataclass(frozen=True)
class Newcomer:
    """Somebody with a terminal, in the copy, beside the running program."""

    copy: FreshCopy
    engine: EngineInside

    def types(self, line: str) -> subprocess.CompletedProcess[str]:
        environment = plain_environment(
            self.engine.folder,
            {
                "DOCKER_HOST": f"unix://{self.engine.socket}",
                "DOCKER_CONFIG": str(self.engine.config_dir),
                "PATH": "/usr/bin:/usr/sbin:/bin:/sbin",
            },
        )
        return self.copy.shell(line, environment)

    def succeeds(self, line: str) -> str:
        done = self.types(line)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}\n{self.copy.log[-3000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def newcomer() -> Iterator[Newcomer]:
    with made(FreshCopy) as copy, made(lambda: EngineInside(copy)) as engine:
        yield Newcomer(copy, engine)


@pytest.mark.engine
@pytest.mark.server
def test_what_make_run_prints_works_as_printed(newcomer: Newcomer) -> None:
    log = newcomer.copy.log
    assert "setup:" not in log, "nothing was to be installed"
    for address in ("http://127.0.0.1:8081", "127.0.0.1:8443", "127.0.0.1:8444"):
        assert address in log
    found = re.search(rf"{PASSWORD_LINE}\s+cat (\S+)", log)
    assert found, log
    password = newcomer.succeeds(f"cat {found[1]}").strip()
    assert len(password) >= 16
    assert password not in log
    printed = [line.strip() for line in log.partition("Try it:")[2].splitlines() if line.startswith("  ")]
    assert [line.split()[1] for line in printed if line.startswith("docker")] == ["login", "login", "push", "pull"]
    for line in printed:
        newcomer.succeeds(line)


def commands(heading: str, language: str, number: int) -> list[str]:
    """The lines of the code block of this number (from 0) below a heading of the README."""
    section = (ROOT / "README.md").read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    block = re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[number]
    return [line for line in block.splitlines() if line]


@pytest.mark.engine
@pytest.mark.server
def test_what_the_readme_says_works_as_it_says(newcomer: Newcomer) -> None:
    assert commands("Ten minutes", "sh", 0)[-1] == "make run"
    newcomer.engine.make_tiny_image("image:latest")
    tried = commands("Ten minutes", "sh", 1)
    from_hub = [line for line in tried if "python:" in line]
    assert len(from_hub) == 1
    for line in tried:
        if line not in from_hub:
            newcomer.succeeds(line.replace(" IMAGE ", " image:latest "))
    # There is no Docker Hub in this network; that is said soon, and with the reason where docker shows one.
    hub = newcomer.types(from_hub[0])
    assert hub.returncode != 0
    assert "503" in hub.stderr or "Docker Hub" in hub.stderr or "registry-1.docker.io" in hub.stderr

    prompt, *printed = commands("Ten minutes", "console", 0)
    mistake = newcomer.types(prompt.removeprefix("$ "))
    assert mistake.returncode != 0
    for line in printed:
        assert line in mistake.stdout + mistake.stderr

    looked = commands("Ten minutes", "sh", 2)
    told = newcomer.succeeds("\n".join(["set -e", *looked]))
    assert "1.0.0" in told
    assert "docker-hosted-dev" in told


def test_the_copy_runs_the_python_that_the_tests_run(newcomer: Newcomer) -> None:
    told = newcomer.succeeds(".venv/bin/python -c 'import pierhead, sys; print(sys.version); print(pierhead.__file__)'")
    version, file = told.splitlines()[0], told.splitlines()[-1]
    assert version == sys.version.splitlines()[0]
    assert file.startswith(str(newcomer.copy.checkout))
