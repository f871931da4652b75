"""``pierhead admin``: what works on a data folder, with the server running or not."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
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


@admin.command("rotate-keys")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The data folder.")
@click.option("--drop-old", is_flag=True, help="Take the old keys out at once: after a theft.")
def rotate_keys(data: Path, drop_old: bool) -> None:
    """Make a new key for signing tokens.

    A running server signs with it half a minute later; tokens that the old key signed hold until they end, so nobody
    notices. With --drop-old none of them holds any more, and clients ask for others.
    """
    from pierhead.boot.chores import rotate_keys as rotate
    from pierhead.boot.reset import NoDataFolder

    try:
        kid = rotate(data, drop_old=drop_old)
    except NoDataFolder as fault:
        print(fault, file=sys.stderr)
        sys.exit(1)
    print(f"The new key is {kid}." + (" The old ones are gone." if drop_old else ""))


@admin.command("rotate-record-key")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The data folder.")
def rotate_record_key(data: Path) -> None:
    """Make a new key for signing records of promotions.

    A running server signs with it at once. Records that the old key signed are verified by its public half, which
    stays; its private half is taken away. Hand out the new one: pierhead records keys --pem
    """
    from pierhead.boot.chores import rotate_record_key as rotate
    from pierhead.boot.reset import NoDataFolder

    try:
        key = rotate(data)
    except NoDataFolder as fault:
        print(fault, file=sys.stderr)
        sys.exit(1)
    print(f"The new key is {key}.")


@admin.command("refresh-tokens")
@click.argument("account")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The data folder.")
@click.option("--revoke", type=int, metavar="ID", help="Take this one back.")
@click.option("--revoke-all", is_flag=True, help="Take all of the account back.")
def refresh_tokens(account: str, data: Path, revoke: int | None, revoke_all: bool) -> None:
    """List what clients keep in place of an account's password, or take it back.

    There are such tokens only with `tokens: {refresh: true}`. Who loses one logs in again.
    """
    from pierhead.boot.chores import refresh_tokens as listed
    from pierhead.boot.chores import revoke_refresh_tokens
    from pierhead.boot.reset import NoDataFolder

    try:
        if revoke is None and not revoke_all:
            for row in listed(data, account):
                made, used, until = (_day(at) for at in (row.made, row.used, row.until))
                print(f"{row.id}  made {made}, used {used}, until {until}  {row.client}".rstrip())
            return
        count = revoke_refresh_tokens(data, account, None if revoke_all else revoke)
    except NoDataFolder as fault:
        print(fault, file=sys.stderr)
        sys.exit(1)
    if not count:
        print(f"{account} has no such refresh token.", file=sys.stderr)
        sys.exit(1)
    print(f"Taken back: {count}.")


def _day(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1_000_000, UTC).strftime("%Y-%m-%d")
