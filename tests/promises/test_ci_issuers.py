"""Issuers of id_tokens that are down, hang, or change their keys; and one that nobody here wrote."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.peers.fixtures import StartOpenBao
from tests.peers.gitlab import GitLab, gitlab
from tests.peers.images import image
from tests.peers.issuer import DISCOVERY, KEYS, Issuer, fails, hangs
from tests.peers.openbao import POLICY, OpenBao
from tests.peers.pierhead import Config, Pierhead
from tests.peers.processes import LOOPBACK, free_port, wait_until
from tests.peers.wire import Wire
from tests.promises.houses import DEV
from tests.promises.jobs import AUDIENCE, SERVER, Place, denied, trusting

JOBS = gitlab()


def test_row_99_and_100_an_issuer_that_is_down_or_lies_closes_its_own_door_and_no_other() -> None:
    port = free_port()
    with Pierhead(trusting(f"http://{LOOPBACK}:{port}")) as server:
        token = GitLab(f"http://{LOOPBACK}:{port}").id_token(aud=AUDIENCE)
        with Wire(server.port(DEV), "oidc", token) as wire:
            for path in ("/v2/", f"/v2/{SERVER}/manifests/latest"):
                answer = wire.request("GET", path)
                assert (answer.status, answer.code) == (503, "UNAVAILABLE")
                assert int(answer.headers["Retry-After"]) > 0
                assert "connection refused" in answer.message
        with Wire(server.port(), "oidc", token) as wire:
            assert wire.request("GET", "/api/v1/repositories").status == 503
            metrics = wire.request("GET", "/metrics", headers={"X-Forwarded-For": "192.0.2.1"})
            assert metrics.status == 503
        with server.wire(DEV, "svc-orchestrator") as wire:
            wire.request("GET", "/v2/").expect(200)


def test_while_an_issuer_hangs_everybody_else_goes_in_and_out() -> None:
    with Issuer() as issuer, Pierhead(trusting(issuer.url)) as server, ThreadPoolExecutor(8) as jobs:
        place = Place(server, issuer)
        issuer.play(hangs)
        asked = [jobs.submit(place.ping, place.token(jti=str(number))) for number in range(8)]
        wait_until(lambda: issuer.asked[KEYS] > 0, 10, "the question")
        with server.wire(DEV, "svc-orchestrator") as wire:
            wire.push("other/image", "1", image(seed=60))
            wire.get_manifest("other/image", "1").expect(200)
        assert not any(one.done() for one in asked), "a push went through meanwhile"
        assert {one.result(30).status for one in asked} == {503}
        assert issuer.asked[KEYS] == 1


def test_keys_that_an_issuer_rotates_are_known_after_a_reread_at_once_and_its_outage_does_no_harm() -> None:
    with Issuer() as issuer, Pierhead(trusting(issuer.url)) as server:
        place = Place(server, issuer)
        place.ping(place.token()).expect(200)
        issuer.play(fails())
        for _ in range(3):
            place.ping(place.token()).expect(200)
        issuer.play(None)
        before = issuer.rotate()
        assert "If it is new, it is known here in" in place.ping(place.token()).expect(401).message
        server.reload(trusting(issuer.url, fresh_for="1m"))
        wait_until(lambda: place.ping(place.token()).status == 200, 20, "the new key")
        place.ping(before.id_token(aud=AUDIENCE)).expect(401)
        assert issuer.asked == {DISCOVERY: 2, KEYS: 2}


def test_another_rule_counts_from_the_reread_on_and_the_issuer_is_not_asked_again() -> None:
    with Issuer() as issuer:
        config = trusting(issuer.url)
        less: Config = {**config, "trust": {"gitlab": {**config["trust"]["gitlab"]}}}
        less["trust"]["gitlab"]["rules"] = less["trust"]["gitlab"]["rules"][:-1]
        with Pierhead(less) as server:
            place = Place(server, issuer)
            deploys = place.token(environment="production", environment_protected="true")
            denied(place.push(deploys, "1", "orchestrator/deployed"))
            server.reload(config)
            wait_until(lambda: place.push(deploys, "1", "orchestrator/deployed").status == 201, 20, "the rule")
            assert issuer.asked == {DISCOVERY: 1, KEYS: 1}
            server.reload({**less, "trust": {}})
            wait_until(lambda: place.ping(deploys).status == 401, 20, "the end of all trust")


@pytest.fixture
def vault(start_openbao: StartOpenBao) -> OpenBao:
    """An issuer that nobody here wrote: its tokens carry what it knows of who asks for them."""
    server = start_openbao()
    server.furnish(JOBS, {})
    server.policy(POLICY, "identity/oidc/token/*")
    server.call("POST", "identity/oidc/config", {"issuer": server.url}).expect(200, 204)
    for algorithm in ("RS256", "ES256", "EdDSA"):
        key = {"algorithm": algorithm, "allowed_client_ids": ["*"]}
        server.call("POST", f"identity/oidc/key/{algorithm}", key).expect(200, 204)
        role = {
            "key": algorithm,
            "client_id": AUDIENCE,
            "ttl": "10m",
            "template": '{"project_id": {{identity.entity.metadata.project_id}}}',
        }
        server.call("POST", f"identity/oidc/role/{algorithm}", role).expect(200, 204)
    return server


def entity(vault: OpenBao, name: str, project: int) -> str:
    """A Vault token of somebody who belongs to this project."""
    made = vault.call("POST", f"identity/entity/name/{name}", {"metadata": {"project_id": str(project)}})
    accessor = vault.call("GET", "sys/auth").expect(200).body["data"]["jwt/"]["accessor"]
    alias = {"name": name, "canonical_id": made.expect(200).body["data"]["id"], "mount_accessor": accessor}
    vault.call("POST", "identity/entity-alias", alias).expect(200, 204)
    job = JOBS.id_token(5, name)
    return str(vault.log_in(job).expect(200).body["auth"]["client_token"])


def issued(vault: OpenBao, token: str, algorithm: str) -> str:
    return str(vault.call("GET", f"identity/oidc/token/{algorithm}", token=token).expect(200).body["data"]["token"])


def test_tokens_of_a_real_issuer_are_taken_with_each_algorithm_and_after_its_key_rotates(vault: OpenBao) -> None:
    mine, other = entity(vault, "server", 5), entity(vault, "elsewhere", 99)
    issuer = f"{vault.url}/v1/identity/oidc"
    config = trusting(issuer)
    with Pierhead(config) as server, Issuer() as nobody:
        place = Place(server, nobody)
        for algorithm in ("RS256", "ES256", "EdDSA"):
            answer = place.push(issued(vault, mine, algorithm), "branch-x")
            assert answer.status == 201, (algorithm, answer.body)
            assert "`project_id` is `99`, which fits no rule" in denied(place.ping(issued(vault, other, algorithm)))
        before = issued(vault, mine, "RS256")
        vault.call("POST", "identity/oidc/key/RS256/rotate", {"verification_ttl": "10m"}).expect(200, 204)
        server.reload(trusting(issuer, fresh_for="1m"))
        after = issued(vault, mine, "RS256")
        wait_until(lambda: place.ping(after).status == 200, 20, "the new key")
        place.ping(before).expect(200)
        vault.seal()
        place.ping(after).expect(200)
