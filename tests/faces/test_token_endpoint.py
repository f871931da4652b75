"""The token endpoint of a running program, and what its tokens open: on every port, by path, and no more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.peers.images import image, random_layer
from tests.peers.pierhead import Pierhead, house
from tests.peers.processes import LOOPBACK, free_port
from tests.peers.wire import Wire
from tests.promises.bearers import Bearer, basic, challenge_of, claims_of

DEV, GROUP, MAIN = "docker-hosted-dev", "docker-group", "main"
PORTS = (DEV, GROUP, MAIN)
APP = image([random_layer(5_000, 1)], seed=1)


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    """With a proxy that nobody answers for: no token may need it."""
    with Pierhead(house(upstream=f"http://{LOOPBACK}:{free_port()}", anonymous="pull")) as started:
        with started.wire(DEV) as wire:
            wire.push("team/app", "1", APP)
            wire.push("team/other", "1", APP)
        yield started


@pytest.fixture
def deploy(server: Pierhead) -> Iterator[Bearer]:
    with Bearer(server, GROUP, "svc-deploy") as client:
        yield client


@pytest.fixture
def publisher(server: Pierhead) -> Iterator[Bearer]:
    with Bearer(server, DEV, "svc-orchestrator") as client:
        yield client


@pytest.mark.parametrize("port", PORTS)
def test_docker_login_ends_with_a_token_that_opens_the_ping(server: Pierhead, port: str) -> None:
    with Bearer(server, port, "svc-deploy") as client:
        challenge = challenge_of(client.request("GET", "/v2/").expect(401))
        assert challenge["realm"] == f"http://{server.address(port)}/token"
        assert "scope" not in challenge
        answer = client.ask_token(account="svc-deploy", client_id="docker", offline_token="true").expect(200)
        document = answer.json()
        assert document["token"] == document["access_token"]
        assert "refresh_token" not in document, "off at first: docker would keep it instead of the password"
        assert answer.headers["Cache-Control"] == "no-store"
        client.token = document["token"]
        client.request("GET", "/v2/").expect(200)
        assert claims_of(client.token)["access"] == []


def test_the_answer_says_how_long_it_holds_in_a_way_that_slow_clocks_bear(deploy: Bearer) -> None:
    document = deploy.ask_token("repository:team/app:pull").expect(200).json()
    assert document["expires_in"] == 300
    behind = time.time() - datetime.fromisoformat(document["issued_at"]).timestamp()
    assert 4 <= behind < 60
    said = claims_of(document["token"])
    assert said["exp"] - time.time() > 200
    assert said["nbf"] < time.time() - 3
    assert said["sub"] == "svc-deploy"
    assert {"iss", "aud", "iat", "jti"} <= said.keys()
    assert document["scope"] == "repository:team/app:pull"


def test_the_service_is_one_for_all_ports_and_starts(server: Pierhead) -> None:
    def service(port: str) -> str:
        with Wire(server.port(port)) as nobody:
            return challenge_of(nobody.request("GET", "/v2/"))["service"]

    before = {service(port) for port in PORTS}
    assert len(before) == 1
    server.restart()
    assert {service(port) for port in PORTS} == before


def test_a_token_for_the_group_names_its_members_and_opens_them_on_every_port_and_by_path(deploy: Bearer) -> None:
    token = deploy.take("repository:team/app:pull")
    names = {entry["name"]: entry["actions"] for entry in claims_of(token)["access"]}
    assert names == {
        "docker-hosted-prod/team/app": ["pull"],
        "docker-hosted-uat/team/app": ["pull"],
        "docker-hosted-dev/team/app": ["pull"],
        "docker-proxy-dockerhub/team/app": ["pull"],
    }
    for port, name in ((GROUP, "team/app"), (DEV, "team/app"), (MAIN, f"{DEV}/team/app"), (MAIN, f"{GROUP}/team/app")):
        with Bearer(deploy.server, port, "") as client:
            client.token = token
            client.request("GET", f"/v2/{name}/manifests/1").expect(200)
            client.request("GET", f"/v2/{name}/blobs/{APP.config.digest}").expect(200)
            refused = client.request("GET", f"/v2/{name.replace('app', 'other')}/manifests/1").expect(401)
            challenge = challenge_of(refused)
            assert challenge["error"] == "insufficient_scope"
            assert challenge["scope"] == f"repository:{name.replace('app', 'other')}:pull"


def test_a_proxy_is_named_as_it_keeps_the_image(deploy: Bearer) -> None:
    names = [entry["name"] for entry in claims_of(deploy.take("repository:python:pull"))["access"]]
    assert "docker-proxy-dockerhub/library/python" in names
    assert "docker-hosted-prod/python" in names


def test_a_token_for_one_member_does_not_open_the_group_and_asking_again_does(server: Pierhead) -> None:
    with Bearer(server, DEV, "svc-deploy") as member, Bearer(server, GROUP, "svc-deploy") as group:
        group.token = member.take("repository:team/app:pull")
        assert group.request("GET", "/v2/team/app/manifests/1").status == 401
        group.insist("GET", "/v2/team/app/manifests/1").expect(200)


def test_by_path_the_client_is_told_the_name_that_it_uses(server: Pierhead) -> None:
    with Bearer(server, MAIN, "svc-deploy") as client:
        refused = client.request("GET", f"/v2/{GROUP}/team/app/manifests/1").expect(401)
        assert challenge_of(refused)["scope"] == f"repository:{GROUP}/team/app:pull"
        client.insist("GET", f"/v2/{GROUP}/team/app/manifests/1").expect(200)


@pytest.mark.parametrize(
    ("account", "asked", "given"),
    [
        ("svc-orchestrator", "pull,push", ["pull", "push"]),
        ("svc-orchestrator", "pull", ["pull"]),
        ("svc-orchestrator", "push", ["push"]),
        ("svc-orchestrator", "*", ["pull", "push"]),
        ("svc-orchestrator", "delete", None),
        ("svc-deploy", "pull,push", ["pull"]),
        ("svc-deploy", "push", None),
        ("svc-auditor", "pull,push", None),
        ("admin", "*", ["pull", "push", "delete"]),
        ("admin", "delete", ["delete"]),
        ("", "pull,push", ["pull"]),
        ("", "delete", None),
    ],
)
def test_what_is_given_is_the_least_of_what_was_asked_and_what_may_be_had(
    server: Pierhead, account: str, asked: str, given: list[str] | None
) -> None:
    with Bearer(server, DEV, account) as client:
        access = claims_of(client.take(f"repository:team/app:{asked}"))["access"]
    assert [entry["actions"] for entry in access] == ([] if given is None else [given])


ODD = ["", "x", "repository:team/app", "repository:TEAM:pull", "repository:../x:pull", "repository:a,b:*", "\0", "é",
       "registry:catalog:pull", "repository:nowhere/x:pull", "repository::pull", "x" * 3_000]  # fmt: skip


@pytest.mark.parametrize("scope", ODD, ids=range(len(ODD)))
def test_a_scope_that_cannot_be_understood_asks_for_nothing(server: Pierhead, scope: str) -> None:
    with Bearer(server, MAIN, "svc-deploy") as client:
        assert claims_of(client.take(scope))["access"] == []
        form = {"grant_type": "password", "username": "svc-deploy", "password": client.password}
        client.post_token(**form, scope=scope).expect(200)


def test_many_scopes_make_no_token_that_fits_into_no_header(deploy: Bearer) -> None:
    token = deploy.take(*(f"repository:team/{'long' * 30}/app{number}:pull" for number in range(32)))
    assert len(token) <= 7 * 1024
    assert claims_of(token)["access"]
    deploy.request("GET", "/v2/").expect(200)


def test_the_catalogue_has_a_scope_of_its_own(deploy: Bearer) -> None:
    deploy.take("repository:team/app:pull")
    refused = deploy.request("GET", "/v2/_catalog").expect(401)
    assert challenge_of(refused)["scope"] == "registry:catalog:*"
    assert "team/app" in deploy.insist("GET", "/v2/_catalog").expect(200).json()["repositories"]


# --- who asks --------------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_401_for_get_and_an_oauth_error_for_post(server: Pierhead) -> None:
    with Bearer(server, DEV, "svc-promoter", "wrong") as client:
        refused = client.ask_token("repository:team/app:pull").expect(401)
        assert (refused.code, refused.message) == ("UNAUTHORIZED", "Name or password is wrong.")
        assert refused.headers.get_all("WWW-Authenticate") == ['Basic realm="Pierhead"']
        refused = client.post_token(grant_type="password", username="svc-promoter", password="worse").expect(400)
        assert refused.json()["error"] == "invalid_grant"
        assert refused.json()["error_description"] == refused.message == "Name or password is wrong."


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "unsupported_grant_type"),
        ({"grant_type": ""}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "phr_" + "x" * 43}, "unsupported_grant_type"),
        ({"grant_type": "password"}, "invalid_grant"),
        ({"grant_type": "password", "username": "svc-deploy:", "password": "x"}, "invalid_grant"),
        ({"grant_type": "password", "username": "a\0", "password": "x"}, "invalid_grant"),
    ],
    ids=str,
)
def test_a_form_that_is_not_served_is_400_with_its_reason(server: Pierhead, form: dict[str, str], error: str) -> None:
    with Bearer(server, DEV, "") as client:
        assert client.post_token(**form).expect(400).json()["error"] == error


def test_a_form_is_bounded_and_has_to_be_text(server: Pierhead) -> None:
    with Wire(server.port(DEV)) as wire:
        for body in (b"x" * 20_000, b"\xff\xfe", b"a=%ff", b"&".join([b"scope=a"] * 500)):
            assert wire.request("POST", "/token", body).expect(400).json()["error"] == "invalid_request"
        for query in ("a=%ff", "&".join(["scope=a"] * 90)):
            assert wire.request("GET", f"/token?{query}").status == 400
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
            refused = wire.request(method, "/token").expect(405)
            assert refused.headers["Allow"] == "GET, POST"


def test_no_token_is_got_with_a_token(deploy: Bearer) -> None:
    """Or one that was taken could be renewed for ever."""
    deploy.take("repository:team/app:pull")
    refused = deploy.wire.request("GET", "/token?scope=repository:team/other:pull", headers=deploy.bearer)
    assert (refused.status, refused.code) == (401, "UNAUTHORIZED")


def test_tokens_are_for_images_and_not_for_the_rest_api(server: Pierhead) -> None:
    with Bearer(server, MAIN, "admin") as client:
        client.take("repository:docker-hosted-dev/team/app:*", "registry:catalog:*")
        refused = client.request("GET", "/api/v1/status").expect(401)
        assert refused.headers.get_all("WWW-Authenticate") == ['Basic realm="Pierhead"']
        assert "Basic" in refused.json()["message"]
        client.wire.request("GET", "/api/v1/status", headers=client.basic).expect(200)


def test_other_clients_go_on_with_basic_on_every_request(server: Pierhead) -> None:
    with Wire(server.port(GROUP)) as wire:
        authorization = {"Authorization": basic("svc-deploy", "deploy-secret-1")}
        for target in ("/v2/", "/v2/team/app/manifests/1", f"/v2/team/app/blobs/{APP.config.digest}"):
            wire.request("GET", target, headers=authorization).expect(200)


# --- nobody ----------------------------------------------------------------------------------------------------------


def test_without_an_account_images_are_pulled_by_token_and_the_ping_stays_401(server: Pierhead) -> None:
    with Bearer(server, GROUP, "") as nobody:
        challenge_of(nobody.request("GET", "/v2/").expect(401))
        nobody.request("GET", "/v2/team/app/manifests/1").expect(401)
        nobody.insist("GET", "/v2/team/app/manifests/1").expect(200)
        nobody.request("GET", "/v2/").expect(200)
        assert claims_of(nobody.token)["sub"] == "anonymous"
    with Bearer(server, DEV, "") as nobody:
        refused = nobody.insist("POST", "/v2/team/app/blobs/uploads/", b"").expect(403)
        assert refused.message.startswith("anonymous may not push to docker-hosted-dev/team/app.")
        assert "Log in" in refused.message
    with Bearer(server, GROUP, "") as nobody:
        nobody.take("repository:team/app:pull,push")
        refused = nobody.request("POST", "/v2/team/app/blobs/uploads/", b"").expect(405)
        assert refused.message == (
            f"This port ({server.port(GROUP)}) is for pulling. "
            "Pushes need an account: log in, and you are told where this image goes."
        )


def test_nobody_gets_in_any_more_when_the_house_closes(server: Pierhead) -> None:
    with Pierhead(house(anonymous="pull")) as closing, Bearer(closing, GROUP, "") as nobody:
        nobody.take("repository:team/app:pull")
        assert nobody.request("GET", "/v2/").status == 200
        closing.reload(house())
        closing.wait_for_log("The configuration was read again.")
        challenge = challenge_of(nobody.request("GET", "/v2/").expect(401))
        assert challenge["error"] == "invalid_token"
        assert nobody.ask_token("repository:team/app:pull").status == 401
