"""Commands for accounts, roles and access tokens: what they print, what they read, what they never take."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.peers.pierhead import Pierhead, house

PASSWORD = "a-password-of-14"


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(house()) as started:
        yield started


def typed(
    server: Pierhead, *args: str, stdin: str = "", user: str = "admin", password: str | None = None, ends: int = 0
) -> tuple[str, str]:
    """Standard output and standard error of a command that ends with ``ends``."""
    known = {
        "PIERHEAD_SERVER": server.url(),
        "PIERHEAD_USER": user,
        "PIERHEAD_PASSWORD": server.admin_password if password is None else password,
    }
    done = subprocess.run(
        [sys.executable, "-m", "pierhead", *args],
        env={**server.environment(), **known},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == ends, (done.stdout, done.stderr)
    return done.stdout, done.stderr


def test_an_account_lives_through_all_its_commands(server: Pierhead) -> None:
    rule = ("--right", "pull", "--right", "push", "--image", "team/*", "--repository", "docker-hosted-dev")
    out, _ = typed(server, "roles", "set", "team", *rule)
    assert out == "team gives: pull and push on team/* in docker-hosted-dev.\n"
    out, _ = typed(server, "accounts", "add", "anna", "--role", "team", "--person", stdin=f"{PASSWORD}\n")
    assert out == "anna is made.\n"
    out, _ = typed(server, "whoami", user="anna", password=PASSWORD)
    assert out.splitlines() == [
        f"anna at {server.url()}, signed in with a password.",
        "team: pull and push on team/* in docker-hosted-dev",
    ]
    lines = typed(server, "accounts")[0].splitlines()
    heads = ["NAME", "ROLES", "STATE", "LAST", "USED", "FROM", "KIND", "OLD", "PASSWORD", "USED", "CREATED", "BY"]
    assert lines[0].split() == heads
    assert next(line for line in lines if line.startswith("anna ")).split()[1:3] == ["team", "active"]
    for verb, told in (("disable", "anna is disabled.\n"), ("enable", "anna is enabled.\n")):
        assert typed(server, "accounts", verb, "anna")[0] == told
    out, _ = typed(server, "accounts", "password", "anna", stdin="the-next-of-anna\n", user="anna", password=PASSWORD)
    assert out == "anna has another password.\n"
    typed(server, "whoami", user="anna", password=PASSWORD, ends=1)
    shown, _ = typed(server, "accounts", "show", "anna")
    assert "anna (REST, person), active." in shown
    assert "team: pull and push on team/*" in shown
    _, err = typed(server, "roles", "remove", "team", ends=1)
    assert err.startswith("The role team is in use: anna.")
    typed(server, "accounts", "roles", "anna", "deployer")
    assert typed(server, "roles", "remove", "team")[0] == "team is removed.\n"
    assert typed(server, "accounts", "remove", "anna")[0] == "anna is removed.\n"
    typed(server, "accounts", "show", "anna", ends=1)


def test_a_new_access_token_is_all_of_standard_output_and_shown_once(server: Pierhead) -> None:
    out, err = typed(server, "tokens", "make", "ci", "--right", "pull", "--expires", "7d")
    secret = out.strip()
    assert secret.startswith("ph_")
    assert out == f"{secret}\n"
    assert "shown this once" in err
    out, _ = typed(server, "whoami", password=secret)
    assert "signed in with the access token ci." in out
    assert "Of that, this token leaves: pull on every image" in out
    listed, _ = typed(server, "tokens")
    assert secret not in listed
    assert "ci" in listed
    assert typed(server, "tokens", "revoke", "ci")[0] == "ci is revoked.\n"
    _, err = typed(server, "whoami", password=secret, ends=1)
    assert "This access token was revoked" in err
    _, err = typed(server, "tokens", "revoke", "ci", ends=1)
    assert "There is no access token `ci`." in err


def test_json_is_what_the_route_answers(server: Pierhead) -> None:
    made = json.loads(typed(server, "tokens", "make", "json", "--expires", "never", "-o", "json")[0])
    assert made["expires"] is None
    listed = json.loads(typed(server, "tokens", "-o", "json")[0])
    assert [one["id"] for one in listed["items"]] == [made["id"]]
    assert json.loads(typed(server, "accounts", "-o", "json")[0])["next"] is None
    said = json.loads(typed(server, "explain", "pull", "team/x:1", "-o", "json")[0])
    assert (said["allowed"], said["code"]) == (False, "manifest_unknown")


def test_rules_come_from_a_file_or_from_standard_input(server: Pierhead) -> None:
    rules = [{"rights": ["pull"]}, {"rights": ["push"], "images": ["a/*"], "tags": ["{version}"]}]
    out, _ = typed(server, "roles", "set", "two", "--rules", "-", stdin=json.dumps(rules))
    assert out == "two gives: pull on every image; push on a/*, under tags {version}.\n"
    shown = json.loads(typed(server, "roles", "show", "two", "-o", "json")[0])
    out, _ = typed(server, "roles", "set", "again", "--rules", "-", stdin=json.dumps(shown["rules"]))
    assert out.partition(" ")[2] == "gives: pull on every image; push on a/*, under tags {version}.\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("accounts", "add", "x", "--role", "deployer"), "No password came"),
        (("accounts", "add", "x", "--role", "no-such", "--no-password"), "There is no role `no-such`"),
        (("accounts", "add", "svc-deploy", "--role", "deployer", "--no-password"), "in the configuration file"),
        (("accounts", "disable", "admin"), "pierhead admin reset-password"),
        (("roles", "set", "x"), "Say what the role gives"),
        (("roles", "set", "x", "--image", "a"), "--right"),
        (("roles", "set", "x", "--rules", "/no/such/file"), "cannot be read"),
        (("tokens", "make", "x", "--expires", "90"), "no duration"),
        (("tokens", "make", "x", "--right", "fly"), "is no right"),
        (("explain", "pull", "Upper/x:1"), "cannot be a name"),
        (("explain", "promote", "x:1", "--to", "mars"), "There is no repository `mars` here."),
    ],
)
def test_a_fault_is_one_line_that_says_what_to_do(server: Pierhead, args: tuple[str, ...], said: str) -> None:
    _, err = typed(server, *args, ends=1)
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["accounts add", "accounts password", "tokens make"])
def test_no_command_takes_a_secret_among_its_words(server: Pierhead, command: str) -> None:
    out, _ = typed(server, *command.split(), "--help")
    assert "--password " not in out
    assert "--secret" not in out
