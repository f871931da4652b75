"""What the server prints when it is ready: where it is, where the first password is, and what to try."""

from __future__ import annotations

from pathlib import Path

from pierhead.boot.first_start import PASSWORD_FILE
from pierhead.boot.settings import GroupSettings, HostedSettings, Settings


def welcome(settings: Settings) -> str:
    """Several lines, ready to copy from."""
    push = _first(settings, HostedSettings)
    pull = _first(settings, GroupSettings) or push
    password = _shown(settings.data / PASSWORD_FILE)
    lines = ["", f"Pierhead is ready at {settings.external_url}"]
    if push:
        lines.append(f"  push to    {push}")
    if pull:
        lines.append(f"  pull from  {pull}")
    lines.append(f"  by path    {settings.external}/REPOSITORY/IMAGE:TAG")
    lines.append(f"The first password, for the account admin, is in {password}")
    if push and pull:
        lines += [
            "Try:",
            f"  docker login {push} -u admin --password-stdin < {password}",
            f"  docker tag IMAGE {push}/orchestrator/server:1.0.0 && docker push {push}/orchestrator/server:1.0.0",
            f"  docker login {pull} -u admin --password-stdin < {password}",
            f"  docker pull {pull}/orchestrator/server:1.0.0",
        ]
    return "\n".join(lines)


def _first(settings: Settings, kind: type[HostedSettings | GroupSettings]) -> str:
    for repository in settings.repositories.values():
        if isinstance(repository, kind) and (external := settings.external_of(repository)) is not None:
            return str(external)
    return ""


def _shown(path: Path) -> str:
    """Relative to the working folder where it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
