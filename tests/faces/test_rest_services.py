"""The service catalogue over REST and in the terminal: what is kept of each service, and what stands beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.peers.images import image
from tests.peers.pierhead import Config, Pierhead, variable_of

ADMIN, TEAM, READER, NOBODY = "boss", "team", "reader", "auditor"
PASSWORD = "the-same-for-all-1"
CONFIG: Config = {
    "listen": "auto:main",
    "external_url": "http://auto:main",
    "repositories": {
        "dev": {"type": "hosted", "write_policy": "ALLOW", "listen": "auto:dev"},
        "prod": {"type": "hosted", "write_policy": "ALLOW"},
        "secret": {"type": "hosted", "write_policy": "ALLOW"},
    },
    "roles": {
        "team": [
            {"rights": ["push"], "repositories": ["dev"], "images": ["team/*"]},
            {"rights": ["pull"], "repositories": ["dev", "prod"], "images": ["team/*", "old-*"]},
        ],
        "reader": [{"rights": ["pull"], "repositories": ["dev", "prod"]}],
    },
    "accounts": {
        name: {"password_env": variable_of(name), "roles": [role]}
        for name, role in ((ADMIN, "admin"), (TEAM, "team"), (READER, "reader"), (NOBODY, "auditor"))
    },
    "services": {
        "web": {"image": "team/web", "project_id": 7, "owner": "Web people", "description": "What is seen."},
        "api": {"image": "team/api"},
        "other": {"image": "other/thing", "project_id": 9},
    },
    "naming": [
        {"name": "old", "pattern": "old-{service}", "action": "warn", "message": "`{image}` is an old name."},
        {"name": "unlisted", "pattern": "team/*", "action": "warn", "message": "Not in the catalogue."},
    ],
    "anonymous": "none",
}
ONE, TWO = image(seed=1), image(seed=2)
Item = Mapping[str, Any]


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    environment = {variable_of(name): PASSWORD for name in CONFIG["accounts"]}
    with Pierhead(CONFIG, environment=environment) as started:
        with started.wire("main", ADMIN, PASSWORD) as wire:
            wire.push("dev/team/web", "1", ONE)
            wire.push("dev/team/web", "2", TWO)
            wire.push("prod/team/web", "1", ONE)
            wire.push("dev/team/web/cache", "1", ONE)
            wire.push("prod/old-web", "1", ONE)
            wire.push("secret/hidden", "1", ONE)
            wire.push("secret/other/thing", "1", ONE)
        yield started


def asked(server: Pierhead, account: str, query: str = "") -> dict[str, Any]:
    with server.wire("main", account, PASSWORD) as wire:
        found: dict[str, Any] = wire.request("GET", f"/api/v1/services{query}").expect(200).json()
    return found


def items(server: Pierhead, account: str, query: str = "") -> list[Item]:
    return list(asked(server, account, query)["items"])


def test_services_come_in_the_order_of_the_file_then_images_that_belong_to_none(server: Pierhead) -> None:
    found = items(server, ADMIN)
    assert [(one["service"], one["image"], one["state"]) for one in found] == [
        ("web", "team/web", "pushed"),
        ("api", "team/api", "missing"),
        ("other", "other/thing", "pushed"),
        (None, "hidden", "unlisted"),
        (None, "old-web", "unlisted"),
        (None, "team/web/cache", "unlisted"),
    ]
    web = found[0]
    assert (web["project_id"], web["owner"], web["description"]) == ("7", "Web people", "What is seen.")
    assert [(one["name"], one["tags"]) for one in web["repositories"]] == [("dev", 2), ("prod", 1)]
    assert web["changed"] == max(one["changed"] for one in web["repositories"])
    assert (found[1]["repositories"], found[1]["changed"], found[1]["project_id"]) == ([], None, None)


def test_an_image_in_no_line_of_the_catalogue_has_what_a_rule_says_of_it(server: Pierhead) -> None:
    by_name = {one["image"]: one["naming"] for one in items(server, ADMIN)}
    assert by_name["team/web"] is None
    assert by_name["hidden"] is None
    assert by_name["old-web"] == {
        "rule": "old",
        "action": "warn",
        "message": "`old-web` is an old name. Push to team/web.",
        "suggestion": "team/web",
    }


def test_each_account_sees_what_it_may_pull_or_push_and_the_right_name_if_it_may_push_there(server: Pierhead) -> None:
    mine = items(server, TEAM)
    assert [one["image"] for one in mine] == ["team/web", "team/api", "old-web", "team/web/cache"]
    # It stands in prod, where the team may not push.
    assert mine[2]["naming"]["message"] == "`old-web` is an old name."
    assert mine[2]["naming"]["suggestion"] is None
    reads = items(server, READER)
    assert [one["image"] for one in reads] == ["team/web", "team/api", "other/thing", "old-web", "team/web/cache"]
    assert reads[2]["state"] == "missing"
    assert items(server, NOBODY) == []


@pytest.mark.parametrize(
    ("state", "images"),
    [
        ("pushed", ["team/web", "other/thing"]),
        ("missing", ["team/api"]),
        ("unlisted", ["hidden", "old-web", "team/web/cache"]),
    ],
)
def test_one_state_alone(server: Pierhead, state: str, images: list[str]) -> None:
    assert [one["image"] for one in items(server, ADMIN, f"?state={state}")] == images


def test_pages_hold_each_entry_once(server: Pierhead) -> None:
    whole = [one["image"] for one in items(server, ADMIN)]
    for limit in (1, 2, 3, 6):
        walked: list[str] = []
        more = ""
        while True:
            page = asked(server, ADMIN, f"?limit={limit}{more}")
            assert len(page["items"]) <= limit
            walked += [one["image"] for one in page["items"]]
            if page["next"] is None:
                break
            more = f"&cursor={page['next']}"
        assert walked == whole


def test_an_unknown_state_is_refused(server: Pierhead) -> None:
    with server.wire("main", ADMIN, PASSWORD) as wire:
        problem = wire.request("GET", "/api/v1/services?state=lost").expect(400).json()
    assert problem["message"] == "The parameter `state` is not understood: it is one of pushed, missing, unlisted."


def test_many_images_beside_the_catalogue_are_paged_through(server: Pierhead) -> None:
    """A page reads batches of a hundred of each repository, side by side."""
    with server.wire("dev", ADMIN, PASSWORD) as wire:
        wire.push("bulk/first", "1", ONE)
        for number in range(120):
            for blob in ONE.blobs:
                wire.request("POST", f"/v2/bulk/{number:03}/blobs/uploads/?mount={blob.digest}&from=bulk/first", b"")
            wire.put_manifest(f"bulk/{number:03}", "1", ONE.manifest).expect(201)
    found = [one["image"] for one in items(server, ADMIN, "?state=unlisted&limit=1000")]
    assert [name for name in found if name.startswith("bulk/")] == [f"bulk/{n:03}" for n in range(120)] + ["bulk/first"]
    assert found == sorted(found)


# --- in the terminal -------------------------------------------------------------------------------------------------


def command(server: Pierhead, *args: str) -> tuple[int, str, str]:
    environment = {"PIERHEAD_USER": TEAM, "PIERHEAD_PASSWORD": PASSWORD}
    return server.run_command("services", *args, environment=environment)


def test_the_command_prints_a_table(server: Pierhead) -> None:
    code, out, _ = command(server)
    lines = out.splitlines()
    assert code == 0
    titles = ("SERVICE", "IMAGE", "STATE", "PROJECT", "OWNER", "CHANGED", "IN (TAGS)", "NAMING", "DESCRIPTION")
    assert re.split(r"\s{2,}", lines[0]) == list(titles)
    assert lines[1].startswith("web      team/web")
    assert "dev (2), prod (1)" in lines[1]
    assert "warn: `old-web` is an old name." in lines[3]


def test_the_command_prints_what_the_route_answers(server: Pierhead) -> None:
    code, out, _ = command(server, "-o", "json", "--state", "missing")
    assert code == 0
    assert json.loads(out) == {"items": items(server, TEAM, "?state=missing"), "next": None}
