"""The first digest that a tag gets is the only one that it ever has, however many push at once and whoever they are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.peers.fixtures import StartPierhead
from tests.peers.images import Blob, Image, image, index, json_blob
from tests.peers.pierhead import Pierhead
from tests.peers.wire import Answer, Wire
from tests.promises.ground import CONFIG, ENVIRONMENT, PASSWORD

KANIKO_LOOKS_FOR = "cannot be overwritten because the repository is immutable"
PUSHES = 64


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(CONFIG, environment=ENVIRONMENT) as started:
        yield started


def as_alice(server: Pierhead, port: str = "once") -> Wire:
    return server.wire(port, "alice", PASSWORD)


def variants(of: Image, count: int) -> list[Blob]:
    """Manifests that differ and name the same blobs."""
    content = {"schemaVersion": 2, "mediaType": of.manifest.media_type}
    content |= {"config": of.config.descriptor(), "layers": [layer.descriptor() for layer in of.layers]}
    return [json_blob({**content, "annotations": {"n": str(n)}}, of.manifest.media_type) for n in range(count)]


def all_at_once(server: Pierhead, name: str, reference: str, manifests: list[Blob]) -> list[Answer]:
    """One thread and one connection each; they start together."""
    ready = threading.Barrier(len(manifests))

    def push(manifest: Blob) -> Answer:
        with as_alice(server) as wire:
            wire.request("GET", "/v2/").expect(200)
            ready.wait(30)
            return wire.put_manifest(name, reference, manifest)

    with ThreadPoolExecutor(len(manifests)) as pool:
        return list(pool.map(push, manifests))


def check_that_one_won(server: Pierhead, name: str, tag: str) -> None:
    first = image(seed=110)
    with as_alice(server) as wire:
        for blob in first.blobs:
            wire.push_blob(name, blob)
    manifests = variants(first, PUSHES)
    answers = all_at_once(server, name, tag, manifests)
    won = [manifest for manifest, answer in zip(manifests, answers, strict=True) if answer.status == 201]
    lost = [answer for answer in answers if answer.status != 201]
    assert len(won) == 1
    assert len(lost) == PUSHES - 1
    for answer in lost:
        assert (answer.status, answer.code) == (409, "DENIED")
        assert KANIKO_LOOKS_FOR in answer.message
        for part in ("once", f"{name}:{tag}", won[0].digest, "Use a new version"):
            assert part in answer.message
    with as_alice(server) as wire:
        assert wire.get_manifest(name, tag).body == won[0].data
        assert wire.tags(name) == [tag]
        # The losers' bytes are not there either: their pushes left nothing.
        missing = [m for m in manifests if wire.get_manifest(name, m.digest, method="HEAD").status == 404]
        assert len(missing) == PUSHES - 1


def test_row_110_of_64_pushes_of_one_tag_at_once_exactly_one_wins(server: Pierhead) -> None:
    for round_ in range(3):
        check_that_one_won(server, f"race/image-{round_}", "1.0")


def test_row_110_three_workers_are_no_less_strict(start_pierhead: StartPierhead) -> None:
    server = start_pierhead(CONFIG, environment=ENVIRONMENT, arguments=["--workers", "3"])
    for round_ in range(2):
        check_that_one_won(server, f"race/workers-{round_}", "2.0")


def test_row_111_the_same_bytes_again_are_accepted_and_change_nothing(server: Pierhead) -> None:
    pushed = image(seed=111)
    with as_alice(server) as wire:
        first = wire.push("again/image", "1.0", pushed)
        second = wire.put_manifest("again/image", "1.0", pushed.manifest).expect(201)
        assert second.headers["Docker-Content-Digest"] == first.headers["Docker-Content-Digest"]
        answers = all_at_once(server, "again/image", "1.0", [pushed.manifest] * 16)
        assert {answer.status for answer in answers} == {201}


def test_row_112_several_tags_are_written_all_or_none(server: Pierhead) -> None:
    with as_alice(server) as wire:
        one, two = image(seed=1), image(seed=2)
        wire.push("several/image", "taken", one)
        wire.push("several/image", two.digest, two)
        for query in ("tag=new&tag=taken", "tag=taken&tag=new"):
            headers = {"Content-Type": two.manifest.media_type}
            target = f"/v2/several/image/manifests/{two.digest}?{query}"
            refused = wire.request("PUT", target, two.manifest.data, headers)
            assert (refused.status, refused.code) == (409, "DENIED")
            assert "several/image:taken" in refused.message
            assert wire.tags("several/image") == ["taken"]
        by_tag = wire.request(
            "PUT",
            "/v2/several/image/manifests/new?tag=taken",
            two.manifest.data,
            {"Content-Type": two.manifest.media_type},
        )
        assert by_tag.status == 409
        assert wire.tags("several/image") == ["taken"]
        assert wire.get_manifest("several/image", "taken").body == one.manifest.data


def test_row_113_latest_is_no_exception_even_for_admin(server: Pierhead) -> None:
    with as_alice(server) as wire, server.wire("once") as admin:
        wire.push("latest/image", "latest", image(seed=1))
        for pusher in (wire, admin):
            other = image(seed=2)
            for blob in other.blobs:
                pusher.push_blob("latest/image", blob)
            assert pusher.put_manifest("latest/image", "latest", other.manifest).status == 409


def test_row_114_a_deleted_tag_stays_spent(server: Pierhead) -> None:
    with as_alice(server) as wire, server.wire("once") as admin:
        one, two = image(seed=1), image(seed=2)
        wire.push("spent/image", "1.0", one)
        wire.push("spent/image", two.digest, two)
        assert wire.request("DELETE", "/v2/spent/image/manifests/1.0").status == 403
        admin.request("DELETE", "/v2/spent/image/manifests/1.0").expect(202)
        assert wire.get_manifest("spent/image", "1.0").status == 404
        for pusher in (wire, admin):
            refused = pusher.put_manifest("spent/image", "1.0", two.manifest)
            assert (refused.status, refused.code) == (409, "DENIED")
            assert f"once held {one.digest} from " in refused.message
            assert "until it was deleted" in refused.message
            assert one.digest in refused.message
        wire.put_manifest("spent/image", "1.0", one.manifest).expect(201)
        assert wire.get_manifest("spent/image", "1.0").body == one.manifest.data


def test_row_115_nothing_is_taken_away_from_under_a_tag_that_is_written_once(server: Pierhead) -> None:
    with as_alice(server) as wire, server.wire("once") as admin:
        multi = index({"linux/amd64": image(seed=1), "linux/arm64": image(seed=2)})
        wire.push("under/image", "1.0", multi)
        for digest in (multi.digest, multi.images[0].digest):
            refused = admin.request("DELETE", f"/v2/under/image/manifests/{digest}")
            assert (refused.status, refused.code) == (409, "DENIED")
            assert digest in refused.message
        blob = multi.images[0].layers[0].digest
        refused = admin.request("DELETE", f"/v2/under/image/blobs/{blob}")
        assert (refused.status, refused.code) == (405, "UNSUPPORTED")
        assert multi.images[0].digest in refused.message
        assert wire.get_manifest("under/image", "1.0").body == multi.manifest.data
        assert wire.get_blob("under/image", blob).body == multi.images[0].layers[0].data


def test_row_116_a_repository_of_policy_deny_deletes_nothing(server: Pierhead) -> None:
    digest = "sha256:" + "a" * 64
    with server.wire("shut") as admin:
        for path in ("manifests/1.0", f"manifests/{digest}", f"blobs/{digest}"):
            refused = admin.request("DELETE", f"/v2/any/image/{path}")
            assert (refused.status, refused.code) == (405, "UNSUPPORTED"), path
            assert "write policy is DENY (`repositories.shut.write_policy` in the config file)." in refused.message
        for method, path in (("POST", "blobs/uploads/"), ("PUT", "manifests/1.0")):
            refused = admin.request(method, f"/v2/any/image/{path}", image().manifest.data)
            assert (refused.status, refused.code) == (403, "DENIED")


def test_row_119_a_policy_that_changes_counts_from_the_next_push_on(start_pierhead: StartPierhead) -> None:
    server = start_pierhead(CONFIG, environment=ENVIRONMENT)
    one, two = image(seed=1), image(seed=2)
    with as_alice(server, "open") as wire:
        for pushed in (two, one):
            wire.push("flip/image", "1.0", pushed)
        stricter = {**CONFIG, "repositories": {**CONFIG["repositories"]}}
        stricter["repositories"]["open"] = {**CONFIG["repositories"]["open"], "write_policy": "ALLOW_ONCE"}
        server.reload(stricter)
        server.wait_for_log("read again")
        refused = wire.put_manifest("flip/image", "1.0", two.manifest)
        assert (refused.status, refused.code) == (409, "DENIED")
        assert wire.get_manifest("flip/image", "1.0").body == one.manifest.data
        assert wire.put_manifest("flip/image", "1.0", one.manifest).status == 201
