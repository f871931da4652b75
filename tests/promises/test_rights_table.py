"""Who may do what, every cell over HTTP: the accounts of the shared example, by password and by token, on every
repository, by path; what may not be seen is answered like what is not there, through whatever it is asked.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import pytest

from tests.peers.images import Blob, Image, artifact, image, random_bytes
from tests.peers.pierhead import Pierhead
from tests.peers.registry import DockerRegistry
from tests.peers.wire import Answer, Wire
from tests.promises.houses import DEV, GROUP, PROD, UAT
from tests.promises.shared_house import PROXY, SECRETS, as_account, example

pytestmark = [pytest.mark.server]

OWN, DATA, FOREIGN, BASE = "orchestrator/server", "datastore/loader", "team/app", "library/node"
HOSTED = (DEV, UAT, PROD)
ACCOUNTS = ("svc-orchestrator", "svc-datastore", "svc-deployer", "svc-promoter", "svc-admin")
PLACES = [(repository, name) for repository in HOSTED for name in (OWN, DATA, FOREIGN)] + [(PROXY, BASE)]


def pulls(account: str, repository: str, name: str) -> bool:
    """As ``examples/cwiq/shared.yaml`` says it, written down a second time and in other words."""
    return account != "svc-datastore" or name == DATA or repository == PROXY


def pushes(account: str, repository: str, name: str) -> bool:
    if account == "svc-admin":
        return True
    wanted = {"svc-orchestrator": OWN, "svc-datastore": DATA}.get(account)
    return repository == DEV and name == wanted


def deletes(account: str) -> bool:
    return account == "svc-admin"


@dataclass(frozen=True)
class Content:
    """The same in every place; ``signature`` refers to the image."""

    image: Image
    signature: Image


@pytest.fixture(scope="module")
def content() -> Content:
    made = image(seed=900)
    return Content(made, artifact(made, artifact_type="application/vnd.example.signature"))


@pytest.fixture(scope="module")
def shared(docker_registry: DockerRegistry, content: Content) -> Iterator[Pierhead]:
    with Wire(docker_registry.port) as hub:
        hub.push(BASE, "rights", content.image)
    text = example("shared.yaml", {8081: "main", 8443: DEV, 8444: GROUP}, docker_registry.url)
    with Pierhead(text, environment=SECRETS) as server:
        with server.wire() as admin:
            for repository, name in PLACES:
                if repository in HOSTED:
                    admin.push(f"{repository}/{name}", "1.0.0", content.image)
                    admin.push(f"{repository}/{name}", content.signature.digest, content.signature)
            admin.get_manifest(f"{PROXY}/{BASE}", "rights").expect(200)
            for blob in content.image.blobs:
                admin.get_blob(f"{PROXY}/{BASE}", blob.digest).expect(200)
        yield server


class Token:
    """A client that asks for a token whenever it is told to, with the scope that it is told."""

    def __init__(self, server: Pierhead, account: str, port: str) -> None:
        self._basic = as_account(server, account, port)
        self._bare = server.wire(port, "")

    def request(self, method: str, target: str, body: bytes | None = None) -> Answer:
        answer = self._bare.request(method, target, body)
        for _ in range(2):
            if answer.status != 401:
                break
            token = self._token(answer.headers["WWW-Authenticate"])
            answer = self._bare.request(method, target, body, {"Authorization": f"Bearer {token}"})
        return answer

    def _token(self, challenge: str) -> str:
        told = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        asked = [("service", told["service"]), *([("scope", told["scope"])] if "scope" in told else [])]
        return str(self._basic.request("GET", f"{told['realm']}?{urlencode(asked)}").expect(200).json()["token"])


Asker = Callable[[str, str], "Token | Wire"]


@pytest.fixture(scope="module", params=["password", "token"])
def asker(request: pytest.FixtureRequest, shared: Pierhead) -> Asker:
    made: dict[tuple[str, str], Token | Wire] = {}

    def ask(account: str, port: str) -> Token | Wire:
        if (account, port) not in made:
            by_token = request.param == "token"
            made[account, port] = Token(shared, account, port) if by_token else as_account(shared, account, port)
        return made[account, port]

    return ask


def tag_of(repository: str) -> str:
    return "rights" if repository == PROXY else "1.0.0"


@pytest.mark.parametrize("account", ACCOUNTS)
def test_each_account_pulls_what_its_role_says_and_the_rest_is_not_there(
    asker: Asker, content: Content, account: str
) -> None:
    who = asker(account, "main")
    layer = content.image.layers[0].digest
    for repository, name in PLACES:
        base, seen = f"/v2/{repository}/{name}", pulls(account, repository, name)
        for reference in (tag_of(repository), content.image.digest):
            for method in ("GET", "HEAD"):
                answer = who.request(method, f"{base}/manifests/{reference}")
                assert answer.status == (200 if seen else 404), (account, method, repository, name, reference)
        blob = who.request("GET", f"{base}/blobs/{layer}")
        assert blob.status == (200 if seen else 404)
        assert seen or blob.code == "BLOB_UNKNOWN"
        tags = who.request("GET", f"{base}/tags/list")
        assert tags.status == (200 if seen else 404)
        referrers = who.request("GET", f"{base}/referrers/{content.image.digest}").expect(200).json()["manifests"]
        assert bool(referrers) is (seen and repository in HOSTED), (account, repository, name)


@pytest.mark.parametrize("account", ACCOUNTS)
def test_catalogues_hold_what_an_account_may_pull_and_nothing_else(asker: Asker, account: str) -> None:
    expected = {f"{repository}/{name}" for repository, name in PLACES if pulls(account, repository, name)}
    listed: list[str] = []
    target = "/v2/_catalog?n=2"
    while target:
        answer = asker(account, "main").request("GET", target).expect(200)
        listed += answer.json()["repositories"]
        target = "".join(re.findall(r"<(.*)>", answer.headers.get("Link", "")))
    assert expected <= set(listed)
    assert {one for one in listed if tuple(one.split("/", 1)) in PLACES} == expected
    assert not [one for one in listed if not pulls(account, *one.split("/", 1))]
    grouped = asker(account, GROUP).request("GET", "/v2/_catalog").expect(200).json()["repositories"]
    seen = {name for repository, name in PLACES if pulls(account, repository, name)}
    assert {name for name in (OWN, DATA, FOREIGN, BASE) if name in grouped} == seen


@pytest.mark.parametrize("account", ACCOUNTS)
def test_each_account_pushes_what_its_role_says(asker: Asker, content: Content, account: str) -> None:
    who = asker(account, "main")
    for repository, name in PLACES:
        base = f"/v2/{repository}/{name}"
        begun = who.request("POST", f"{base}/blobs/uploads/", b"")
        if repository == PROXY:
            assert (begun.status, begun.code) == (405, "UNSUPPORTED")
            continue
        allowed = pushes(account, repository, name)
        assert begun.status == (202 if allowed else 403), (account, repository, name, begun.body)
        put = who.request("PUT", f"{base}/manifests/by-{account}", content.image.manifest.data)
        assert put.status == (201 if allowed else 403), (account, repository, name, put.body)
        assert allowed or put.code == "DENIED"


@pytest.mark.parametrize("account", ACCOUNTS)
def test_only_who_may_delete_deletes(asker: Asker, content: Content, account: str) -> None:
    who, missing = asker(account, "main"), "sha256:" + "0" * 64
    for repository, name in PLACES:
        for what in ("manifests/no-such-tag", f"manifests/{missing}", f"blobs/{missing}"):
            answer = who.request("DELETE", f"/v2/{repository}/{name}/{what}")
            if repository == PROXY:
                assert answer.status == 405
            else:
                assert answer.status == (404 if deletes(account) else 403), (account, repository, what, answer.body)


@pytest.mark.parametrize("account", ACCOUNTS)
def test_a_mount_takes_only_what_its_account_may_pull(
    shared: Pierhead, asker: Asker, account: str, request: pytest.FixtureRequest
) -> None:
    target = {"svc-orchestrator": OWN, "svc-datastore": DATA, "svc-admin": FOREIGN}.get(account)
    if target is None:
        return
    for number, (repository, name) in enumerate(PLACES[:9]):
        blob = Blob(
            random_bytes(900, seed=hash((account, number, request.node.name)) % 10**6), "application/octet-stream"
        )
        with shared.wire() as admin:
            admin.push_blob(f"{repository}/{name}", blob)
        source = quote(f"{repository}/{name}", safe="")
        wanted = f"/v2/{DEV}/{target}/blobs/uploads/?mount={blob.digest}&from={source}"
        mounted = as_account(shared, account).request("POST", wanted, b"")
        allowed = pulls(account, repository, name)
        assert mounted.status == (201 if allowed else 202), (account, repository, name)
        without = asker(account, "main").request("POST", f"/v2/{DEV}/{target}/blobs/uploads/?mount={blob.digest}", b"")
        assert without.status in (201, 202)


def test_the_group_answers_from_the_members_that_an_account_may_see(asker: Asker, content: Content) -> None:
    for account in ACCOUNTS:
        for port, prefix in ((GROUP, ""), ("main", f"{GROUP}/")):
            for name in (OWN, DATA, FOREIGN):
                answer = asker(account, port).request("GET", f"/v2/{prefix}{name}/manifests/1.0.0")
                assert answer.status == (200 if pulls(account, PROD, name) else 404), (account, port, name)
            node = asker(account, port).request("GET", f"/v2/{prefix}node/manifests/rights")
            assert node.status == 200, "one-word names are Docker Hub's, by whatever way"


def test_what_may_not_be_seen_answers_like_what_is_not_there_word_for_word(shared: Pierhead, content: Content) -> None:
    digest, layer = content.image.digest, content.image.layers[0].digest
    targets = ("manifests/1.0.0", f"manifests/{digest}", f"blobs/{layer}", "tags/list", f"referrers/{digest}")
    with as_account(shared, "svc-datastore") as who:
        for repository in (*HOSTED, GROUP):
            for target in targets:
                hidden = who.request("GET", f"/v2/{repository}/{OWN}/{target}")
                absent = who.request("GET", f"/v2/{repository}/orchestrator/no-one/{target}")
                assert hidden.status == absent.status
                assert hidden.body.replace(OWN.encode(), b"NAME") == absent.body.replace(
                    b"orchestrator/no-one", b"NAME"
                )
                assert sorted(hidden.headers) == sorted(absent.headers)
            rest = f"/api/v1/repositories/{repository}/images"
            for target in ("tags", "tags/1.0.0", "tags/1.0.0/history", f"manifests/{digest}"):
                hidden = who.request("GET", f"{rest}/{OWN}/-/{target}")
                absent = who.request("GET", f"{rest}/orchestrator/no-one/-/{target}")
                assert (hidden.status, hidden.json()["code"]) == (absent.status, absent.json()["code"])
            first = who.request("GET", f"{rest}?limit=1").expect(200).json()
            assert [one["name"] for one in first["items"]] == [DATA]
            assert (first["next"] is None) is (repository != GROUP), "the group holds Docker Hub's as well"


def test_what_may_not_be_seen_takes_as_long_as_what_is_not_there(shared: Pierhead) -> None:
    """Medians of a thousand requests each, in turns; they differ by less than the requests themselves are spread."""
    hidden, absent = f"/v2/{GROUP}/{OWN}/manifests/1.0.0", f"/v2/{GROUP}/orchestrator/servus/manifests/1.0.0"
    with as_account(shared, "svc-datastore") as who:

        def differ() -> tuple[float, float]:
            times: dict[str, list[float]] = {hidden: [], absent: []}
            for _ in range(1_000):
                for target, taken in times.items():
                    began = time.perf_counter()
                    who.request("HEAD", target)
                    taken.append(time.perf_counter() - began)
            one, other = (statistics.median(taken) for taken in times.values())
            quarters = statistics.quantiles(times[absent], n=4)
            return abs(one - other), quarters[2] - quarters[0]

        # A busy machine disturbs one run; that all of them differ would be a leak.
        assert any(apart < spread for apart, spread in (differ() for _ in range(3)))
