"""What people are told of a server that is ready: where it is, where the first password is, and what to try."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pierhead import __version__
from pierhead.boot.first_start import PASSWORD_FILE
from pierhead.boot.settings import GroupSettings, HostedSettings, Settings
from pierhead.faces.web.visit import Guide

_ADMIN = "admin"
_IMAGE = "hello/pier:1"


def welcome(settings: Settings) -> str:
    """Several lines, ready to copy from."""
    lines = ["", f"Pierhead {__version__} is ready at {settings.external_url}", ""]
    lines += [f"  {what:<10} {where}" for what, where in _addresses(settings)]
    if _has_first_password(settings):
        password = _shown(settings.data / PASSWORD_FILE)
        lines += ["", f"The first password, of the account admin:  cat {password}"]
        commands = _commands(settings, f" --password-stdin < {password}")
    else:
        lines += ["", _of_another_password(settings)]
        commands = _commands(settings, "")
    if commands:
        lines += ["Try it:", "", *(f"  {command}" for command in commands)]
    return "\n".join([*lines, ""])


def ready_line(settings: Settings) -> str:
    """The same on one line, for a log that programs read."""
    told = _of_another_password(settings)
    if _has_first_password(settings):
        told = f"The first password, of the account admin, was written to {_shown(settings.data / PASSWORD_FILE)}."
    return f"Pierhead {__version__} is ready at {settings.external_url}. {told}"


def _has_first_password(settings: Settings) -> bool:
    return _ADMIN not in settings.accounts and (settings.data / PASSWORD_FILE).exists()


def _of_another_password(settings: Settings) -> str:
    """Where the configuration gives admin one, and where the file is not there: a backup was restored, or somebody put
    it away."""
    if _ADMIN in settings.accounts:
        return "The account admin has the password that the configuration gives it."
    reset = f"pierhead admin reset-password --data {_shown(settings.data)}"
    return f"The account admin has the password that it had. To give it another:  {reset}"


def guide(settings: Settings) -> Guide:
    """The same for the page at the root, which anybody may read: no path of this machine stands in it."""
    return Guide(
        __version__, settings.external_url.rstrip("/"), tuple(_addresses(settings)), tuple(_commands(settings, ""))
    )


def _addresses(settings: Settings) -> Sequence[tuple[str, str]]:
    push, pull = _ports(settings)
    found = [("push to", f"{push}/IMAGE:TAG")] if push else []
    found += [("pull from", f"{pull}/IMAGE:TAG")] if pull else []
    return [*found, ("by path", f"{settings.external}/REPOSITORY/IMAGE:TAG")]


def _commands(settings: Settings, password: str) -> Sequence[str]:
    """They work as they stand, on a machine that has no image yet."""
    push, pull = _ports(settings)
    if not push or not pull:
        return ()
    logins = [f"docker login {address} -u admin{password}" for address in dict.fromkeys((push, pull))]
    return (
        *logins,
        f"tar -cf - -T /dev/null | docker import - {push}/{_IMAGE}    # or: docker tag YOUR_IMAGE {push}/{_IMAGE}",
        f"docker push {push}/{_IMAGE}",
        f"docker pull {pull}/{_IMAGE}",
    )


def _ports(settings: Settings) -> tuple[str, str]:
    push = _first(settings, HostedSettings)
    return push, _first(settings, GroupSettings) or push


def _first(settings: Settings, kind: type[HostedSettings | GroupSettings]) -> str:
    for repository in settings.repositories.values():
        if isinstance(repository, kind) and (external := settings.external_of(repository)) is not None:
            return str(external)
    return ""


def _shown(path: Path) -> str:
    """Relative to the working folder where it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
