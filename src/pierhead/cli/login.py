"""``pierhead login`` and ``pierhead logout``: an access token for this machine, approved in a browser."""

from __future__ import annotations

import os
import socket
import sys
import time
import webbrowser
from collections.abc import Callable

import click

from pierhead.cli import credentials, login_files
from pierhead.cli.client import Client, Fault, Json
from pierhead.cli.talk import Talk, talks
from pierhead.cli.vault import Login

_MACHINE_CHARACTERS = 64


@click.command()
@click.option("--no-browser", is_flag=True, help="Only show the code and where to type it.")
@click.option("--docker", is_flag=True, help="Log Docker in as well, at every port of the server.")
@click.option("--machine", metavar="NAME", help="What the page calls this machine; its host name without it.")
@talks
def login(talk: Talk, no_browser: bool, docker: bool, machine: str | None) -> None:
    """Log in with a browser, here or on another machine.

    Shows a code, opens the page where you approve it, and keeps an access token for later commands. Needs no account in
    PIERHEAD_USER; one that is set there still goes before what is kept.
    """
    client = talk.client
    name = (machine or socket.gethostname() or "unknown")[:_MACHINE_CHARACTERS]
    asked = client.send("POST", "login", body={"machine": name})
    print(f"Open  {asked['page']}", file=sys.stderr)
    print(f"Code  {asked['code']}", file=sys.stderr)
    if not no_browser and _opens(str(asked["page_with_code"])):
        print("The page is open in your browser. Compare the code, and approve it there.", file=sys.stderr)
    found = _wait(client, asked, time.sleep, time.monotonic)
    account, token = str(found["account"]), str(found["token"])
    path = credentials.keep(client.server, credentials.Kept(account, token, str(found["id"])), os.environ)
    print(f"Logged in to {client.server} as {account} until {str(found['expires'])[:10]}. Kept in {path}.")
    if docker:
        _log_docker_in(Client(client.server, account, token), Login(account, token))


@click.command()
@talks
def logout(talk: Talk) -> None:
    """Revoke the access token of this machine, and forget it."""
    client = talk.client
    kept = credentials.kept_for(client.server, os.environ)
    if kept is None:
        print(f"Nobody is logged in to {client.server} here.")
        return
    try:
        Client(client.server, kept.account, kept.token).delete("account", "tokens", kept.id)
    except Fault as fault:
        if fault.problem is None:
            raise  # the server cannot be reached: the token would hold on
    credentials.forget(client.server, os.environ)
    print(f"Logged out of {client.server}. The token is revoked.")


def _opens(page: str) -> bool:
    """Whether a browser of this machine took the page; a terminal's own would be in the way."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        return webbrowser.open(page)
    except webbrowser.Error:
        return False


def _wait(client: Client, asked: Json, sleep: Callable[[float], None], now: Callable[[], float]) -> Json:
    """What the page's answer gives. Raises Fault."""
    pause, ends = float(asked["interval"]), now() + float(asked["expires_in"])
    while now() < ends:
        sleep(pause)
        try:
            found = client.send("POST", "login", "token", body={"secret": asked["secret"]})
        except Fault as fault:
            if fault.problem is None or fault.problem.get("status") != 429:
                raise
            pause += 2  # too often, it says
            continue
        if found["state"] == "approved":
            return found
        if found["state"] == "refused":
            raise Fault("It was refused in the browser.")
        if found["state"] == "ended":
            break
    raise Fault("Nobody approved it in time. Run the command again.")


def _log_docker_in(client: Client, one: Login) -> None:
    ports = client.get("status")["ports"]
    registries = list(dict.fromkeys(str(port["external"]) for port in ports))
    path = login_files.docker_folder(os.environ) / "config.json"
    for remark in login_files.rewrite(path, lambda document: login_files.add_logins(document, registries, one)):
        print(remark, file=sys.stderr)
    print(f"Docker is logged in at {', '.join(registries)}.")
