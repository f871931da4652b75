"""What REST tells of images and tags, and what it deletes, on a running server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.peers.images import artifact, image, index
from tests.peers.pierhead import Pierhead, house
from tests.peers.wire import Answer

API = "/api/v1"
DEV = f"{API}/repositories/docker-hosted-dev/images"
GROUP = f"{API}/repositories/docker-group/images"
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(house()) as started:
        yield started


def ask(server: Pierhead, target: str, *, method: str = "GET", account: str = "admin") -> Answer:
    with server.wire("main", account) as wire:
        return wire.request(method, target)


def found(server: Pierhead, target: str, **how: str) -> Any:
    return ask(server, target, **how).expect(200).json()


def pages(server: Pierhead, target: str, limit: int) -> Iterator[list[dict[str, Any]]]:
    cursor = ""
    while True:
        page = found(server, f"{target}limit={limit}{cursor}")
        yield page["items"]
        if page["next"] is None:
            return
        cursor = f"&cursor={page['next']}"


def test_images_come_in_pages_by_name_with_their_tags_counted(server: Pierhead) -> None:
    with server.wire("docker-hosted-dev") as wire:
        for number in range(5):
            wire.push(f"paged/app-{number}", "1", image(seed=number))
        wire.push("paged/app-3", "2", image(seed=3))
    seen = list(pages(server, f"{DEV}?prefix=paged/&", 2))
    assert [len(page) for page in seen] == [2, 2, 1]
    items = [item for page in seen for item in page]
    assert [item["name"] for item in items] == [f"paged/app-{number}" for number in range(5)]
    assert [item["tags"] for item in items] == [1, 1, 1, 2, 1]
    assert all(INSTANT.fullmatch(item["changed"]) for item in items)
    assert found(server, f"{DEV}?prefix=page%2f") == {"items": [], "next": None}


def test_a_group_lists_each_image_once_and_tells_which_member_answers(server: Pierhead) -> None:
    with server.wire("main") as wire:
        wire.push("docker-hosted-dev/grouped/both", "1", image(seed=11))
        wire.push("docker-hosted-dev/grouped/both", "2", image(seed=12))
        wire.push("docker-hosted-prod/grouped/both", "1", image(seed=13))
        wire.push("docker-hosted-dev/grouped/dev", "1", image(seed=11))
    items = found(server, f"{GROUP}?prefix=grouped/")["items"]
    assert [(item["name"], item["member"], item["tags"]) for item in items] == [
        ("grouped/both", "docker-hosted-prod", None),
        ("grouped/dev", "docker-hosted-dev", 1),
    ]
    tags = found(server, f"{GROUP}/grouped/both/-/tags")["items"]
    assert [(tag["name"], tag["member"], tag["digest"]) for tag in tags] == [
        ("1", "docker-hosted-prod", image(seed=13).digest),
        ("2", "docker-hosted-dev", image(seed=12).digest),
    ]
    assert found(server, f"{GROUP}/grouped/both/-/tags/1")["member"] == "docker-hosted-prod"


def test_a_group_has_nothing_for_an_account_that_may_pull_from_none_of_its_members(server: Pierhead) -> None:
    with server.wire("docker-hosted-dev") as wire:
        wire.push("hidden/app", "1", image(seed=14))
    assert found(server, GROUP, account="svc-auditor") == {"items": [], "next": None}
    assert ask(server, f"{GROUP}/hidden/app/-/tags/1", account="svc-auditor").status == 404


def test_tags_come_in_pages_with_sizes_and_who_pushed_them(server: Pierhead) -> None:
    pushed = image(seed=20)
    with server.wire("docker-hosted-dev", "svc-orchestrator") as wire:
        for number in range(7):
            wire.push("tagged/app", f"1.{number}", pushed)
    seen = [item for page in pages(server, f"{DEV}/tagged/app/-/tags?", 3) for item in page]
    assert [item["name"] for item in seen] == [f"1.{number}" for number in range(7)]
    first = seen[0]
    assert (first["rule"], first["moving"]) == ("release", False)
    assert (first["digest"], first["by"]) == (pushed.digest, "svc-orchestrator")
    assert first["size"] == sum(blob.size for blob in pushed.blobs)
    assert first["manifest_size"] == pushed.manifest.size


def test_an_image_that_was_never_pushed_has_no_tags_but_a_404(server: Pierhead) -> None:
    assert ask(server, f"{DEV}/never/pushed/-/tags").json()["code"] == "image_unknown"


def test_an_untagged_image_has_an_empty_list_of_tags(server: Pierhead) -> None:
    alone = image(seed=21)
    with server.wire("docker-hosted-dev") as wire:
        wire.push("untagged/app", alone.digest, alone)
    assert found(server, f"{DEV}/untagged/app/-/tags") == {"items": [], "next": None}
    told = found(server, f"{DEV}/untagged/app/-/manifests/{alone.digest}")
    assert (told["tag"], told["tags"], told["since"]) == (None, [], None)


def test_inspecting_an_image_shows_config_layers_tags_and_referrers(server: Pierhead) -> None:
    pushed = image(seed=30, command=["serve"], annotations={"org.example.note": "kept"})
    signed = artifact(pushed)
    with server.wire("docker-hosted-dev") as wire:
        wire.push("whole/app", "1.0.0", pushed)
        wire.push("whole/app", "stable", pushed)
        wire.push("whole/app", signed.digest, signed)
    told = found(server, f"{DEV}/whole/app/-/tags/1.0.0")
    assert (told["digest"], told["kind"], told["artifact_type"]) == (pushed.digest, "image", None)
    assert told["size"] == sum(blob.size for blob in pushed.blobs)
    assert told["tags"] == ["1.0.0", "stable"]
    assert [one["platform"] for one in told["platforms"]] == ["linux/amd64"]
    assert told["layers"] == [
        {"digest": one.digest, "size": one.size, "media_type": one.media_type} for one in pushed.layers
    ]
    config = told["config"]
    assert (config["os"], config["architecture"], config["cmd"]) == ("linux", "amd64", ["serve"])
    assert config["labels"] == {"seed": "30"}
    assert "PATH" not in str(config), "environment variables may hold secrets"
    assert told["annotations"] == {"org.example.note": "kept"}
    assert [(one["digest"], one["artifact_type"]) for one in told["referrers"]] == [
        (signed.digest, "application/vnd.example.signature.v1")
    ]
    about = found(server, f"{DEV}/whole/app/-/manifests/{signed.digest}")
    assert (about["kind"], about["subject"]) == ("artifact", pushed.digest)


def test_inspecting_an_index_shows_its_platforms_and_the_size_of_all_of_them(server: Pierhead) -> None:
    one, two = image(seed=31), image(seed=32, architecture="arm64")
    both = index({"linux/amd64": one, "linux/arm64/v8": two})
    with server.wire("docker-hosted-dev") as wire:
        wire.push("indexed/app", "1", both)
    told = found(server, f"{DEV}/indexed/app/-/tags/1")
    assert told["kind"] == "index"
    assert [(child["platform"], child["digest"], child["kept"]) for child in told["platforms"]] == [
        ("linux/amd64", one.digest, True),
        ("linux/arm64/v8", two.digest, True),
    ]
    blobs = {blob.digest: blob.size for blob in (*one.blobs, *two.blobs)}
    assert told["size"] == sum(blobs.values())
    assert found(server, f"{DEV}/indexed/app/-/tags")["items"][0]["size"] == told["size"]
    assert (told["layers"], told["config"]) == ([], None)


def test_the_history_of_a_tag_tells_what_stood_when_and_by_whom(server: Pierhead) -> None:
    first, second = image(seed=33), image(seed=34)
    with server.wire("docker-hosted-dev", "svc-orchestrator") as wire:
        wire.push("moving/app", "latest", first)
    with server.wire("docker-hosted-dev") as wire:
        wire.push("moving/app", "latest", second)
    items = found(server, f"{DEV}/moving/app/-/tags/latest/history")["items"]
    assert [(one["digest"], one["by"]) for one in items] == [
        (second.digest, "admin"),
        (first.digest, "svc-orchestrator"),
    ]
    assert items[0]["until"] is None
    assert items[1]["until"] == items[0]["since"]
    ask(server, f"{DEV}/moving/app/-/tags/latest", method="DELETE").expect(200)
    kept = found(server, f"{DEV}/moving/app/-/tags/latest/history")["items"]
    assert [one["digest"] for one in kept] == [second.digest, first.digest]
    assert kept[0]["until"] is not None


def test_deleting_a_tag_leaves_its_manifest_and_deleting_that_takes_its_tags(server: Pierhead) -> None:
    pushed = image(seed=35)
    with server.wire("docker-hosted-dev") as wire:
        for tag in ("a", "b", "c"):
            wire.push("deleted/app", tag, pushed)
        told = found(server, f"{DEV}/deleted/app/-/tags/a", method="DELETE")
        assert (told["deleted"], told["tag"]) == (True, "a")
        assert wire.get_manifest("deleted/app", "a").status == 404
        assert wire.get_manifest("deleted/app", pushed.digest).status == 200
        found(server, f"{DEV}/deleted/app/-/manifests/{pushed.digest}", method="DELETE")
        assert [wire.get_manifest("deleted/app", one).status for one in ("b", "c", pushed.digest)] == [404, 404, 404]
    again = ask(server, f"{DEV}/deleted/app/-/tags/b", method="DELETE")
    assert (again.status, again.json()["code"]) == (404, "manifest_unknown")


def test_a_group_deletes_nothing_and_says_where_to(server: Pierhead) -> None:
    with server.wire("docker-hosted-dev") as wire:
        wire.push("kept/app", "1", image(seed=36))
    answer = ask(server, f"{GROUP}/kept/app/-/tags/1", method="DELETE")
    assert (answer.status, answer.json()["code"]) == (405, "deletion_unsupported")
    assert "docker-group is a group" in answer.json()["message"]
