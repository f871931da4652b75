"""Lists of tags, images and referrers, page by page, after the OCI distribution specification."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from tests.faces.v2_house import Place, house, sha512, ways
from tests.peers.images import OCI_INDEX, Blob, artifact, image, index, json_blob, sha256
from tests.peers.pierhead import Pierhead
from tests.peers.wire import Answer

IMAGE = image(seed=1)
# Prefixes of each other, both cases, digits: what a list must neither lose nor repeat.
TAGS = sorted(
    {"1", "1.0", "1.0.0", "1.0.0-rc", "1.0.0_1", "10", "1-0", "a", "A", "aa", "a-a", "a.a", "a_a", "_a", "latest", "z"}
    | {f"v{number}" for number in range(90)}
)


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with house() as started:
        wire = ways(started)["by port"].wire
        wire.push("list/tags", IMAGE.digest, IMAGE)
        shuffled = random.Random(1).sample(TAGS, len(TAGS))
        for start in range(0, len(shuffled), 20):
            query = "&".join(f"tag={tag}" for tag in shuffled[start : start + 20])
            headers = {"Content-Type": IMAGE.manifest.media_type}
            wire.request("PUT", f"/v2/list/tags/manifests/{IMAGE.digest}?{query}", IMAGE.manifest.data, headers)
        yield started


@pytest.fixture(scope="module")
def both(server: Pierhead) -> dict[str, Place]:
    return ways(server)


@pytest.fixture(params=["by port", "by path"])
def place(request: pytest.FixtureRequest, both: dict[str, Place]) -> Place:
    return both[request.param]


def next_of(answer: Answer) -> str:
    """The address in ``Link``, "" without one. It is relative, and stands alone."""
    link = answer.headers.get("Link")
    if link is None:
        return ""
    assert link.startswith("</v2/")
    assert link.endswith('>; rel="next"')
    return str(link[1 : link.index(">")])


def pages(place: Place, target: str, key: str) -> list[list[str]]:
    found = []
    while target:
        answer = place.follow("GET", target).expect(200)
        assert answer.headers["Content-Type"] == "application/json"
        found.append(answer.json()[key])
        target = next_of(answer)
    return found


def test_all_tags_come_sorted_with_the_name_that_was_asked(place: Place) -> None:
    answer = place.ask("GET", "list/tags", "tags/list").expect(200)
    assert answer.json() == {"name": f"{place.prefix}list/tags", "tags": TAGS}
    assert "Link" not in answer.headers


@pytest.mark.parametrize("n", [1, 7, len(TAGS) - 1, len(TAGS), len(TAGS) + 1, 100_000])
def test_pages_of_any_length_lose_and_repeat_nothing(n: int, place: Place) -> None:
    found = pages(place, place.path("list/tags", f"tags/list?n={n}"), "tags")
    assert [tag for page in found for tag in page] == TAGS
    assert all(len(page) <= n for page in found)
    assert all(len(page) == n for page in found[:-1])
    assert found[-1], "no Link leads to an empty page"


def test_a_page_begins_behind_last_even_if_that_is_no_tag(place: Place) -> None:
    for last in ("", "1.0.0", "1.0.0-", "m", "zz", "0"):
        answer = place.ask("GET", "list/tags", f"tags/list?last={last}").expect(200)
        assert answer.json()["tags"] == [tag for tag in TAGS if tag > last]
    answer = place.ask("GET", "list/tags", "tags/list?n=2&last=a")
    assert answer.json()["tags"] == ["a-a", "a.a"]
    assert next_of(answer) == place.path("list/tags", "tags/list?n=2&last=a.a")


def test_a_page_of_none_is_empty(place: Place) -> None:
    answer = place.ask("GET", "list/tags", "tags/list?n=0").expect(200)
    assert answer.json()["tags"] == []
    assert "Link" not in answer.headers


def test_tags_of_what_is_not_there_are_404(place: Place) -> None:
    answer = place.ask("GET", "no/such", "tags/list")
    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")
    assert "no/such" in answer.message


def test_an_upload_alone_makes_no_image_in_the_catalogue(place: Place) -> None:
    location = place.begin("only/begun")
    assert "only/begun" not in place.follow("GET", "/v2/_catalog").json()["repositories"]
    place.follow("DELETE", location).expect(204)


def test_the_catalogue_of_a_port_and_of_all(both: dict[str, Place], server: Pierhead) -> None:
    names = ["cat/a", "cat/a-b", "cat/a.b", "cat/a/b", "cat/ab", "cat/b"]
    for name in names:
        both["by port"].wire.push(name, "1", IMAGE)
    both["by path"].wire.push("once/cat/z", "1", IMAGE)
    both["by path"].wire.push("other/cat/z", "1", IMAGE)
    mine = sorted([*names, "list/tags"])
    everywhere = sorted([*(f"open/{name}" for name in mine), "once/cat/z", "other/cat/z"])
    for place, wanted in ((both["by port"], mine), (both["by path"], everywhere)):
        for n in (1, 3, len(wanted), 1_000):
            found = pages(place, f"/v2/_catalog?n={n}", "repositories")
            assert [name for page in found for name in page] == wanted
        assert place.follow("GET", "/v2/_catalog").json() == {"repositories": wanted}
        assert place.follow("GET", f"/v2/_catalog?last={wanted[2]}").json()["repositories"] == wanted[3:]
    with server.wire("shut") as admin:
        assert admin.request("GET", "/v2/_catalog").json() == {"repositories": []}


class TestReferrers:
    """What refers to a digest: signatures, SBOMs, attestations ("Listing Referrers")."""

    def referrers(self, place: Place, name: str, digest: str, query: str = "") -> Answer:
        answer = place.ask("GET", name, f"referrers/{digest}{query}").expect(200)
        assert answer.headers["Content-Type"] == OCI_INDEX
        body = answer.json()
        assert (body["schemaVersion"], body["mediaType"]) == (2, OCI_INDEX)
        return answer

    def test_none_is_an_empty_index_and_never_404(self, place: Place) -> None:
        for name in ("list/tags", "never/heard"):
            answer = self.referrers(place, name, sha256(b"unknown"))
            assert answer.json()["manifests"] == []
            assert "OCI-Filters-Applied" not in answer.headers

    def test_each_comes_with_type_and_annotations(self, place: Place) -> None:
        subject = image(seed=2)
        place.wire.push(f"{place.prefix}ref/erred", "1", subject)
        signature = artifact(subject, artifact_type="application/vnd.sig", annotations={"by": "anna"})
        sbom = artifact(subject, artifact_type="application/spdx+json", payload=b"{}")
        for one in (signature, sbom):
            answer = place.wire.push(f"{place.prefix}ref/erred", one.digest, one)
            assert answer.headers["OCI-Subject"] == subject.digest
        listed = {one["digest"]: one for one in self.referrers(place, "ref/erred", subject.digest).json()["manifests"]}
        assert set(listed) == {signature.digest, sbom.digest}
        assert listed[signature.digest] == {
            **signature.manifest.descriptor(),
            "artifactType": "application/vnd.sig",
            "annotations": {"by": "anna"},
        }
        filtered = self.referrers(place, "ref/erred", subject.digest, "?artifactType=application%2Fvnd.sig")
        assert [one["digest"] for one in filtered.json()["manifests"]] == [signature.digest]
        assert filtered.headers["OCI-Filters-Applied"] == "artifactType"
        none = self.referrers(place, "ref/erred", subject.digest, "?artifactType=application%2Fnone")
        assert none.json()["manifests"] == []
        assert none.headers["OCI-Filters-Applied"] == "artifactType"

    def test_a_subject_may_come_later(self, place: Place) -> None:
        subject = image(seed=3)
        early = artifact(subject)
        answer = place.wire.push(f"{place.prefix}ref/early", "sig", early)
        assert answer.headers["OCI-Subject"] == subject.digest
        place.wire.push(f"{place.prefix}ref/early", "1", subject)
        [one] = self.referrers(place, "ref/early", subject.digest).json()["manifests"]
        assert one["digest"] == early.digest

    def test_an_index_refers_too_and_an_image_shows_its_config_as_type(self, place: Place) -> None:
        subject, plain = image(seed=4), image(seed=5)
        name = f"{place.prefix}ref/kinds"
        multi = index({"linux/amd64": plain})
        place.wire.push(name, "multi", multi)
        content = {**json.loads(multi.manifest.data), "subject": subject.manifest.descriptor()}
        with_subject = json_blob({**content, "artifactType": "application/vnd.idx"}, OCI_INDEX)
        place.wire.put_manifest(name, with_subject.digest, with_subject).expect(201)
        referring = {**json.loads(plain.manifest.data), "subject": subject.manifest.descriptor()}
        as_image = json_blob(referring, plain.manifest.media_type)
        place.wire.put_manifest(name, as_image.digest, as_image).expect(201)
        types = {
            one["digest"]: one.get("artifactType")
            for one in self.referrers(place, "ref/kinds", subject.digest).json()["manifests"]
        }
        assert types == {with_subject.digest: "application/vnd.idx", as_image.digest: plain.config.media_type}

    def test_a_deleted_referrer_is_listed_no_more(self, place: Place, server: Pierhead) -> None:
        subject = image(seed=6)
        one = artifact(subject)
        place.wire.push(f"{place.prefix}ref/gone", one.digest, one)
        assert self.referrers(place, "ref/gone", subject.digest).json()["manifests"]
        Place(server.wire("open"), "").ask("DELETE", "ref/gone", f"manifests/{one.digest}").expect(202)
        assert self.referrers(place, "ref/gone", subject.digest).json()["manifests"] == []

    def test_the_fallback_tag_of_old_clients_is_merged_in_once(self, place: Place) -> None:
        subject, name = image(seed=7), f"{place.prefix}ref/fallback"
        known, old = artifact(subject, payload=b"known"), artifact(payload=b"old")
        for one in (known, old):
            place.wire.push(name, one.digest, one)
        entries = [
            {**known.manifest.descriptor(), "artifactType": "application/vnd.example.signature.v1"},
            {**old.manifest.descriptor(), "artifactType": "application/vnd.old"},
        ]
        body = Blob(json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode(), OCI_INDEX)
        place.wire.put_manifest(name, subject.digest.replace(":", "-"), body).expect(201)
        listed = self.referrers(place, "ref/fallback", subject.digest).json()["manifests"]
        assert sorted(one["digest"] for one in listed) == sorted([known.digest, old.digest])
        marked = [one["digest"] for one in listed if "io.pierhead.referrer.unverified" in one.get("annotations", {})]
        assert marked == [old.digest]
        filtered = self.referrers(place, "ref/fallback", subject.digest, "?artifactType=application%2Fvnd.old")
        assert [one["digest"] for one in filtered.json()["manifests"]] == [old.digest]

    def test_the_fallback_tag_of_a_sha512_subject_has_64_digits(self, place: Place) -> None:
        subject, name = sha512(b"any"), f"{place.prefix}ref/fallback512"
        old = artifact(payload=b"old")
        place.wire.push(name, old.digest, old)
        entries = [{**old.manifest.descriptor(), "artifactType": "application/vnd.old"}]
        body = json_blob({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}, OCI_INDEX)
        place.wire.put_manifest(name, subject.replace(":", "-")[: len("sha512-") + 64], body).expect(201)
        [listed] = self.referrers(place, "ref/fallback512", subject).json()["manifests"]
        assert listed["digest"] == old.digest
