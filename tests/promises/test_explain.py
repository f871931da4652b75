"""What `explain` says is what a request is answered: every account, repository, image and tag of a small house."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.peers.images import OCI_INDEX, Blob, image
from tests.peers.pierhead import Config, Pierhead
from tests.peers.wire import Answer, Wire
from tests.promises.desk import PASSWORD, make, say, tell

CONFIG: Config = {
    "listen": "auto:main",
    "external_url": "http://auto:main",
    "stages": {"dev": "dev", "uat": "uat", "prod": "prod"},
    "repositories": {
        "dev": {"type": "hosted", "write_policy": "ALLOW", "listen": "auto:dev"},
        "uat": {"type": "hosted", "write_policy": "ALLOW_ONCE"},
        "prod": {"type": "hosted", "write_policy": "ALLOW_ONCE"},
        "shut": {"type": "hosted", "write_policy": "DENY"},
        "hub": {"type": "proxy", "upstream": "http://127.0.0.1:9", "library": True},
        "all": {
            "type": "group",
            "members": ["prod", "uat", "dev", "hub"],
            "reserve": ["team/*"],
            "listen": "auto:all",
        },
        "inner": {"type": "group", "members": ["uat", "dev"], "writable": "dev"},
        "outer": {"type": "group", "members": ["inner", "prod", "shut"], "listen": "auto:outer"},
    },
    "roles": {
        "team": [
            {"rights": ["pull"], "images": ["team/*"]},
            {"rights": ["push"], "repositories": ["dev", "uat"], "images": ["team/*"], "tags": ["{version}"]},
        ],
        "uat-only": [{"rights": ["pull", "push", "promote"], "repositories": ["uat"]}],
        "shut-only": [{"rights": ["pull", "push"], "repositories": ["s*"]}],
    },
    "tags": {"release": {"tag": "v*", "names": ["{version}"], "moving": ["latest"], "once": ["dev"]}},
    "anonymous": "none",
}
ACCOUNTS = {
    "publisher": "publisher",
    "deployer": "deployer",
    "auditor": "auditor",
    "team": "team",
    "uat": "uat-only",
    "shut": "shut-only",
    "boss": "admin",
}
REPOSITORIES = list(CONFIG["repositories"])
IMAGES = ["team/app", "other/app", "python"]
REFERENCES = ["1.0.0", "latest", "2.0.0"]
KEPT = image(seed=1)


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(CONFIG) as started:
        with started.wire() as wire:
            wire.push("dev/team/app", "1.0.0", KEPT)
            wire.push("dev/other/app", "latest", KEPT)
            wire.push("uat/team/app", "1.0.0", image(seed=2))
            wire.push("uat/team/app", "spent", image(seed=3))
            wire.request("DELETE", "/v2/uat/team/app/manifests/spent").expect(202)
            wire.push("prod/other/app", "latest", image(seed=4))
            wire.push("uat/kept/app", "1.0.0", image(seed=2))  # what no other test here pushes to
            wire.push("dev/kept/app", "1.0.0", KEPT)
        for name, role in ACCOUNTS.items():
            make(started, name, role)
        make(started, "gone", "deployer", disabled=True)
        yield started


def explained(server: Pierhead, wire: Wire, **query: str) -> dict[str, Any]:
    found: dict[str, Any] = say(wire, "GET", "/explain?" + urlencode(query)).expect(200).json()
    return found


def asked(
    server: Pierhead, method: str, repository: str, name: str, reference: str, account: str, body: Blob | None = None
) -> Answer:
    """By the repository's own port if it has one, else by path."""
    own = "listen" in CONFIG["repositories"][repository]
    full = name if own else f"{repository}/{name}"
    with Wire(server.port(repository if own else "main"), account, PASSWORD) as wire:
        if body is None:
            return wire.get_manifest(full, reference, method=method)
        return wire.put_manifest(full, reference, body)


def other_bytes(number: int) -> Blob:
    """A manifest that needs nothing, and that nobody has pushed before."""
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": {"n": str(number)}}
    return Blob(json.dumps(document).encode(), OCI_INDEX)


@pytest.mark.parametrize("account", ACCOUNTS)
def test_a_pull_is_answered_as_it_is_explained(server: Pierhead, account: str) -> None:
    decided = 0
    with Wire(server.port(), "admin", server.admin_password) as admin, Wire(server.port(), account, PASSWORD) as own:
        for repository, name, reference in itertools.product(
            REPOSITORIES, IMAGES, [*REFERENCES, KEPT.digest, "sha256:" + "0" * 64]
        ):
            query = {"repository": repository, "image": name, "reference": reference}
            said = explained(server, admin, account=account, **query)
            answer = asked(server, "GET", repository, name, reference, account)
            if said["upstream_decides"]:
                assert answer.status in (502, 503, 504), said  # nobody is there to be asked
                continue
            decided += 1
            assert (said["allowed"], said["status"] or 200) == (answer.status == 200, answer.status), said
            if answer.status == 200:
                assert answer.headers["Docker-Content-Digest"] in " ".join(step["says"] for step in said["steps"])
            mine = say(own, "GET", "/explain?" + urlencode(query))
            if mine.status == 200:
                assert (mine.json()["answer"], mine.json()["member"]) == (said["answer"], said["member"])
    assert decided > 50


@pytest.mark.parametrize("account", ACCOUNTS)
def test_a_push_is_answered_as_it_is_explained(server: Pierhead, account: str) -> None:
    heard: set[int] = set()
    with Wire(server.port(), "admin", server.admin_password) as admin:
        tried = itertools.product(REPOSITORIES, IMAGES, [*REFERENCES, "spent"])
        for number, (repository, name, reference) in enumerate(tried):
            query = {"repository": repository, "image": name, "reference": reference}
            said = explained(server, admin, account=account, action="push", **query)
            body = other_bytes(number + 1_000 * list(ACCOUNTS).index(account))
            answer = asked(server, "PUT", repository, name, reference, account, body)
            heard.add(answer.status)
            assert (said["allowed"], said["status"] or 201) == (answer.status == 201, answer.status), said
            if answer.status != 201:
                assert said["answer"] == f"No: {answer.message}"
    assert heard > {405}, heard


def test_members_are_told_in_the_order_of_asking_with_the_rule_that_decided(server: Pierhead) -> None:
    query = {"account": "uat", "repository": "all", "image": "kept/app", "reference": "1.0.0"}
    with server.wire() as wire:
        said = explained(server, wire, **query)
    assert said["answer"] == "Yes: uat gets kept/app:1.0.0 from uat."
    assert [step["what"] for step in said["steps"]] == ["uat", "all", "prod", "uat", "dev", "hub"]
    told = [step["says"] for step in said["steps"]]
    assert told[2] == (
        "uat may not pull prod/kept/app: role uat-only gives pull, push and promote on every image in uat. "
        "It is passed over."
    )
    assert told[3].startswith("uat may pull uat/kept/app: role uat-only gives pull, push and promote")
    assert image(seed=2).digest in told[3]
    assert KEPT.digest in told[4], "who administers is told what the account does not see"


def test_a_reserved_name_is_said_to_keep_the_upstream_out(server: Pierhead) -> None:
    with server.wire() as wire:
        said = explained(server, wire, account="deployer", repository="all", image="team/app", reference="9.9.9")
    assert said["answer"] == "No: it is not there."
    assert said["steps"][-1]["says"] == "hub is not asked: the name is reserved in all."
    assert (said["code"], said["status"]) == ("manifest_unknown", 404)


def test_who_asks_about_itself_is_not_told_what_it_does_not_see(server: Pierhead) -> None:
    query = {"repository": "dev", "image": "kept/app", "reference": "1.0.0"}
    with Wire(server.port(), "team", PASSWORD) as wire:
        said = say(wire, "GET", "/explain?" + urlencode(query)).expect(200).json()
    assert "sha256:" not in json.dumps(said)
    assert "given by" not in json.dumps(said)


def test_it_is_said_which_roles_would_give_what_is_missing_and_who_has_them(server: Pierhead) -> None:
    with server.wire() as wire:
        said = explained(server, wire, account="auditor", action="push", image="team/app", reference="1.0.0")
    assert said["steps"][-1]["says"] == (
        "Push there is given by: role publisher (publisher), role admin (admin, boss), role team (team)."
    )


def test_a_promotion_is_explained_by_both_its_ends(server: Pierhead) -> None:
    def promoted(account: str, reference: str, **more: str) -> dict[str, Any]:
        with server.wire() as wire:
            return explained(
                server, wire, account=account, action="promote", image="team/app", reference=reference, **more
            )

    with server.wire() as wire:
        wire.push("dev/team/app", "3.0.0", KEPT)
    assert promoted("boss", "3.0.0", to="uat")["answer"] == "Yes: boss may promote team/app:3.0.0 from dev to uat."
    assert promoted("boss", "3.0.0") == promoted("boss", "3.0.0", to="uat"), "the first promotion that there is"
    assert promoted("boss", "1.0.0", to="uat")["code"] == "promotion_tag_taken"
    assert promoted("boss", "4.0.0", to="uat")["code"] == "manifest_unknown"
    assert promoted("boss", "1.0.0", to="shut", **{"from": "dev"})["code"] == "repository_read_only"
    assert "may not pull dev/team/app" in promoted("uat", "3.0.0", to="uat")["steps"][-2]["says"]
    assert "may not promote uat/team/app" in promoted("deployer", "3.0.0", to="uat")["steps"][-2]["says"]


def test_an_access_token_is_explained_with_what_it_is_narrowed_to(server: Pierhead) -> None:
    made = tell(
        server, "POST", "/account/tokens", {"name": "narrow", "rules": [{"rights": ["pull"]}]},
        who="publisher", password=PASSWORD,
    )  # fmt: skip
    with Wire(server.port(), "publisher", made["secret"]) as wire:
        said = explained(server, wire, action="push", image="team/app", reference="1.0.0")
    assert not said["allowed"]
    assert "the access token is narrowed to pull on every image." in said["steps"][-1]["says"]


def test_a_disabled_account_is_refused_whatever_its_roles_say(server: Pierhead) -> None:
    with server.wire() as wire:
        said = explained(server, wire, account="gone", image="team/app", reference="1.0.0")
    assert (said["allowed"], said["status"]) == (False, 401)
    assert said["answer"].startswith("No: gone is disabled")
