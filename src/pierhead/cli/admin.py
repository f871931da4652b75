"""``pierhead admin``: what works on a data folder, with the server running or not."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from pierhead.cli.client import Json

_FORM = click.option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True,
                     help="Lines for people, or JSON for programs.")  # fmt: skip


@click.group()
def admin() -> None:
    """Work on a data folder; no server is needed."""


@admin.command("reset-password")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The data folder.")
@_FORM
def reset_password(data: Path, form: str) -> None:
    """Give the account `admin` a new random password, in admin.password in the data folder.

    A running server takes the new one at once and refuses the old one within a minute.
    """
    from pierhead.boot.reset import NoDataFolder, reset

    try:
        path = reset(data)
    except NoDataFolder as fault:
        print(fault, file=sys.stderr)
        sys.exit(1)
    words = f"The account admin has a new password:  cat {path}"
    print(json.dumps({"account": "admin", "file": str(path)}) if form == "json" else words)


@admin.command("rotate-keys")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The data folder.")
@click.option("--drop-old", is_flag=True, help="Take the old keys out at once: after a theft.")
@_FORM
def rotate_keys(data: Path, drop_old: bool, form: str) -> None:
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
    words = f"The new key is {kid}." + (" The old ones are gone." if drop_old else "")
    print(json.dumps({"key": kid, "dropped_old": drop_old}) if form == "json" else words)


@admin.command("rotate-record-key")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The data folder.")
@_FORM
def rotate_record_key(data: Path, form: str) -> None:
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
    print(json.dumps({"key": key}) if form == "json" else f"The new key is {key}.")


@admin.command("refresh-tokens")
@click.argument("account")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The data folder.")
@click.option("--revoke", type=int, metavar="ID", help="Take this one back.")
@click.option("--revoke-all", is_flag=True, help="Take all of the account back.")
@_FORM
def refresh_tokens(account: str, data: Path, revoke: int | None, revoke_all: bool, form: str) -> None:
    """List what clients keep in place of an account's password, or take it back.

    There are such tokens only with `tokens: {refresh: true}`. Who loses one logs in again.
    """
    from pierhead.boot.chores import refresh_tokens as listed
    from pierhead.boot.chores import revoke_refresh_tokens
    from pierhead.boot.reset import NoDataFolder

    try:
        if revoke is None and not revoke_all:
            rows = listed(data, account)
            items = [{"id": row.id, **_times(row.made, row.used, row.until), "client": row.client} for row in rows]
            _list(items, account, form)
            return
        count = revoke_refresh_tokens(data, account, None if revoke_all else revoke)
    except NoDataFolder as fault:
        print(fault, file=sys.stderr)
        sys.exit(1)
    if not count:
        print(f"{account} has no such refresh token.", file=sys.stderr)
        sys.exit(1)
    print(json.dumps({"account": account, "revoked": count}) if form == "json" else f"Taken back: {count}.")


def _list(items: Sequence[Json], account: str, form: str) -> None:
    if form == "json":
        print(json.dumps({"items": items, "next": None}))
        return
    if not items:
        print(f"No client keeps a refresh token of {account}.", file=sys.stderr)
    for one in items:
        made, used, until = (str(one[name])[:10] for name in ("made", "used", "until"))
        print(f"{one['id']}  made {made}, used {used}, until {until}  {one['client']}".rstrip())


def _times(made: int, used: int, until: int) -> dict[str, str]:
    return {"made": _at(made), "used": _at(used), "until": _at(until)}


def _at(micros: int) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(micros / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
