"""A real registry as upstream, and what happens when it goes away and comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from pierhead.boot.settings import ProxySettings
from pierhead.boot.upstreams import Proxies
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.policy import WritePolicy
from pierhead.domain.refusals import Unavailable
from pierhead.jobs.loop import Idle, Worked
from pierhead.jobs.refresh_cache import ProbeUpstreams
from pierhead.ports.upstream import Circuit
from pierhead.repositories.kind import TagList
from tests.faults.behaviours import wait_for
from tests.faults.dishonest_upstream import DishonestUpstream
from tests.peers.fixtures import StartRegistry
from tests.peers.images import Image, image, index, random_bytes, random_layer
from tests.peers.wire import Wire
from tests.promises.certificates import Certificates
from tests.repositories.house import ANNA, LATEST, NGINX, House, pulled, read, until

BASE = ImageName("library/base")


async def pull_whole(house: House, url: str, made: Image) -> None:
    group = house.group(await house.hosted("a"), await house.proxy(url))
    found = await pulled(group, BASE)
    assert found.manifest.body == made.manifest.data
    for blob in made.blobs:
        assert await read(await group.blob(ANNA, BASE, Digest(blob.digest), head=False)) == blob.data


async def test_an_image_of_a_real_registry_is_pulled_and_outlives_it(
    house: House, start_docker_registry: StartRegistry
) -> None:
    registry = await asyncio.to_thread(start_docker_registry)
    made = image([random_layer(300_000), random_layer(2_000, 1)])
    await asyncio.to_thread(Wire(registry.port).push, BASE, "latest", made)
    await pull_whole(house, registry.url, made)
    gets = [line for line in registry.requests() if '"GET /' in line]
    assert len([line for line in gets if "/manifests/" in line]) == 1
    assert len([line for line in gets if "/blobs/" in line]) == 3
    await asyncio.to_thread(registry.kill)
    house.clock.shift += 7200
    proxy = await house.proxy(registry.url)
    group = house.group(await house.hosted("a"), proxy)
    found = await pulled(group, ImageName("base"))
    assert found.manifest.body == made.manifest.data
    assert "does not answer" in found.stale
    for blob in made.blobs:
        assert await read(await group.blob(ANNA, BASE, Digest(blob.digest), head=False)) == blob.data
    with pytest.raises(Unavailable):
        await pulled(group, BASE, Tag("other"))


async def test_an_index_of_a_real_registry_gives_each_platform_its_own_image(
    house: House, start_docker_registry: StartRegistry
) -> None:
    registry = await asyncio.to_thread(start_docker_registry)
    both = index({f"linux/{name}": image(seed=n, architecture=name) for n, name in enumerate(("amd64", "arm64"))})
    await asyncio.to_thread(Wire(registry.port).push, BASE, "latest", both)
    proxy = await house.proxy(registry.url)
    assert (await pulled(proxy, BASE)).manifest.body == both.manifest.data
    for one in both.images:
        found = await proxy.manifest(ANNA, BASE, Digest(one.digest), head=False)
        assert getattr(found, "manifest").body == one.manifest.data  # noqa: B009 - whatever came
    tags = await proxy.tags(ANNA, BASE, "", 10)
    assert isinstance(tags, TagList)
    assert tags.tags == ["latest"]


async def test_a_circuit_opens_answers_at_once_and_closes_by_a_probe(house: House, upstream: DishonestUpstream) -> None:
    upstream.add_image(NGINX, "latest", [b"layer"])
    proxy = await house.proxy(upstream.url, failures_to_open=2, probe_seconds=60.0, probe_seconds_max=60.0)
    await pulled(proxy, NGINX)
    house.clock.shift += 3601
    await upstream.stop()
    for _ in range(2):
        assert (await pulled(proxy, NGINX)).stale
    assert proxy.status().upstream.circuit is Circuit.OPEN
    probe = ProbeUpstreams(lambda: [proxy.upstream], house.clock)
    assert isinstance(await probe(), Idle)
    await upstream.start()
    # Nobody asks an upstream that is known to be away, though it is back by now.
    asked = len(upstream.seen)
    assert "does not answer since" in (await pulled(proxy, NGINX)).stale
    assert len(upstream.seen) == asked
    house.clock.shift += 61
    assert isinstance(await probe(), Worked)
    assert proxy.status().upstream.circuit is Circuit.CLOSED
    assert (await pulled(proxy, NGINX, LATEST)).stale == ""


@pytest.mark.parametrize("stays", [False, True], ids=["named no more", "named with other settings"])
async def test_a_fetch_comes_to_its_end_though_the_file_has_no_such_proxy_any_more(
    stays: bool, house: House, upstream: DishonestUpstream
) -> None:
    layer, gate = random_bytes(500_000), asyncio.Event()
    upstream.add_image(NGINX, "latest", [layer])
    upstream.play(wait_for(gate, after=200_000), path="/blobs/")
    name, proxies = RepositoryName("p"), Proxies(house.fills)
    row = await house.store.write(lambda tx: tx.repositories.ensure(name, "proxy", WritePolicy.DENY))
    settings = ProxySettings(name=name, upstream=upstream.url, library=True)
    proxy = proxies.proxy(settings, None, row, house.parts)
    await pulled(proxy, NGINX)
    coming = await proxy.blob(ANNA, NGINX, Digest.of(layer), head=False)
    if stays:
        proxies.proxy(replace(settings, fresh_for_seconds=1), None, row, house.parts)
    await proxies.keep_only({name: None} if stays else {})
    gate.set()
    async with asyncio.timeout(20):
        assert await read(coming) == layer
    await until(lambda: not proxy.asks, "nothing is asked any more")
    await proxies.keep_only({})
    assert proxies._former == []
    await proxies.close()


async def test_authorities_that_were_renewed_hold_when_the_file_is_read_again(house: House, tmp_path: Path) -> None:
    old, new = (Certificates(tmp_path / which) for which in ("old", "new"))
    name, proxies = RepositoryName("p"), Proxies(house.fills)
    row = await house.store.write(lambda tx: tx.repositories.ensure(name, "proxy", WritePolicy.DENY))
    async with DishonestUpstream(tls=new.context) as upstream:
        upstream.add_image(NGINX, "latest", [b"layer"])
        settings = ProxySettings(name=name, upstream=upstream.url, ca=old.ca)
        before = proxies.proxy(settings, None, row, house.parts)
        with pytest.raises(Unavailable, match="certificate not accepted"):
            await pulled(before, NGINX)
        assert proxies.proxy(settings, None, row, house.parts) is before
        old.ca.write_bytes(new.ca.read_bytes())
        await pulled(proxies.proxy(settings, None, row, house.parts), NGINX)
    await proxies.close()


async def test_nobody_who_pulls_is_the_trial_of_a_server_that_probes_in_the_background(
    house: House, upstream: DishonestUpstream
) -> None:
    await upstream.stop()
    name, proxies = RepositoryName("p"), Proxies(house.fills)
    row = await house.store.write(lambda tx: tx.repositories.ensure(name, "proxy", WritePolicy.DENY))
    proxy = proxies.proxy(ProxySettings(name=name, upstream=upstream.url), None, row, house.parts)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await pulled(proxy, NGINX)
    house.clock.shift += 4
    asked = proxy.upstream.state()
    assert (asked.next_probe_at or 0) < house.clock.now()
    with pytest.raises(Unavailable, match="does not answer since"):
        await pulled(proxy, NGINX)
    assert proxy.upstream.state().requests == asked.requests
    await proxies.close()


async def test_a_blob_that_is_larger_than_the_limit_is_refused_by_the_name_of_the_setting(
    house: House, upstream: DishonestUpstream
) -> None:
    house.fills.blob_bytes_max = 1_000
    upstream.add_image(NGINX, "latest", [bytes(2_000)])
    proxy = await house.proxy(upstream.url)
    with pytest.raises(Unavailable, match=r"has more than the 1000 bytes of `limits\.blob_bytes`"):
        await proxy.blob(ANNA, NGINX, Digest.of(bytes(2_000)), head=False)
