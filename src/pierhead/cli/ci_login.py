"""``pierhead ci login``: a job's login to the push port and the pull port."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from pierhead.cli.ci_ways import (
    DEFAULT_ACCOUNT,
    DEFAULT_ROLE,
    OIDC_USER,
    TOKEN_VARIABLE,
    Way,
    keep,
    place_of,
    registries_of,
    token_variable_of,
)
from pierhead.cli.client import Fault, Json
from pierhead.cli.login_files import HELPER, add_helper, add_logins, docker_folder, podman_file, rewrite
from pierhead.cli.tables import clean
from pierhead.cli.vault import Login


@click.command()
@click.option("--role", default=DEFAULT_ROLE, show_default=True, help="The role that Vault knows such jobs by.")
@click.option("--account", envvar="NEXUS_ACCOUNT", show_envvar=True, metavar="NAME",
              help=f"The service account: --path secret/data/nexus/NAME.  [default: {DEFAULT_ACCOUNT}]")  # fmt: skip
@click.option("--path", metavar="PATH", help="Where the secret is in Vault, instead of --account.")
@click.option("--auth-path", default="jwt", show_default=True, help="Where JWT logins are mounted in Vault.")
@click.option("--helper", is_flag=True, help="Write no password: Docker asks Vault anew each time it needs it.")
@click.option("--oidc", is_flag=True, help="Without Vault: the job's id_token is the password.")
@click.option("--token-variable", default=TOKEN_VARIABLE, show_default=True, metavar="NAME",
              help="With --oidc, the variable that holds the id_token.")  # fmt: skip
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="A line for people, or JSON for programs.")  # fmt: skip
@click.pass_context
def login(
    ctx: click.Context,
    role: str,
    account: str | None,
    path: str | None,
    auth_path: str,
    helper: bool,
    oidc: bool,
    token_variable: str,
    form: str,
) -> None:
    """Log a job in to NEXUS_REGISTRY and NEXUS_REGISTRY_PULL.

    Vault at VAULT_ADDR gives the password for VAULT_ID_TOKEN; it is written to config.json in DOCKER_CONFIG, and to
    Podman's file where there is one. VAULT_CACERT and VAULT_NAMESPACE are read as well.
    """
    said = ctx.get_parameter_source("account") is click.core.ParameterSource.COMMANDLINE
    if path is not None and said:
        raise click.UsageError("--account and --path say the same thing: name one of them.")
    environment = dict(os.environ)
    try:
        place = place_of(role, account or DEFAULT_ACCOUNT, path, auth_path)
        way = Way(registries_of(environment), place, oidc, token_variable_of(token_variable))
        done, remarks = _log_in(way, helper, environment)
    except Fault as fault:
        print(fault.line, file=sys.stderr)
        sys.exit(1)
    for remark in dict.fromkeys(remarks):
        print(remark, file=sys.stderr)
    if form == "json":
        print(json.dumps(done, ensure_ascii=False))
    else:
        print(_line(done))


def _log_in(way: Way, helper: bool, environment: Mapping[str, str]) -> tuple[Json, list[str]]:
    """Gets the login, which proves that it can be had, and writes the files."""
    remarks = []
    if helper and shutil.which(f"docker-credential-{HELPER}", path=environment.get("PATH")) is None:
        raise Fault(
            f"docker-credential-{HELPER} is not on PATH, where Docker looks for it: add the folder that it was "
            f"installed to, such as {Path(sys.executable).parent}."
        )
    if way.oidc:
        from pierhead.boot.moment import seconds_since_1970
        from pierhead.cli.ci_oidc import prove

        token = way.token(environment)
        token.must_not_be_over(seconds_since_1970())
        remarks += prove(way.registries[0], token)
        found = Login(OIDC_USER, token.text)
    else:
        remarks += way.remarks(environment)
        found = way.login(environment)
    files = [docker_folder(environment) / "config.json"]
    other = podman_file(environment, os.getuid())
    if other is not None and os.path.realpath(other) != os.path.realpath(files[0]):
        files.append(other)
    if helper:
        keep(way, environment)
    for file in files:
        remarks += [f"{clean(file)}: {clean(remark)}." for remark in rewrite(file, _change(way, helper, found))]
    return {
        "account": found.username,
        "from": "id_token" if way.oidc else way.place.path,
        "registries": list(way.registries),
        "helper": helper,
        "files": [str(file) for file in files],
    }, remarks


def _change(way: Way, helper: bool, found: Login) -> Callable[[Json], list[str]]:
    if helper:
        return lambda document: add_helper(document, way.registries)
    return lambda document: add_logins(document, way.registries, found)


def _line(done: Json) -> str:
    where, files = " and ".join(done["registries"]), " and ".join(map(clean, done["files"]))
    account = clean(done["account"])
    if done["helper"]:
        return f"docker-credential-{HELPER} logs in to {where} as {account}, by {files}; no password is written."
    return f"Logged in to {where} as {account}, in {files}."
