"""What may not stand in any file of the project. The words are put together here, so that this file holds none."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from tests.house.tree import at, listed, python_files, text_lines, text_of

_WISHES = ("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK")
_UNFINISHED = re.compile(rf"\b(?:{'|'.join(_WISHES)})\b")

# Of package registries; the hosts that this machine's own settings name are added at run time.
_REGISTRY_HOSTS = (
    "py" + "pi.org",
    "pythonhosted" + ".org",
    "npm" + "js.org",
    "npm" + "js.com",
    "yarnpkg" + ".com",
    "deb." + "debian.org",
    "security." + "debian.org",
    "archive." + "ubuntu.com",
    "proxy.golang" + ".org",
    "crates" + ".io",
)

_MACHINE_PATHS = re.compile(
    "|".join(re.escape(f"/{folder}/") for folder in ("wo" + "rk", "ro" + "ot", "fa" + "rm", "Us" + "ers"))
)


def found_lines(pattern: re.Pattern[str]) -> list[str]:
    return [f"{at(path, number)}: {line.strip()[:120]}" for path, number, line in text_lines() if pattern.search(line)]


def test_nothing_is_left_for_later_in_a_comment() -> None:
    found = found_lines(_UNFINISHED)
    assert not found, listed(found, "finish it or leave it out: nobody looks for a wish in a comment")


def test_nothing_in_the_program_is_a_stub() -> None:
    stub = "NotImplemented" + "Error"
    found = [at(path) for path in python_files("src") if stub in (text_of(path) or "")]
    assert not found, listed(found, "a Protocol says what has to be there, and the type checker asks for it:")


def test_no_file_names_the_host_of_a_package_registry() -> None:
    hosts = {*_REGISTRY_HOSTS, *hosts_in(settings_of_this_machine())}
    found = found_lines(re.compile("|".join(re.escape(host) for host in sorted(hosts)), re.IGNORECASE))
    assert not found, listed(
        found, "where packages come from is the machine's business: mirrors and closed networks differ"
    )


def settings_of_this_machine() -> Iterable[str]:
    """Texts in which pip, npm and apt are told where to go."""
    files = [Path.home() / ".npmrc", Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf"]
    files += [Path("/etc/pip.conf"), Path("/etc/xdg/pip/pip.conf"), Path("/etc/apt/sources.list")]
    files += Path("/etc/apt/sources.list.d").glob("*")
    for path in files:
        try:
            yield path.read_text()
        except (OSError, UnicodeDecodeError):
            continue
    for name, value in os.environ.items():
        if name.upper().startswith(("PIP_", "NPM_CONFIG_", "UV_")):
            yield value


def hosts_in(texts: Iterable[str]) -> set[str]:
    """Host names with a dot in them, of the URLs in these texts."""
    found = {host for text in texts for host in re.findall(r"https?://(?:[^@/\s]*@)?([\w.-]+)", text)}
    return {host for host in found if "." in host and not host.replace(".", "").isdigit()}


def test_no_file_names_a_path_of_one_machine() -> None:
    found = found_lines(_MACHINE_PATHS)
    assert not found, listed(found, "another machine has no such path")
