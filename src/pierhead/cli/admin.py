"""``pierhead admin``: what works on a data folder, with the server running or not."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.group()
def admin() -> None:
    """Work on a data folder; no server is needed."""


@admin.command("reset-password")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The data folder.")
def reset_password(data: Path) -> None:
    """Give the account `admin` a new random password, in admin.password in the data folder.

    A running server takes the new one at once and refuses the old one within a minute.
    """
    from pierhead.boot.reset import NoDataFolder, reset

    try:
        path = reset(data)
    except NoDataFolder as fault:
        print(fault, file=sys.stderr)
        sys.exit(1)
    print(f"The account admin has a new password:  cat {path}")
