"""`pierhead ci login` with a real Vault: what it writes, and one sentence for each way in which it fails."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.ci_job import PULL, PUSH, Job, entry
from tests.peers.fixtures import StartOpenBao, made
from tests.peers.gitlab import GitLab, gitlab, spoiled
from tests.peers.openbao import ROLE, OpenBao

PASSWORD = "orchestrator-secret-1"
SECRETS: dict[str, dict[str, object]] = {
    "nexus/no-password": {"username": "no-password"},
    "nexus/empty": {"username": "empty", "password": ""},
    "nexus/number": {"username": "number", "password": 5},
    "nexus/colon": {"username": "a:b", "password": PASSWORD},
    "nexus/deleted": {"username": "deleted", "password": PASSWORD},
    "nexus/destroyed": {"username": "destroyed", "password": PASSWORD},
    "other/secret": {"username": "other", "password": PASSWORD},
}


@pytest.fixture(scope="module")
def vault() -> Iterator[OpenBao]:
    with made(OpenBao) as server:
        server.furnish(gitlab(), {"svc-orchestrator": PASSWORD, "svc-datastore": "datastore-secret-1"})
        for name, fields in SECRETS.items():
            server.put_secret(name, fields)
        server.delete_secret("nexus/deleted")
        server.call("PUT", "secret/destroy/nexus/destroyed", {"versions": [1]}).expect(204)
        server.mount("old", version=1)
        server.call("POST", "old/data/nexus/x", {"username": "x", "password": PASSWORD}).expect(204)
        server.policy("reads-all", "*")
        server.role("reads-all", [gitlab().url], policies=["reads-all"])
        server.role("other-claim", [gitlab().url], bound_claims={"ref_protected": "false"})
        server.role("needs-claim", [gitlab().url], bound_claims={"no_such": "true"})
        server.role("odd-user", [gitlab().url], user_claim="no_such")
        server.enable_jwt(GitLab("https://gitlab.elsewhere.cwiq.io"), at="jwt-elsewhere")
        server.role(ROLE, [gitlab().url], at="jwt-elsewhere")
        yield server


@pytest.fixture
def job(vault: OpenBao, tmp_path: Path) -> Job:
    return Job(tmp_path, vault.url)


def test_a_job_is_logged_in_to_both_ports_and_vault_has_its_token_back(job: Job, vault: OpenBao) -> None:
    done = job.succeeds()
    assert done.stdout == f"Logged in to {PUSH} and {PULL} as svc-orchestrator, in {job.config}.\n"
    assert done.stderr == ""
    assert job.read_config() == {"auths": dict.fromkeys((PUSH, PULL), entry("svc-orchestrator", PASSWORD))}
    assert job.config.stat().st_mode & 0o777 == 0o600
    assert list(job.docker.iterdir()) == [job.config]
    assert vault.live_tokens() == 1  # the root's


def test_json_tells_the_same_and_no_secret(job: Job) -> None:
    done = job.succeeds("-o", "json")
    assert json.loads(done.stdout) == {
        "account": "svc-orchestrator",
        "from": "secret/data/nexus/svc-orchestrator",
        "registries": [PUSH, PULL],
        "helper": False,
        "files": [str(job.config)],
    }


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        (["--account", "svc-datastore"], {}),
        (["--path", "/v1/secret/data/nexus/svc-datastore"], {}),
        ([], {"NEXUS_ACCOUNT": "svc-datastore"}),
        (["--account", "svc-datastore"], {"NEXUS_ACCOUNT": "svc-orchestrator"}),
        (["--path", "secret/data/nexus/svc-datastore"], {"NEXUS_ACCOUNT": "svc-orchestrator"}),
    ],
)
def test_another_account_can_be_named(options: list[str], variables: dict[str, str], job: Job) -> None:
    assert "as svc-datastore" in job.succeeds(*options, **variables).stdout
    assert job.read_config()["auths"][PULL] == entry("svc-datastore", "datastore-secret-1")


def test_account_and_path_at_once_are_a_command_line_that_cannot_be_understood(job: Job) -> None:
    assert job.login("--account", "a", "--path", "secret/data/a").returncode == 2


def test_two_names_of_one_registry_are_one_entry(job: Job) -> None:
    assert job.succeeds(NEXUS_REGISTRY_PULL=PUSH).stdout.startswith(f"Logged in to {PUSH} as ")
    assert list(job.read_config()["auths"]) == [PUSH]


# Options, variables that differ, and what the sentence says. VAULT is the address of Vault.
REFUSED: dict[str, tuple[list[str], dict[str, str], str]] = {
    "no address": ([], {"VAULT_ADDR": ""}, "VAULT_ADDR is not set"),
    "no token": ([], {"VAULT_ID_TOKEN": ""}, "VAULT_ID_TOKEN is not set"),
    "no push port": ([], {"NEXUS_REGISTRY": ""}, "NEXUS_REGISTRY is not set"),
    "no pull port": ([], {"NEXUS_REGISTRY_PULL": ""}, "NEXUS_REGISTRY_PULL is not set"),
    "no host": ([], {"NEXUS_REGISTRY": "https://nexus:8443"}, "NEXUS_REGISTRY is no host with its port"),
    "host without scheme": ([], {"VAULT_ADDR": "vault.cwiq.io:8200"}, "VAULT_ADDR is no address of a server"),
    "password in it": ([], {"VAULT_ADDR": "https://u:the-password-1@v"}, "VAULT_ADDR is no address of a server"),
    "odd port": ([], {"VAULT_ADDR": "https://vault:99999"}, "VAULT_ADDR is no address of a server"),
    "nobody there": ([], {"VAULT_ADDR": "http://127.0.0.1:9"}, "cannot be reached (Connection refused)"),
    "no such host": ([], {"VAULT_ADDR": "http://vault.invalid"}, "cannot be reached"),
    "odd host": ([], {"VAULT_ADDR": "http://a..b"}, "http://a..b does not answer like Vault"),
    "tls of none": ([], {"VAULT_ADDR": "https"}, "does not speak TLS as it should"),
    "odd namespace": ([], {"VAULT_NAMESPACE": "a\nb"}, "VAULT_NAMESPACE holds characters"),
    "other namespace": ([], {"VAULT_NAMESPACE": "nowhere"}, "does not know that namespace"),
    "odd patience": ([], {"VAULT_CLIENT_TIMEOUT": "soon"}, "VAULT_CLIENT_TIMEOUT is no number of seconds"),
    "no jwt": ([], {"VAULT_ID_TOKEN": "the-password-1"}, "What stands in VAULT_ID_TOKEN is no JWT"),
    "unknown role": (["--role", "nexus"], {}, "VAULT knows no role nexus: name another with --role"),
    "odd role": (["--role", "a b"], {}, "The role is no name of a role"),
    "audience": ([], {"VAULT_ID_TOKEN": "aud"}, "wants another audience than https://elsewhere.cwiq.io"),
    "project": ([], {"VAULT_ID_TOKEN": "project"}, "is not for this job: its project_id is 99"),
    "other claim": (["--role", "other-claim"], {}, "is not for this job: its ref_protected is true"),
    "claim not there": (["--role", "needs-claim"], {}, "is not for this job: its no_such is nothing"),
    "odd user": (["--role", "odd-user"], {}, 'refuses the login with role odd-user: claim "no_such" not found'),
    "expired": ([], {"VAULT_ID_TOKEN": "expired"}, "VAULT_ID_TOKEN is expired"),
    "early": ([], {"VAULT_ID_TOKEN": "early"}, "VAULT_ID_TOKEN is not valid yet"),
    "issuer": ([], {"VAULT_ID_TOKEN": "issuer"}, "VAULT does not take tokens from https://elsewhere.cwiq.io"),
    "changed": ([], {"VAULT_ID_TOKEN": "changed"}, "VAULT does not know the key that signed VAULT_ID_TOKEN"),
    "other key": (["--auth-path", "jwt-elsewhere"], {}, "VAULT does not know the key that signed VAULT_ID_TOKEN"),
    "no mount": (["--auth-path", "gitlab"], {}, "VAULT has no JWT login at auth/gitlab"),
    "odd mount": (["--auth-path", "../x"], {}, "--auth-path is no path of Vault's"),
    "odd account": (["--account", "../x"], {}, "The account is no name of a service account"),
    "may not read": (["--path", "secret/data/other/secret"], {}, "Role nexus-ci of VAULT may not read secret/data/oth"),
    "nor without data": (["--path", "secret/nexus/x"], {}, "data/ behind its name, --path secret/data/nexus/x."),
    "not there": (["--account", "svc-nobody"], {}, "VAULT holds no secret at secret/data/nexus/svc-nobody"),
    "deleted": (["--account", "deleted"], {}, "secret/data/nexus/deleted in VAULT is deleted"),
    "destroyed": (["--account", "destroyed"], {}, "secret/data/nexus/destroyed in VAULT is destroyed"),
    "no field": (["--account", "no-password"], {}, "has no field `password`"),
    "empty field": (["--account", "empty"], {}, "has no field `password`"),
    "no text": (["--account", "number"], {}, "has no field `password`"),
    "colon": (["--account", "colon"], {}, "holds a colon in `username`"),
    "version 1": (["--role", "reads-all", "--path", "old/data/nexus/x"], {}, "no secret of a KV store of version 2"),
    "no data": (["--role", "reads-all", "--path", "secret/nexus/x"], {}, "read at --path secret/data/nexus/x"),
    "no store": (["--role", "reads-all", "--path", "nowhere/data/x"], {}, "has no store at nowhere/"),
    "no secret": (["--role", "reads-all", "--path", "sys/mounts"], {}, "no secret of a KV store of version 2"),
}


def tokens() -> dict[str, str]:
    issued = gitlab()
    return {
        "aud": issued.id_token(aud="https://elsewhere.cwiq.io"),
        "project": issued.id_token(project_id=99),
        "expired": issued.id_token(lives=-3600),
        "early": issued.id_token(nbf=int(time.time()) + 3600),
        "issuer": issued.id_token(iss="https://elsewhere.cwiq.io"),
        "changed": spoiled(issued.id_token()),
    }


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_come_off_is_said_in_one_sentence_without_a_secret(name: str, job: Job, vault: OpenBao) -> None:
    options, variables, words = REFUSED[name]
    asked = dict(variables)
    if "VAULT_ID_TOKEN" in asked:
        asked["VAULT_ID_TOKEN"] = tokens().get(asked["VAULT_ID_TOKEN"], asked["VAULT_ID_TOKEN"])
    if asked.get("VAULT_ADDR") == "https":
        asked["VAULT_ADDR"] = vault.url.replace("http:", "https:")
    line = job.refused(*options, **asked)
    assert words.replace("VAULT ", f"{vault.url} ") in line
    assert vault.live_tokens() == 1
    assert not re.search(rf"{PASSWORD}|the-password-1|eyJ|\bs\.\w{{20}}", line)


def test_a_vault_that_is_sealed_or_on_its_first_day_says_so(start_openbao: StartOpenBao, tmp_path: Path) -> None:
    sealed, new = start_openbao(), start_openbao(initialised=False)
    sealed.furnish(gitlab(), {"svc-orchestrator": PASSWORD})
    job = Job(tmp_path, sealed.url)
    sealed.seal()
    assert job.refused() == f"{sealed.url} is sealed: somebody has to unseal it."
    assert job.refused(VAULT_ADDR=new.url).startswith(f"{new.url} is not initialised")
    sealed.unseal()
    job.succeeds()


def test_tls_is_trusted_by_the_authority_that_is_named(start_openbao: StartOpenBao, tmp_path: Path) -> None:
    server = start_openbao(tls=True)
    server.furnish(gitlab(), {"svc-orchestrator": PASSWORD})
    job = Job(tmp_path, server.url)
    assert "is not trusted (" in job.refused()
    assert "VAULT_CACERT" in job.refused()
    assert "No such file or directory" in job.refused(VAULT_CACERT=str(tmp_path / "nothing.pem"))
    (tmp_path / "odd.pem").write_text("no certificate\n")
    assert "no certificate in it can be read" in job.refused(VAULT_CACERT=str(tmp_path / "odd.pem"))
    assert "look at VAULT_ADDR" in job.refused(VAULT_ADDR=server.url.replace("https:", "http:"))
    job.succeeds(VAULT_CACERT=str(server.authority))
