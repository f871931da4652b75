"""Bearer tokens of accounts that are made and changed over REST, and of access tokens: no more than those give."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers.images import image
from tests.peers.pierhead import Pierhead
from tests.peers.processes import wait_until
from tests.promises.bearers import Bearer, challenge_of, claims_of
from tests.promises.desk import PASSWORD, make, tell, token
from tests.promises.houses import DEV, hosted_only

TARGET = "/v2/team/app/manifests/1"
BOTH = "repository:team/app:pull,push"


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(hosted_only(tokens={"refresh": True}), arguments=["--workers", "2"]) as started:
        with started.wire(DEV) as wire:
            wire.push("team/app", "1", image(seed=1))
        yield started


def ends(client: Bearer) -> None:
    wait_until(lambda: client.request("GET", "/v2/").status == 401, 20, "the end of the token")
    assert challenge_of(client.request("GET", TARGET))["error"] == "invalid_token"


def test_an_account_that_is_disabled_or_removed_is_refused_with_the_token_that_it_has(server: Pierhead) -> None:
    for name, method, path, body in (
        ("anna", "PATCH", "/accounts/anna", {"disabled": True}),
        ("bert", "DELETE", "/accounts/bert", None),
    ):
        make(server, name, "publisher")
        with Bearer(server, DEV, name, PASSWORD) as client:
            client.take(BOTH)
            client.request("GET", TARGET).expect(200)
            tell(server, method, path, body, status=(200, 204))
            ends(client)


def test_an_account_that_loses_a_role_loses_it_in_its_token_too(server: Pierhead) -> None:
    make(server, "carl", "publisher")
    with Bearer(server, DEV, "carl", PASSWORD) as client:
        client.take(BOTH)
        tell(server, "PATCH", "/accounts/carl", {"roles": ["deployer"]})
        upload = "/v2/team/app/blobs/uploads/"
        wait_until(lambda: client.request("POST", upload, b"").status == 403, 20, "the end of the right to push")
        client.request("GET", TARGET).expect(200)


def test_a_token_of_an_access_token_gives_no_more_than_that(server: Pierhead) -> None:
    make(server, "dora", "publisher")
    made = token(server, "dora", rules=[{"rights": ["pull"], "images": ["team/*"]}])
    with Bearer(server, DEV, "dora", made["secret"]) as client:
        given = claims_of(client.take(BOTH, "repository:other/app:pull"))
        assert [(entry["name"], entry["actions"]) for entry in given["access"]] == [(f"{DEV}/team/app", ["pull"])]
        client.request("GET", TARGET).expect(200)
        refused = client.request("POST", "/v2/team/app/blobs/uploads/", b"").expect(403)
        assert challenge_of(refused)["error"] == "insufficient_scope"
        assert client.insist("GET", "/v2/other/app/manifests/1").status == 404
        answer = client.ask_token(offline_token="true").expect(200).json()
        assert "refresh_token" not in answer, "it would outlive the access token"
        tell(server, "DELETE", f"/account/tokens/{made['id']}", who="dora", password=PASSWORD, status=(200, 204))
        assert client.ask_token(BOTH).status == 401


def test_a_new_password_takes_back_what_clients_keep_in_its_place(server: Pierhead) -> None:
    make(server, "erik", "deployer")
    with Bearer(server, DEV, "erik", PASSWORD) as client:
        kept = client.ask_token(offline_token="true").expect(200).json()["refresh_token"]
        client.post_token(grant_type="refresh_token", refresh_token=kept).expect(200)
        tell(server, "PUT", "/accounts/erik/password", {"password": PASSWORD + "2"}, status=(200, 204))
        client.post_token(grant_type="refresh_token", refresh_token=kept).expect(400)
