"""The command ``pierhead``. Each subcommand has a file of its own and is imported when it is called."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Mapping
from typing import Final

import click

from pierhead import __version__

COMMANDS: Final = {
    "accounts": "pierhead.cli.accounts:accounts",
    "admin": "pierhead.cli.admin:admin",
    "board": "pierhead.cli.board:board",
    "ci": "pierhead.cli.ci:ci",
    "approve": "pierhead.cli.promotions:approve",
    "audit": "pierhead.cli.audit:audit",
    "completion": "pierhead.cli.completion:completion",
    "delete": "pierhead.cli.delete:delete",
    "diff": "pierhead.cli.diff:diff",
    "expire": "pierhead.cli.expire:expire",
    "explain": "pierhead.cli.explain:explain",
    "export": "pierhead.cli.export:export",
    "gc": "pierhead.cli.gc:gc",
    "health": "pierhead.cli.health:health",
    "images": "pierhead.cli.images:images",
    "import": "pierhead.cli.image_import:import_",
    "inspect": "pierhead.cli.inspect:inspect",
    "lint": "pierhead.cli.lint:lint",
    "login": "pierhead.cli.login:login",
    "logout": "pierhead.cli.login:logout",
    "promote": "pierhead.cli.promote:promote",
    "promotions": "pierhead.cli.promotions:promotions",
    "reject": "pierhead.cli.promotions:reject",
    "records": "pierhead.cli.records:records",
    "repositories": "pierhead.cli.repositories:repositories",
    "roles": "pierhead.cli.roles:roles",
    "running": "pierhead.cli.running:running",
    "serve": "pierhead.cli.serve:serve",
    "services": "pierhead.cli.services:services",
    "status": "pierhead.cli.status:status",
    "tag": "pierhead.cli.tag:tag",
    "tags": "pierhead.cli.images:tags",
    "tokens": "pierhead.cli.tokens:tokens",
    "verify": "pierhead.cli.verify:verify",
    "whoami": "pierhead.cli.whoami:whoami",
}

_CANNOT_WRITE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


class Lazy(click.Group):
    """A group whose commands are imported when they are called: starting stays quick."""

    places: Mapping[str, str] = COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted."""
        return sorted(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """None for a name that is no command."""
        place = self.places.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command


class Program(Lazy):
    """The command itself: what it prints either arrives or is told not to have, on one line and with 1."""

    def invoke(self, ctx: click.Context) -> object:
        """Runs the subcommand, and writes out what it printed while a fault can still be told."""
        stand_in()
        try:
            try:
                answer: object = super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except OSError as error:
            if error.filename is not None or error.errno not in _CANNOT_WRITE:
                raise
            print(f"What this prints cannot be written: {error.strerror}.", file=sys.stderr)
            forget_output()
            sys.exit(1)
        return answer


def stand_in() -> None:
    """Puts /dev/null where standard input, output or error was closed by the caller (``>&-``): otherwise the next file
    or connection that is opened gets its number, and log lines are written into that."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def forget_output() -> None:
    """What is still buffered goes nowhere, so that the interpreter does not try again when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="pierhead")
def main() -> None:
    """A container registry manager: push to one port, pull from another, promote what was tested."""
