"""Tags that a rule has written once, in a repository whose policy lets others move: as strict as ALLOW_ONCE."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.peers.images import Blob, Image, image, json_blob
from tests.peers.pierhead import Config, Pierhead
from tests.peers.wire import Answer
from tests.promises.desk import say

KANIKO_LOOKS_FOR = "cannot be overwritten because the repository is immutable"
PUSHES = 64
TAGS = {
    "main": {"branch": "main", "names": ["main-{short_sha}"], "moving": ["latest"], "once": ["dev"]},
    "release": {"tag": "v*", "names": ["{version}"], "moving": ["stable"], "once": ["d*"]},
    "branch": {"branch": "*", "names": ["branch-{slug}-{short_sha}"]},
}
CONFIG: Config = {
    "listen": "auto:main",
    "external_url": "http://auto:main",
    "repositories": {
        "dev": {"type": "hosted", "write_policy": "ALLOW", "listen": "auto:dev"},
        "other": {"type": "hosted", "write_policy": "ALLOW"},
    },
    "tags": TAGS,
    "anonymous": "none",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(CONFIG, arguments=["--workers", "3"]) as started:
        yield started


def variants(of: Image, count: int) -> list[Blob]:
    """Manifests that differ and name the same blobs."""
    content = {"schemaVersion": 2, "mediaType": of.manifest.media_type}
    content |= {"config": of.config.descriptor(), "layers": [layer.descriptor() for layer in of.layers]}
    return [json_blob({**content, "annotations": {"n": str(n)}}, of.manifest.media_type) for n in range(count)]


def prepared(server: Pierhead, name: str, count: int) -> list[Blob]:
    """The blobs are there; what is still to push are these manifests."""
    base = image(seed=len(name))
    with server.wire("dev") as wire:
        for blob in base.blobs:
            wire.push_blob(name, blob)
    return variants(base, count)


@pytest.mark.parametrize(("tag", "rule"), [("main-a1b2c3d4", "main"), ("1.4.0", "release")])
def test_of_64_pushes_at_once_to_three_workers_one_wins(server: Pierhead, tag: str, rule: str) -> None:
    name = f"race/{rule}"
    manifests = prepared(server, name, PUSHES)
    ready = threading.Barrier(PUSHES)

    def push(manifest: Blob) -> Answer:
        with server.wire("dev") as wire:
            wire.request("GET", "/v2/").expect(200)
            ready.wait(60)
            return wire.put_manifest(name, tag, manifest)

    with ThreadPoolExecutor(PUSHES) as pool:
        answers = list(pool.map(push, manifests))
    (won,) = [manifest for manifest, answer in zip(manifests, answers, strict=True) if answer.status == 201]
    lost = [answer for answer in answers if answer.status != 201]
    assert len(lost) == PUSHES - 1
    for answer in lost:
        assert (answer.status, answer.code) == (409, "DENIED")
        assert f"{name}:{tag} {KANIKO_LOOKS_FOR}: dev holds {won.digest}" in answer.message
        assert f", and tags.{rule} (" in answer.message
        assert "has such tags written once there. Use a new tag; the same bytes would be accepted." in answer.message
    with server.wire("dev") as wire:
        assert wire.get_manifest(name, tag).body == won.data
        wire.put_manifest(name, tag, won).expect(201)


def test_what_moves_goes_on_moving_and_so_does_what_no_rule_is_about(server: Pierhead) -> None:
    manifests = prepared(server, "moves/app", 2)
    with server.wire("dev") as wire:
        for tag in ("latest", "stable", "branch-x-a1b2c3d4", "test2"):
            for manifest in manifests:
                wire.put_manifest("moves/app", tag, manifest).expect(201)
                assert wire.get_manifest("moves/app", tag).body == manifest.data


def test_a_repository_that_the_rule_does_not_name_is_left_alone(server: Pierhead) -> None:
    one, two = image(seed=1), image(seed=2)
    with server.wire() as wire:
        for pushed in (one, two):
            wire.push("other/free/app", "1.0.0", pushed)
        assert wire.get_manifest("other/free/app", "1.0.0").body == two.manifest.data


def test_several_tags_are_written_all_or_none(server: Pierhead) -> None:
    first, second = prepared(server, "all/app", 2)
    with server.wire("dev") as wire:
        wire.put_manifest("all/app", "1.0.0", first).expect(201)
        target, headers = "/v2/all/app/manifests/stable?tag=1.0.0", {"Content-Type": second.media_type}
        assert wire.request("PUT", target, second.data, headers).status == 409
        assert wire.tags("all/app") == ["1.0.0"]


def test_such_a_tag_is_deleted_like_one_that_is_written_once(server: Pierhead) -> None:
    first, second = prepared(server, "spent/app", 2)
    with server.wire("dev") as wire:
        wire.put_manifest("spent/app", "1.0.0", first).expect(201)
        refused = wire.request("DELETE", f"/v2/spent/app/manifests/{first.digest}")
        assert (refused.status, refused.code) == (409, "DENIED")
        assert "the tag 1.0.0 is written once" in refused.message
        wire.request("DELETE", "/v2/spent/app/manifests/1.0.0").expect(202)
        assert wire.put_manifest("spent/app", "1.0.0", second).status == 409
        wire.put_manifest("spent/app", "1.0.0", first).expect(201)


def test_explain_and_the_lists_tell_of_the_rule(server: Pierhead) -> None:
    first, second = prepared(server, "told/app", 2)
    with server.wire("dev") as wire, server.wire() as main:
        for tag in ("1.0.0", "stable", "test2"):
            wire.put_manifest("told/app", tag, first).expect(201)
        query = "account=admin&action=push&repository=dev&image=told/app&reference="
        no = say(main, "GET", f"/explain?{query}1.0.0").expect(200).json()
        refused = wire.put_manifest("told/app", "1.0.0", second)
        assert no["answer"] == f"No: {refused.message}"
        assert no["status"] == refused.status == 409
        yes = say(main, "GET", f"/explain?{query}main-a1b2c3d4").expect(200).json()
        assert yes["allowed"]
        assert "is new there, and tags.main (" in json.dumps(yes["steps"])
        listed = say(main, "GET", "/repositories/dev/images/told/app/-/tags").expect(200).json()["items"]
        assert {one["name"]: (one["rule"], one["moving"]) for one in listed} == {
            "1.0.0": ("release", False),
            "stable": ("release", True),
            "test2": (None, False),
        }
        house = say(main, "GET", "/repositories").expect(200).json()["items"]
        assert {one["name"]: one["written_once"] for one in house} == {"dev": ["main-*", "{version}"], "other": []}


def test_a_rule_that_comes_with_a_reload_counts_for_all_workers_from_the_next_push_on(server: Pierhead) -> None:
    first, second = prepared(server, "later/app", 2)
    with server.wire("dev") as wire:
        for manifest in (first, second):
            wire.put_manifest("later/app", "branch-x-a1b2c3d4", manifest).expect(201)
    try:
        server.reload({**CONFIG, "tags": {**TAGS, "branch": {**TAGS["branch"], "once": ["dev"]}}})
        server.wait_for_log("read again")
        for _ in range(12):  # new connections, which the system spreads over the workers
            with server.wire("dev") as wire:
                refused = wire.put_manifest("later/app", "branch-x-a1b2c3d4", first)
                assert refused.status == 409
                assert "tags.branch (" in refused.message
                assert wire.get_manifest("later/app", "branch-x-a1b2c3d4").body == second.data
    finally:
        server.reload(CONFIG)
