"""What the client makes of answers that no honest registry gives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from pierhead.adapters.upstream.client import RegistryUpstream
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Tag
from pierhead.domain.refusals import Unavailable
from pierhead.ports.upstream import Absent
from tests.contracts.upstream import all_of, client, held
from tests.faults import behaviours as bad
from tests.faults.dishonest_upstream import INDEX, Behaviour, DishonestUpstream, Image, digest_of

NGINX = ImageName("library/nginx")
TAG = Tag("1.27")
LAYER = bytes(range(256)) * 2000


@dataclass
class Scene:
    double: DishonestUpstream
    upstream: RegistryUpstream
    image: Image

    @property
    def digest(self) -> Digest:
        return Digest(self.image.digest)

    @property
    def layer(self) -> Digest:
        return Digest(digest_of(LAYER))


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with DishonestUpstream() as double:
        image = double.add_image(NGINX, TAG, [LAYER])
        async with client(double.url) as upstream:
            yield Scene(double, upstream, image)


async def test_a_head_costs_no_get(scene: Scene) -> None:
    assert held(await scene.upstream.head(NGINX, TAG)).digest == scene.digest
    assert (scene.double.count("HEAD"), scene.double.count("GET")) == (1, 0)


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(bad.without("Docker-Content-Digest"), id="no digest"),
        pytest.param(bad.lying_digest("sha256:short"), id="a digest that is none"),
        pytest.param(bad.without("Content-Length"), id="no length"),
        pytest.param(bad.status(405), id="405"),
        pytest.param(bad.with_headers({"Content-Type": "application/json"}), id="no manifest's type"),
    ],
)
async def test_a_head_that_says_too_little_is_followed_by_a_get(scene: Scene, behaviour: Behaviour) -> None:
    scene.double.play(behaviour, "/manifests/", method="HEAD")
    found = held(await scene.upstream.head(NGINX, TAG))
    assert (found.digest, found.body) == (scene.digest, scene.image.manifest)
    assert scene.double.count("GET", "/manifests/1.27") == 1


async def test_a_head_by_digest_that_says_another_digest_is_a_bad_answer(scene: Scene) -> None:
    scene.double.play(bad.lying_digest(), "/manifests/")
    with pytest.raises(Unavailable) as caught:
        await scene.upstream.head(NGINX, scene.digest)
    assert caught.value.kind == "bad_answer"


MANIFEST_LIES = {
    "other bytes": bad.other_bytes(),
    "a digest of something else": bad.lying_digest(),
    "a body that is cut": bad.cut(40),
    "a chunked body that is cut": bad.cut_chunked(40),
    "a length that is too long": bad.wrong_length(5),
    "a length that is too short": bad.wrong_length(-5),
    "a web page": bad.web_page(),
    "a compressed body": bad.compressed(),
    "a body without end": bad.endless(),
    "a body above the maximum": bad.status(200, {"Content-Type": INDEX}, b" " * (limits.MANIFEST_BYTES_MAX + 1)),
    "a great many headers": bad.many_headers(20_000),
    "a header without end": bad.with_headers({"X-Long": "x" * 100_000}),
    "no HTTP": bad.no_http(),
    "a partial answer": bad.status(206, {"Content-Type": INDEX}, b"{}"),
    "a status that means nothing here": bad.status(418),
    "nothing at all": bad.status(200, {"Content-Type": INDEX}),
}


@pytest.mark.parametrize("lie", MANIFEST_LIES)
async def test_a_manifest_is_never_taken_from(scene: Scene, lie: str) -> None:
    scene.double.play(MANIFEST_LIES[lie], "/manifests/", method="GET")
    with pytest.raises(Unavailable) as caught:
        await scene.upstream.manifest(NGINX, scene.digest)
    assert caught.value.kind == "bad_answer"
    assert scene.upstream.host in caught.value.message
    assert scene.upstream.state().bad_answers == 1
    scene.double.be_honest()
    assert held(await scene.upstream.manifest(NGINX, scene.digest)).body == scene.image.manifest


async def test_a_tag_whose_said_digest_does_not_fit_its_bytes_is_a_bad_answer(scene: Scene) -> None:
    scene.double.play(bad.lying_digest(), "/manifests/1.27")
    with pytest.raises(Unavailable, match="the bytes have the digest"):
        await scene.upstream.manifest(NGINX, TAG)


async def test_a_manifest_of_a_plain_type_is_known_by_what_it_says_itself(scene: Scene) -> None:
    scene.double.play(bad.with_headers({"Content-Type": "application/octet-stream"}), "/manifests/")
    assert held(await scene.upstream.manifest(NGINX, TAG)).media_type.endswith("image.manifest.v1+json")


async def test_all_manifest_types_are_asked_for_and_no_encoding(scene: Scene) -> None:
    await scene.upstream.manifest(NGINX, TAG)
    headers = scene.double.seen[-1].headers
    assert len(headers["accept"].split(",")) == 6
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"].startswith("Pierhead/")
    assert "cookie" not in headers


async def test_cookies_are_not_kept(scene: Scene) -> None:
    scene.double.extra_headers = {"Set-Cookie": "session=abc; Path=/"}
    await scene.upstream.manifest(NGINX, TAG)
    await scene.upstream.manifest(NGINX, TAG)
    assert all("cookie" not in request.headers for request in scene.double.seen)


@pytest.mark.parametrize("lie", ["web page", "gzip", "no http"])
async def test_a_blob_is_never_taken_from(scene: Scene, lie: str) -> None:
    scene.double.play({"web page": bad.web_page(), "gzip": bad.compressed(), "no http": bad.no_http()}[lie], "/blobs/")
    with pytest.raises(Unavailable) as caught:
        await scene.upstream.blob(NGINX, scene.layer)
    assert caught.value.kind == "bad_answer"
    assert scene.upstream.state().fetching == 0


async def test_tags_are_read_page_by_page(scene: Scene) -> None:
    scene.double.page_size = 7
    scene.double.tag_lists[NGINX] = [f"1.{number}" for number in range(50)]
    assert await scene.upstream.tags(NGINX) == tuple(f"1.{number}" for number in range(50))
    assert scene.double.count("GET", "/tags/list") == 8


async def test_what_is_no_tag_is_left_out_of_the_list(scene: Scene) -> None:
    scene.double.tag_lists[NGINX] = ["1.0", "not a tag", "", "-x", "../etc", "1.0", "2.0"]
    assert await scene.upstream.tags(NGINX) == ("1.0", "2.0")


async def test_a_null_list_of_tags_is_empty(scene: Scene) -> None:
    scene.double.play(bad.status(200, {"Content-Type": "application/json"}, b'{"name":"x","tags":null}'), "/tags/")
    assert await scene.upstream.tags(NGINX) == ()


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ("</v2/library/nginx/tags/list?n=1000>", "without end"),
        ("<http://192.0.2.7/v2/library/nginx/tags/list>", "another place"),
        ("<file:///etc/passwd>", "file:"),
    ],
)
async def test_a_next_page_that_leads_astray_is_not_followed(scene: Scene, link: str, why: str) -> None:
    scene.double.play(bad.with_headers({"Link": f'{link}; rel="next"'}), "/tags/")
    with pytest.raises(Unavailable, match=why):
        await scene.upstream.tags(NGINX)


async def test_pages_that_never_end_are_given_up(scene: Scene) -> None:
    scene.double.page_size = 1
    scene.double.tag_lists[NGINX] = [f"t{number}" for number in range(limits.TAGS_LIST_PAGES_MAX + 5)]
    with pytest.raises(Unavailable, match="without end"):
        await scene.upstream.tags(NGINX)
    assert scene.double.count("GET", "/tags/") == limits.TAGS_LIST_PAGES_MAX


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"tags": {}}', b'{"tags":' + b"[" * 100_000, b"{}"])
async def test_a_list_of_tags_of_another_shape_is_a_bad_answer(scene: Scene, body: bytes) -> None:
    scene.double.play(bad.status(200, {"Content-Type": "application/json"}, body), "/tags/")
    with pytest.raises(Unavailable) as caught:
        await scene.upstream.tags(NGINX)
    assert caught.value.kind == "bad_answer"


async def test_referrers_come_as_one_index_and_are_absent_where_the_upstream_has_none(scene: Scene) -> None:
    assert isinstance(await scene.upstream.referrers(NGINX, scene.digest, None), Absent)
    scene.double.play(bad.status(405), "/referrers/")
    assert isinstance(await scene.upstream.referrers(NGINX, scene.digest, None), Absent)
    scene.double.be_honest()
    scene.double.referrers = {scene.image.digest: [{"digest": digest_of(b"sbom")}]}
    found = await scene.upstream.referrers(NGINX, scene.digest, "application/x+y z")
    assert isinstance(found, bytes)
    assert digest_of(b"sbom").encode() in found
    assert scene.double.seen[-1].query["artifactType"] == ["application/x+y z"]


async def test_rate_limit_headers_are_kept(scene: Scene) -> None:
    scene.double.extra_headers = {
        "ratelimit-limit": "100;w=21600",
        "ratelimit-remaining": "97;w=21600",
        "docker-ratelimit-source": "192.0.2.1",
    }
    await scene.upstream.head(NGINX, TAG)
    kept = scene.upstream.state().rate_limit
    assert kept is not None
    assert (kept.limit, kept.remaining, kept.window_seconds, kept.source) == (100, 97, 21600, "192.0.2.1")


async def test_a_wrong_byte_in_a_blob_is_left_to_whoever_lands_it(scene: Scene) -> None:
    scene.double.play(bad.other_bytes(), "/blobs/")
    body = await all_of(await scene.upstream.blob(NGINX, scene.layer))
    assert len(body) == len(LAYER)
    assert Digest.of(body) != scene.layer
