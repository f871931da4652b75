"""Tags, digests, absence and lists of a proxy: how often the upstream is asked, and with what."""

from __future__ import annotations

import asyncio
import json

import pytest

from pierhead.adapters.upstream.client import RegistryUpstream
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Tag
from pierhead.domain.refusals import Unavailable, UpstreamLimited
from pierhead.repositories.kind import Found, Head, Missing, TagList
from tests.contracts.rows import index
from tests.faults.behaviours import hang_up, limited, lying_digest, redirect_in_circles, status, wait_for, web_page
from tests.faults.dishonest_upstream import INDEX, DishonestUpstream, Tokens
from tests.repositories.house import ANNA, LATEST, NGINX, House, missing, pulled, until

SHORT = ImageName("nginx")


async def test_a_fresh_tag_asks_the_upstream_nothing(house: House, upstream: DishonestUpstream) -> None:
    image = upstream.add_image(NGINX, "latest", [b"layer"])
    proxy = await house.proxy(upstream.url)
    assert (await pulled(proxy, NGINX)).manifest.body == image.manifest
    asked = len(upstream.seen)
    found = await pulled(proxy, NGINX)
    assert (found.manifest.digest, found.stale, found.member) == (image.digest, "", "p")
    assert len(upstream.seen) == asked


async def test_both_spellings_of_a_library_image_are_one_entry(house: House, upstream: DishonestUpstream) -> None:
    upstream.add_image(NGINX, "latest", [b"layer"])
    proxy = await house.proxy(upstream.url)
    await pulled(proxy, SHORT)
    await pulled(proxy, NGINX)
    assert upstream.count("GET", "/manifests/") == 1
    assert upstream.count(path="/v2/nginx/") == 0


async def test_only_where_the_setting_says_so_are_short_names_library_names(
    house: House, upstream: DishonestUpstream
) -> None:
    upstream.add_image("nginx", "latest", [b"layer"])
    proxy = await house.proxy(upstream.url, library=False)
    await pulled(proxy, SHORT)
    assert await missing(proxy, NGINX, LATEST)


async def test_an_old_tag_that_has_not_changed_costs_a_head_and_no_pull(
    house: House, upstream: DishonestUpstream
) -> None:
    upstream.add_image(NGINX, "latest", [b"layer"])
    proxy = await house.proxy(upstream.url)
    await pulled(proxy, NGINX)
    house.clock.shift += 3601
    assert (await pulled(proxy, NGINX)).stale == ""
    await pulled(proxy, NGINX)
    assert (upstream.count("GET", "/manifests/"), upstream.count("HEAD", "/manifests/")) == (1, 1)
    house.clock.shift -= 7200  # put back: what was checked in the future may be of any age
    await pulled(proxy, NGINX)
    assert (upstream.count("GET", "/manifests/"), upstream.count("HEAD", "/manifests/")) == (1, 2)


async def test_an_old_tag_that_moved_is_fetched_anew_and_the_event_says_so(
    house: House, upstream: DishonestUpstream
) -> None:
    upstream.add_image(NGINX, "latest", [b"one"])
    proxy = await house.proxy(upstream.url)
    await pulled(proxy, NGINX)
    second = upstream.add_image(NGINX, "latest", [b"two"])
    assert (await pulled(proxy, NGINX)).manifest.digest != second.digest
    house.clock.shift += 3601
    assert (await pulled(proxy, NGINX)).manifest.digest == second.digest
    assert await house.count("events WHERE kind='cache'") == 2
    assert await house.count("tags WHERE name='latest'") == 2


async def test_a_tag_that_is_never_fresh_is_asked_about_each_time(house: House, upstream: DishonestUpstream) -> None:
    upstream.add_image(NGINX, "latest", [b"layer"])
    proxy = await house.proxy(upstream.url, fresh_for=0)
    for _ in range(3):
        await pulled(proxy, NGINX)
    assert (upstream.count("GET", "/manifests/"), upstream.count("HEAD", "/manifests/")) == (1, 2)
    assert await house.count("events WHERE kind='cache'") == 1


async def test_digests_are_fresh_for_ever(house: House, upstream: DishonestUpstream) -> None:
    image = upstream.add_image(NGINX, "latest", [b"layer"])
    proxy = await house.proxy(upstream.url)
    found = await proxy.manifest(ANNA, SHORT, Digest(image.digest), head=False)
    assert isinstance(found, Found)
    house.clock.shift += 10**9
    await upstream.stop()
    again = await proxy.manifest(ANNA, SHORT, Digest(image.digest), head=False)
    assert isinstance(again, Found)
    assert (again.manifest.body, again.stale) == (image.manifest, "")


async def test_a_head_of_a_tag_is_remembered_and_the_get_of_its_digest_gives_the_tag_its_bytes(
    house: House, upstream: DishonestUpstream
) -> None:
    """This is how docker pulls: HEAD of the tag, GET of the digest."""
    image = upstream.add_image(NGINX, "latest", [b"layer"])
    proxy = await house.proxy(upstream.url)
    head = await proxy.manifest(ANNA, SHORT, LATEST, head=True)
    assert isinstance(head, Head)
    assert (head.digest, head.size) == (image.digest, len(image.manifest))
    assert isinstance(await proxy.manifest(ANNA, SHORT, head.digest, head=False), Found)
    await upstream.stop()
    assert (await pulled(proxy, SHORT)).manifest.digest == image.digest
    assert upstream.count("GET", "/manifests/") == 1


async def test_fifty_who_want_a_cold_tag_cost_one_pull(house: House, upstream: DishonestUpstream) -> None:
    upstream.add_image(NGINX, "latest", [b"layer"])
    gate = asyncio.Event()
    upstream.play(wait_for(gate), path="/manifests/")
    proxy = await house.proxy(upstream.url)
    pulls = [asyncio.create_task(pulled(proxy, NGINX)) for _ in range(50)]
    await asyncio.sleep(0)
    gate.set()
    assert len({found.manifest.digest for found in await asyncio.gather(*pulls)}) == 1
    assert upstream.count(path="/manifests/") == 1


async def test_one_who_goes_away_does_not_take_the_pull_of_the_others_with_him(
    house: House, upstream: DishonestUpstream
) -> None:
    upstream.add_image(NGINX, "latest", [b"layer"])
    gate = asyncio.Event()
    script = upstream.play(wait_for(gate), path="/manifests/")
    proxy = await house.proxy(upstream.url)
    first, second = (asyncio.create_task(pulled(proxy, NGINX)) for _ in range(2))
    await until(lambda: script.played, "the upstream is asked")
    first.cancel()
    gate.set()
    assert (await second).stale == ""
    assert upstream.count(path="/manifests/") == 1


async def test_absence_is_remembered_briefly_and_no_longer(house: House, upstream: DishonestUpstream) -> None:
    upstream.add_image(NGINX, "other", [b"layer"])
    proxy = await house.proxy(upstream.url)
    for _ in range(3):
        assert await missing(proxy, NGINX, LATEST)
    assert upstream.count(path="/manifests/latest") == 1
    upstream.add_image(NGINX, "latest", [b"layer"])
    house.clock.shift += 31
    await pulled(proxy, NGINX)


async def test_absence_takes_bounded_memory(house: House, upstream: DishonestUpstream) -> None:
    proxy = await house.proxy(upstream.url)
    for number in range(10_050):
        proxy._absent.put((NGINX, str(number)), "")
    assert len(proxy._absent) == 10_000


async def test_a_private_image_is_missing_until_credentials_come(house: House) -> None:
    tokens = Tokens(private=frozenset({NGINX}))
    async with DishonestUpstream(tokens=tokens) as upstream:
        upstream.add_image(NGINX, "latest", [b"layer"])
        proxy = await house.proxy(upstream.url)
        assert await missing(proxy, NGINX, LATEST)
        tokens.private = frozenset()
        assert await missing(proxy, NGINX, LATEST)
        proxy.renew("", "")
        await pulled(proxy, NGINX)


async def test_a_refused_login_is_no_absence(house: House) -> None:
    async with DishonestUpstream(tokens=Tokens(users={"anna": "secret"})) as upstream:
        upstream.add_image(NGINX, "latest", [b"layer"])
        proxy = await house.proxy(upstream.url, username="anna", password="wrong")
        with pytest.raises(Unavailable):
            await proxy.manifest(ANNA, NGINX, LATEST, head=False)


async def test_a_tag_that_the_upstream_lost_goes_on_being_answered_as_stale(
    house: House, upstream: DishonestUpstream
) -> None:
    image = upstream.add_image(NGINX, "latest", [b"layer"])
    proxy = await house.proxy(upstream.url)
    await pulled(proxy, NGINX)
    upstream.manifests.clear()
    house.clock.shift += 3601
    for _ in range(2):
        found = await pulled(proxy, NGINX)
        assert found.manifest.digest == image.digest
        assert "has no nginx:latest any more" in found.stale
    assert upstream.count(path="/manifests/latest") == 2


async def test_what_is_kept_is_answered_as_stale_when_the_upstream_is_dead(
    house: House, upstream: DishonestUpstream
) -> None:
    upstream.add_image(NGINX, "latest", [b"layer"])
    proxy = await house.proxy(upstream.url)
    await pulled(proxy, NGINX)
    house.clock.shift += 3601
    await upstream.stop()
    found = await pulled(proxy, NGINX)
    assert "does not answer" in found.stale
    assert proxy.status().stale == 1


async def test_what_is_not_kept_is_refused_with_the_reason_and_what_is_kept(
    house: House, upstream: DishonestUpstream
) -> None:
    tags = ("1.25", "sha256-" + "a" * 64, "v1.26")
    for tag in tags:
        upstream.add_image(NGINX, tag, [tag.encode()])
    proxy = await house.proxy(upstream.url)
    for tag in tags:
        await pulled(proxy, NGINX, Tag(tag))
    await upstream.stop()
    with pytest.raises(Unavailable) as raised:
        await proxy.manifest(ANNA, NGINX, Tag("1.27"), head=False)
    assert "does not answer (connection refused)" in raised.value.message
    assert raised.value.message.endswith("nginx:1.27 is not kept here. Kept: 1.25, v1.26.")
    assert raised.value.kind == "down"


async def test_a_limit_is_stale_content_or_a_limit_of_our_own(house: House, upstream: DishonestUpstream) -> None:
    upstream.add_image(NGINX, "latest", [b"layer"])
    proxy = await house.proxy(upstream.url)
    await pulled(proxy, NGINX)
    house.clock.shift += 3601
    upstream.play(limited(retry_after=77), path="/manifests/")
    stale = (await pulled(proxy, NGINX)).stale
    assert "allows no more pulls for now. Next try " in stale
    assert "not kept" not in stale
    for reference in (Tag("other"), Digest.of(b"other")):
        with pytest.raises(UpstreamLimited) as raised:
            await proxy.manifest(ANNA, NGINX, reference, head=False)
        assert 70 <= raised.value.retry_after <= 77
        assert f"{reference} is not kept here. Kept: latest. Next try " in raised.value.message


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (status(503), "down"),
        (status(500), "down"),
        (hang_up(), "down"),
        (web_page(), "bad_answer"),
        (redirect_in_circles(), "bad_answer"),
        (status(200, {"Content-Type": "application/json"}, b"{}"), "bad_answer"),
        (status(200, {"Content-Type": INDEX}, b'{"schemaVersion": 2'), "bad_answer"),
    ],
    ids=["503", "500", "hangs up", "web page", "circle", "no manifest", "broken JSON"],
)
async def test_an_upstream_in_trouble_is_never_an_absence(
    house: House, upstream: DishonestUpstream, behaviour: object, kind: str
) -> None:
    upstream.play(behaviour, path="/manifests/")  # type: ignore[arg-type]
    proxy = await house.proxy(upstream.url)
    with pytest.raises(Unavailable) as raised:
        await proxy.manifest(ANNA, NGINX, LATEST, head=False)
    assert raised.value.kind == kind
    assert await house.count("manifests") == 0


async def test_schema_1_is_a_bad_answer_with_the_reason(house: House, upstream: DishonestUpstream) -> None:
    body = json.dumps({"schemaVersion": 1, "name": "library/nginx", "fsLayers": []}).encode()
    upstream.add_manifest(NGINX, "latest", body, "application/vnd.docker.distribution.manifest.v1+prettyjws")
    proxy = await house.proxy(upstream.url)
    with pytest.raises(Unavailable, match="schema 1"):
        await proxy.manifest(ANNA, NGINX, LATEST, head=False)


async def test_the_digest_is_computed_and_not_believed(house: House, upstream: DishonestUpstream) -> None:
    image = upstream.add_image(NGINX, "latest", [b"layer"])
    upstream.play(lying_digest(), path="/manifests/", method="GET")
    proxy = await house.proxy(upstream.url)
    with pytest.raises(Unavailable) as raised:
        await proxy.manifest(ANNA, NGINX, Digest(image.digest), head=False)
    assert raised.value.kind == "bad_answer"
    assert await house.count("manifests") == 0


async def test_an_index_is_kept_though_its_manifests_are_not_here(house: House, upstream: DishonestUpstream) -> None:
    image = upstream.add_image(NGINX, "amd64", [b"layer"])
    body = index(image.manifest)
    upstream.add_manifest(NGINX, "latest", body, INDEX)
    proxy = await house.proxy(upstream.url)
    assert (await pulled(proxy, NGINX)).manifest.body == body
    assert await proxy.names(SHORT, Digest(image.digest))
    child = await proxy.manifest(ANNA, SHORT, Digest(image.digest), head=False)
    assert isinstance(child, Found)


async def test_a_child_that_the_upstream_lost_is_missing_and_the_index_stays(
    house: House, upstream: DishonestUpstream
) -> None:
    image = upstream.add_image(NGINX, "amd64", [b"layer"])
    upstream.add_manifest(NGINX, "latest", index(image.manifest), INDEX)
    proxy = await house.proxy(upstream.url)
    await pulled(proxy, NGINX)
    del upstream.manifests[NGINX, image.digest]
    assert await missing(proxy, NGINX, Digest(image.digest))
    await pulled(proxy, NGINX)


async def test_tags_are_all_that_the_upstream_has(house: House, upstream: DishonestUpstream) -> None:
    for tag in ("b", "a", "d", "c"):
        upstream.add_image(NGINX, tag, [b"layer"])
    upstream.page_size = 3
    proxy = await house.proxy(upstream.url)
    page = await proxy.tags(ANNA, SHORT, "", 3)
    assert isinstance(page, TagList)
    assert (page.tags, page.more) == (["a", "b", "c"], True)
    rest = await proxy.tags(ANNA, SHORT, "c", 3)
    assert isinstance(rest, TagList)
    assert (rest.tags, rest.more) == (["d"], False)
    assert upstream.count(path="/tags/list") == 2


async def test_tags_are_what_is_kept_when_the_upstream_is_dead_and_say_so(
    house: House, upstream: DishonestUpstream
) -> None:
    upstream.add_image(NGINX, "latest", [b"layer"])
    proxy = await house.proxy(upstream.url)
    await pulled(proxy, NGINX)
    await upstream.stop()
    page = await proxy.tags(ANNA, SHORT, "", 3)
    assert isinstance(page, TagList)
    assert page.tags == ["latest"]
    assert "does not answer" in page.left_out[0]
    with pytest.raises(Unavailable):
        await proxy.tags(ANNA, ImageName("other"), "", 3)


async def test_tags_of_an_image_that_is_nowhere_are_missing(house: House, upstream: DishonestUpstream) -> None:
    proxy = await house.proxy(upstream.url)
    assert isinstance(await proxy.tags(ANNA, SHORT, "", 3), Missing)


@pytest.mark.parametrize("api", [True, False], ids=["by the API", "under the fallback tag"])
async def test_referrers_come_from_the_upstream_and_are_filtered(
    house: House, upstream: DishonestUpstream, api: bool
) -> None:
    subject = upstream.add_image(NGINX, "latest", [b"layer"])
    entries: list[dict[str, object]] = [
        {"mediaType": INDEX, "digest": str(Digest.of(name)), "size": 3, "artifactType": f"application/{name.decode()}"}
        for name in (b"sbom", b"signature")
    ]
    if api:
        upstream.referrers = {subject.digest: entries}
    else:
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        upstream.add_manifest(NGINX, subject.digest.replace(":", "-"), body, INDEX)
    proxy = await house.proxy(upstream.url)
    everything = await proxy.referrers(ANNA, SHORT, Digest(subject.digest), None)
    assert [one["digest"] for one in everything.listed] == [one["digest"] for one in entries]
    some = await proxy.referrers(ANNA, SHORT, Digest(subject.digest), "application/sbom")
    assert [one["digest"] for one in some.listed] == [Digest.of(b"sbom")]


async def test_the_state_of_the_upstream_is_told(house: House, upstream: DishonestUpstream) -> None:
    upstream.add_image(NGINX, "latest", [b"layer"])
    upstream.extra_headers = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "97;w=21600"}
    proxy = await house.proxy(upstream.url)
    await pulled(proxy, NGINX)
    await pulled(proxy, NGINX)
    state = proxy.status()
    assert (state.name, state.hits, state.misses) == ("p", 1, 1)
    assert state.upstream.rate_limit is not None
    assert state.upstream.rate_limit.remaining == 97
    assert isinstance(proxy.upstream, RegistryUpstream)
