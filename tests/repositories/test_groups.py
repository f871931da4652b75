"""Groups: who answers, who is asked, and who is not."""

from __future__ import annotations

import pytest

from pierhead.domain.access import Principal, Right, Rule
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Tag
from pierhead.domain.patterns import Patterns
from pierhead.domain.refusals import ScopeMissing, Unavailable, UpstreamLimited
from pierhead.repositories.kind import ComingBlob, Found, Head, Missing, StoredBlob, TagList
from tests.contracts.rows import manifest
from tests.faults.behaviours import limited, status
from tests.faults.dishonest_upstream import INDEX, DishonestUpstream
from tests.repositories.house import ANNA, LATEST, NGINX, House, may_read, missing, pulled, read

APP = ImageName("orchestrator/server")
SHORT = ImageName("nginx")
OTHER = ImageName("other/app")


async def test_the_first_member_in_the_order_answers(house: House) -> None:
    first, second, third = [await house.hosted(name) for name in ("c", "a", "b")]
    for member in (third, second, first):
        await house.push(member, APP, "1", manifest(member.name.encode()), member.name.encode())
        found = await pulled(house.group(first, second, third), APP, Tag("1"))
        assert found.member == member.name
    assert (await pulled(house.group(third, first), APP, Tag("1"))).member == "b"


async def test_a_tag_never_mixes_members_and_a_digest_comes_from_whoever_has_it(house: House) -> None:
    first, second = await house.hosted("a"), await house.hosted("b")
    await house.push(first, APP, "1", manifest(b"one"), b"one")
    digest = await house.push(second, APP, "1", manifest(b"two"), b"two")
    group = house.group(first, second)
    assert (await pulled(group, APP, Tag("1"))).member == "a"
    found = await group.manifest(ANNA, APP, digest, head=False)
    assert isinstance(found, Found)
    assert found.member == "b"
    blob = await group.blob(ANNA, APP, Digest.of(b"two"), head=False)
    assert isinstance(blob, StoredBlob)
    assert (blob.member, await read(blob)) == ("b", b"two")


async def test_a_member_that_an_account_may_not_read_is_not_there_for_it(house: House) -> None:
    first, second = await house.hosted("a"), await house.hosted("b")
    await house.push(first, APP, "1", manifest(b"one"), b"one")
    digest = await house.push(second, APP, "2", manifest(b"two"), b"two")
    group, who = house.group(first, second), may_read("a")
    assert await missing(group, APP, Tag("2"), who)
    assert await missing(group, APP, digest, who)
    assert isinstance(await group.blob(who, APP, Digest.of(b"two"), head=False), Missing)
    tags = await group.tags(who, APP, "", 10)
    assert isinstance(tags, TagList)
    assert tags.tags == ["1"]
    assert await missing(group, APP, Tag("1"), may_read("x"))
    await pulled(group, APP, Tag("2"))


async def test_an_image_that_an_account_may_not_pull_is_not_there_in_any_member(house: House) -> None:
    first, second = await house.hosted("a"), await house.hosted("b")
    digest = await house.push(first, OTHER, "1", manifest(b"one"), b"one")
    await house.push(second, OTHER, "1", manifest(b"two"), b"two")
    await house.push(second, APP, "1", manifest(b"three"), b"three")
    group = house.group(first, second)
    own = Rule(frozenset({Right.PULL}), images=Patterns(["orchestrator/*"]))
    one = Rule(frozenset({Right.PULL}), repositories=Patterns(["b"]), images=Patterns([OTHER]))
    everything, some = Principal("ann", (own,)), Principal("bob", (own, one))
    for reference in (Tag("1"), digest):
        assert await missing(group, OTHER, reference, everything)
    assert isinstance(await group.blob(everything, OTHER, Digest.of(b"one"), head=False), Missing)
    assert isinstance(await group.tags(everything, OTHER, "", 10), Missing)
    assert (await group.images(everything, "", 10)).images == [APP]
    assert (await pulled(group, OTHER, Tag("1"), some)).member == "b", "the first member is not there for this image"
    assert await missing(group, OTHER, digest, some)
    assert (await pulled(group, APP, Tag("1"), some)).member == "b"
    assert (await group.images(some, "", 10)).images == [APP, OTHER]


async def test_a_bearer_token_must_cover_every_member_that_its_account_may_pull_from(house: House) -> None:
    first, second = await house.hosted("a"), await house.hosted("b")
    await house.push(second, APP, "1", manifest(b"two"), b"two")
    group = house.group(first, second)

    def asked(*names: str) -> Principal:
        rule = Rule(frozenset({Right.PULL}), repositories=Patterns(names), images=Patterns([APP]))
        return Principal("ann", ANNA.rules, asked=(rule,))

    assert (await pulled(group, APP, Tag("1"), asked("a", "b"))).member == "b"
    with pytest.raises(ScopeMissing):
        await pulled(group, APP, Tag("1"), asked("b"))
    with pytest.raises(ScopeMissing):
        await pulled(group, OTHER, Tag("1"), asked("a", "b"))


async def test_tags_and_images_are_merged_sorted_and_paged(house: House) -> None:
    first, second = await house.hosted("a"), await house.hosted("b")
    body = manifest(b"one")
    for member, tags in ((first, "aceg"), (second, "bcd")):
        for tag in tags:
            await house.push(member, APP, tag, body, b"one")
            await house.push(member, ImageName(f"image-{tag}"), "1", body, b"one")
    group = house.group(first, second)
    last, pages = "", []
    while True:
        page = await group.tags(ANNA, APP, last, 2)
        assert isinstance(page, TagList)
        pages.append("".join(page.tags))
        if not page.more:
            break
        last = page.tags[-1]
    assert pages == ["ab", "cd", "eg"]
    images = await group.images(ANNA, "image-b", 3)
    assert (images.images, images.more) == (["image-c", "image-d", "image-e"], True)


async def test_groups_in_groups_keep_the_order_and_count_a_member_once(house: House) -> None:
    a, b, c = [await house.hosted(name) for name in "abc"]
    inner = house.group(b, a, name="inner")
    outer = house.group(inner, c, a)
    assert [one.name for one, _ in outer.flat()] == ["b", "a", "c"]
    await house.push(a, APP, "1", manifest(b"a"), b"a")
    await house.push(c, APP, "1", manifest(b"c"), b"c")
    assert (await pulled(outer, APP, Tag("1"))).member == "a"


async def test_a_proxy_is_asked_only_when_the_members_before_it_have_nothing(
    house: House, upstream: DishonestUpstream
) -> None:
    upstream.add_image(NGINX, "latest", [b"layer"])
    upstream.add_image(NGINX, "own", [b"layer"])
    hosted, proxy = await house.hosted("a"), await house.proxy(upstream.url)
    await house.push(hosted, NGINX, "own", manifest(b"mine"), b"mine")
    group = house.group(hosted, proxy)
    assert (await pulled(group, NGINX, Tag("own"))).member == "a"
    assert upstream.seen == []
    assert (await pulled(group, SHORT)).member == "p"


async def test_a_proxy_that_stands_first_is_asked_first(house: House, upstream: DishonestUpstream) -> None:
    upstream.add_image(NGINX, "latest", [b"layer"])
    hosted, proxy = await house.hosted("a"), await house.proxy(upstream.url)
    await house.push(hosted, NGINX, "latest", manifest(b"mine"), b"mine")
    assert (await pulled(house.group(proxy, hosted), NGINX)).member == "p"


@pytest.mark.parametrize("name", ["orchestrator/server", "library/secret", "secret", "orchestrator/a/b"])
async def test_no_upstream_hears_of_a_reserved_name(house: House, upstream: DishonestUpstream, name: str) -> None:
    image = ImageName(name)
    for spelling in {name, f"library/{name}"}:
        upstream.add_image(spelling, "latest", [b"evil"])
    hosted, proxy = await house.hosted("a"), await house.proxy(upstream.url)
    inner = house.group(hosted, proxy, name="inner")
    for group in (
        house.group(hosted, proxy, reserve=("orchestrator/*", "library/secret")),
        house.group(inner, reserve=("orchestrator/*", "library/secret")),
    ):
        assert await missing(group, image, LATEST)
        assert await missing(group, image, Digest.of(b"x"))
        assert isinstance(await group.manifest(ANNA, image, LATEST, head=True), Missing)
        assert isinstance(await group.blob(ANNA, image, Digest.of(b"evil"), head=False), Missing)
        assert isinstance(await group.tags(ANNA, image, "", 10), Missing)
        assert (await group.referrers(ANNA, image, Digest.of(b"x"), None)).listed == []
    assert upstream.seen == []


async def test_what_a_proxy_kept_before_its_name_was_reserved_is_not_answered_either(
    house: House, upstream: DishonestUpstream
) -> None:
    image = upstream.add_image(APP, "latest", [b"evil"])
    upstream.add_image("other/image", "latest", [b"layer"])
    proxy = await house.proxy(upstream.url)
    for name in (APP, ImageName("other/image")):
        await pulled(proxy, name)
    await read(await proxy.blob(ANNA, APP, Digest.of(b"evil"), head=False))
    group = house.group(proxy, reserve=("orchestrator/*",))
    assert await missing(group, APP, LATEST)
    assert await missing(group, APP, Digest(image.digest))
    assert isinstance(await group.blob(ANNA, APP, Digest.of(b"evil"), head=False), Missing)
    assert (await group.images(ANNA, "", 1)).images == ["other/image"]
    assert (await proxy.images(ANNA, "", 10)).images == [APP, "other/image"]


@pytest.mark.parametrize("trouble", [status(503), limited(retry_after=9)], ids=["503", "429"])
async def test_a_member_that_cannot_be_asked_ends_the_look_up(house: House, trouble: object) -> None:
    """Else whoever disturbs one upstream could make another answer in its place."""
    async with DishonestUpstream() as broken, DishonestUpstream() as evil:
        evil.add_image(NGINX, "latest", [b"evil"])
        broken.play(trouble, path="/manifests/")  # type: ignore[arg-type]
        one, two = await house.proxy(broken.url, "p"), await house.proxy(evil.url, "q")
        group = house.group(one, two)
        for reference in (LATEST, Digest.of(b"x")):
            with pytest.raises((Unavailable, UpstreamLimited)):
                await group.manifest(ANNA, NGINX, reference, head=False)
        assert evil.seen == []


async def test_after_a_definite_no_the_next_proxy_is_asked(house: House) -> None:
    async with DishonestUpstream() as first, DishonestUpstream() as second:
        layer = bytes(100_000)
        image = second.add_image(NGINX, "latest", [layer])
        group = house.group(await house.proxy(first.url, "p"), await house.proxy(second.url, "q"))
        assert (await pulled(group, SHORT)).member == "q"
        # The blobs of an image belong to the proxy that has it: the other is not even asked.
        asked = len(first.seen)
        blob = await group.blob(ANNA, SHORT, Digest.of(layer), head=False)
        assert isinstance(blob, ComingBlob)
        assert await read(blob) == layer
        assert len(first.seen) == asked
        assert second.count(path="/blobs/") == 1
        assert image.digest


async def test_a_digest_is_asked_of_the_proxy_that_told_it_under_a_tag(house: House) -> None:
    """Docker asks for a tag with HEAD and for its digest with GET."""
    async with DishonestUpstream() as first, DishonestUpstream() as second:
        made = second.add_image(NGINX, "latest", [b"layer"])
        group = house.group(await house.proxy(first.url, "p"), await house.proxy(second.url, "q"))
        assert isinstance(await group.manifest(ANNA, SHORT, LATEST, head=True), Head)
        await first.stop()
        assert isinstance(await group.manifest(ANNA, SHORT, Digest(made.digest), head=False), Found)


async def test_a_pull_by_digest_of_something_uncached_works_through_the_group(
    house: House, upstream: DishonestUpstream
) -> None:
    image = upstream.add_image(NGINX, "latest", [b"layer"])
    group = house.group(await house.hosted("a"), await house.proxy(upstream.url))
    found = await group.manifest(ANNA, SHORT, Digest(image.digest), head=False)
    assert isinstance(found, Found)
    assert found.manifest.body == image.manifest
    assert await read(await group.blob(ANNA, SHORT, Digest.of(b"layer"), head=False)) == b"layer"


async def test_what_a_dead_proxy_keeps_is_answered_by_digest_before_any_upstream_is_asked(
    house: House, upstream: DishonestUpstream
) -> None:
    async with DishonestUpstream() as other:
        image = upstream.add_image(NGINX, "latest", [b"layer"])
        keeps = await house.proxy(upstream.url)
        await pulled(keeps, NGINX)
        await upstream.stop()
        group = house.group(await house.proxy(other.url, "q"), keeps)
        found = await group.manifest(ANNA, NGINX, Digest(image.digest), head=False)
        assert isinstance(found, Found)
        assert (found.member, found.stale) == ("p", "")
        assert other.seen == []


async def test_a_list_leaves_out_who_cannot_be_asked_and_says_so(house: House, upstream: DishonestUpstream) -> None:
    hosted, proxy = await house.hosted("a"), await house.proxy(upstream.url)
    await house.push(hosted, APP, "1", manifest(b"one"), b"one")
    await upstream.stop()
    group = house.group(hosted, proxy)
    page = await group.tags(ANNA, APP, "", 10)
    assert isinstance(page, TagList)
    assert page.tags == ["1"]
    assert page.left_out[0].startswith("p is left out.")
    with pytest.raises(Unavailable):
        await group.tags(ANNA, ImageName("elsewhere"), "", 10)


async def test_referrers_of_what_was_pushed_here_ask_no_upstream(house: House, upstream: DishonestUpstream) -> None:
    hosted, proxy = await house.hosted("a"), await house.proxy(upstream.url)
    body = manifest(b"one")
    subject = await house.push(hosted, APP, "1", body, b"one")
    signature = manifest(b"sig", subject=body, artifact_type="application/signature")
    await house.push(hosted, APP, "signed", signature, b"sig")
    found = await house.group(hosted, proxy).referrers(ANNA, APP, subject, None)
    assert [entry["digest"] for entry in found.listed] == [Digest.of(signature)]
    assert upstream.seen == []


async def test_referrers_of_a_cached_image_come_from_its_upstream(house: House, upstream: DishonestUpstream) -> None:
    image = upstream.add_image(NGINX, "latest", [b"layer"])
    entry: dict[str, object] = {"mediaType": INDEX, "digest": str(Digest.of(b"sbom")), "size": 3}
    upstream.referrers = {image.digest: [entry]}
    group = house.group(await house.hosted("a"), await house.proxy(upstream.url))
    found = await group.referrers(ANNA, SHORT, Digest(image.digest), None)
    assert [one["digest"] for one in found.listed] == [Digest.of(b"sbom")]


async def test_a_pull_by_tag_from_local_members_is_one_look_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    members = [await house.hosted(name) for name in "abc"]
    await house.push(members[2], APP, "1", manifest(b"one"), b"one")
    group = house.group(*members)
    await pulled(group, APP, Tag("1"))
    await house.push(members[2], APP, "2", manifest(b"two"), b"two")  # a commit: what was looked up is looked up again
    statements: list[str] = []
    lookups = house.store.lookups
    original = lookups._execute

    def counted(sql: str, bindings: tuple[object, ...] = ()) -> object:
        statements.append(sql)
        return original(sql, bindings)

    monkeypatch.setattr(lookups, "_execute", counted)
    await pulled(group, APP, Tag("1"))
    assert len(statements) == 1
