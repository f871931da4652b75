"""``pierhead ci``: what jobs of a pipeline call. No server of Pierhead's is asked."""

from __future__ import annotations

from typing import Final

import click

from pierhead.cli.main import Lazy

COMMANDS: Final = {
    "init": "pierhead.cli.ci_init:init",
    "login": "pierhead.cli.ci_login:login",
    "tags": "pierhead.cli.ci_tags:tags",
}


class CiCommands(Lazy):
    """The commands of this group, imported when they are called."""

    places = COMMANDS


@click.group(cls=CiCommands)
def ci() -> None:
    """For jobs of a pipeline."""
