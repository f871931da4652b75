"""Bearer tokens of jobs: whoever has no account here brings the rules along, and they are what the trust rules gave."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.peers.images import image, random_layer
from tests.peers.issuer import Issuer
from tests.peers.pierhead import Pierhead, house
from tests.promises.bearers import Bearer, claims_of
from tests.promises.houses import DEV

AUDIENCE = "https://registry.example"
SERVER = "orchestrator/server"
LAYER = random_layer(1_000, 71)


def trusting(issuer: str) -> dict[str, object]:
    rule = {"claims": {"project_id": 5}, "rights": ["pull", "push"], "repositories": [DEV], "images": [SERVER]}
    return house(trust={"gitlab": {"issuer": issuer, "audience": AUDIENCE, "leeway": "0s", "rules": [rule]}})


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as started:
        yield started


@pytest.fixture(scope="module")
def server(issuer: Issuer) -> Iterator[Pierhead]:
    with Pierhead(trusting(issuer.url)) as started:
        yield started


def job(server: Pierhead, issuer: Issuer, project: int = 5, lives: float = 3600) -> Bearer:
    claims = issuer.signer.claims(project, SERVER, lives=lives, aud=AUDIENCE)
    return Bearer(server, DEV, "oidc", issuer.signer.sign(claims))


def test_a_job_pushes_by_token_what_its_rules_say_and_nothing_else(server: Pierhead, issuer: Issuer) -> None:
    with job(server, issuer) as client:
        said = claims_of(client.take(f"repository:{SERVER}:pull,push", "repository:orchestrator/ui:pull,push"))
        assert said["sub"] == "gitlab:project/5"
        assert [(entry["name"], entry["actions"]) for entry in said["access"]] == [
            (f"{DEV}/{SERVER}", ["pull", "push"])
        ]
        assert said["through"]["how"] == "id_token"
        assert client.password not in client.token
        for blob in image([LAYER], seed=71).blobs:
            location = client.request("POST", f"/v2/{SERVER}/blobs/uploads/", b"").expect(202).headers["Location"]
            client.request("PUT", f"{location}?digest={blob.digest}", blob.data).expect(201)
        pushed = image([LAYER], seed=71).manifest
        sent = {"Content-Type": pushed.media_type}
        client.request("PUT", f"/v2/{SERVER}/manifests/1", pushed.data, sent).expect(201)
        client.request("GET", f"/v2/{SERVER}/manifests/1").expect(200)
        refused = client.request("POST", "/v2/orchestrator/ui/blobs/uploads/", b"").expect(403)
        assert refused.message.startswith("gitlab:project/5 may not push to docker-hosted-dev/orchestrator/ui.")
        assert client.request("GET", "/v2/orchestrator/ui/manifests/1").status == 404
        assert "refresh_token" not in client.ask_token(offline_token="true").json()


def test_a_job_that_no_rule_is_about_gets_no_token_and_is_told_why(server: Pierhead, issuer: Issuer) -> None:
    with job(server, issuer, project=99) as client:
        for answer in (
            client.ask_token(f"repository:{SERVER}:pull"),
            client.post_token(grant_type="password", username="oidc", password=client.password),
        ):
            assert (answer.status, answer.code) == (403, "DENIED")
            assert "no rule of" in answer.message
            assert client.password not in answer.body.decode()


def test_a_job_whose_token_has_ended_or_is_ours_gets_none(server: Pierhead, issuer: Issuer) -> None:
    """A token of this registry is no id_token, and an id_token is no token of this registry."""
    with job(server, issuer, lives=-100) as ended:
        assert ended.ask_token().status == 401
        assert ended.post_token(grant_type="password", username="oidc", password=ended.password).status == 400
    with job(server, issuer) as client:
        client.take(f"repository:{SERVER}:pull")
        with Bearer(server, DEV, "oidc", client.token) as swapped:
            assert swapped.ask_token().status == 401
        client.token = client.password
        assert client.request("GET", "/v2/").status == 401


def test_what_a_token_costs_does_not_hang_on_the_issuer(issuer: Issuer) -> None:
    """It is read where the issuer cannot be asked any more: existing tokens go on to their end."""
    with Issuer() as own, Pierhead(trusting(own.url)) as server, job(server, own) as client:
        client.take(f"repository:{SERVER}:pull")
        own.__exit__(None, None, None)
        began = time.monotonic()
        client.request("GET", "/v2/").expect(200)
        assert client.request("GET", f"/v2/{SERVER}/manifests/1").status == 404
        assert time.monotonic() - began < 5
