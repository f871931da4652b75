"""Vault's API as OpenBao has it: what a job may read, and what it is told when it may not."""

from __future__ import annotations

import time

import pytest

from tests.peers.fixtures import StartOpenBao
from tests.peers.gitlab import GitLab, gitlab, spoiled
from tests.peers.openbao import OpenBao


@pytest.fixture
def vault(start_openbao: StartOpenBao) -> OpenBao:
    server = start_openbao()
    server.furnish(gitlab(), {"svc-orchestrator": "orchestrator-secret-1"})
    return server


def test_a_job_logs_in_reads_its_secret_and_gives_the_token_back(vault: OpenBao) -> None:
    token = vault.log_in(gitlab().id_token(project_id=5)).expect(200).body["auth"]["client_token"]
    read = vault.call("GET", "secret/data/nexus/svc-orchestrator", token=token).expect(200).body
    assert read["data"]["data"] == {"username": "svc-orchestrator", "password": "orchestrator-secret-1"}
    assert vault.live_tokens() == 2
    vault.call("POST", "auth/token/revoke-self", token=token).expect(204)
    assert vault.live_tokens() == 1
    vault.call("GET", "secret/data/nexus/svc-orchestrator", token=token).expect(403)


def test_tokens_that_prove_nothing_are_refused(vault: OpenBao) -> None:
    job = gitlab()
    told = {
        "other project": (job.id_token(project_id=99), '"project_id" does not match'),
        "other audience": (job.id_token(aud="https://elsewhere.cwiq.io"), "invalid audience"),
        "over": (job.id_token(lives=-3600), "token is expired"),
        "not yet": (job.id_token(nbf=int(time.time()) + 3600), "not yet valid"),
        "other issuer": (job.id_token(iss="https://elsewhere.cwiq.io"), "invalid issuer"),
        "other key": (GitLab().id_token(), "signature"),
        "changed": (spoiled(job.id_token()), "signature"),
    }
    for name, (token, words) in told.items():
        answer = vault.log_in(token).expect(400)
        assert words in answer.body["errors"][0], name


def test_what_is_sealed_comes_back_with_what_it_held(vault: OpenBao) -> None:
    vault.seal()
    vault.log_in(gitlab().id_token()).expect(503)
    vault.unseal()
    vault.log_in(gitlab().id_token()).expect(200)


def test_one_may_be_without_a_first_day_and_another_with_tls(start_openbao: StartOpenBao) -> None:
    new, safe = start_openbao(initialised=False), start_openbao(tls=True)
    new.call("GET", "sys/health").expect(501)
    safe.call("GET", "sys/health").expect(200)
    assert safe.url.startswith("https://")
