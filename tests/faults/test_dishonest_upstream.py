"""The double itself: that its honest answers are honest, and its lies are the ones that it announces."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Mapping

import pytest

from tests.faults import behaviours as bad
from tests.faults.dishonest_upstream import DishonestUpstream, Tokens, digest_of
from tests.peers.images import artifact, image
from tests.peers.wire import Wire

LAYER = b"0123456789" * 1000
MANIFEST = "/v2/library/nginx/manifests/1"
BLOB = f"/v2/library/nginx/blobs/{digest_of(LAYER)}"


@pytest.fixture
async def double() -> AsyncIterator[DishonestUpstream]:
    async with DishonestUpstream() as double:
        double.add_image("library/nginx", "1", [LAYER])
        yield double


async def ask(
    double: DishonestUpstream, target: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """With a client that is not the one under test elsewhere."""

    def once() -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", double.port, timeout=5)
        try:
            connection.request(method, target, headers=dict(headers or {}))
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            connection.close()

    return await asyncio.to_thread(once)


async def test_it_answers_honestly_until_it_is_told_otherwise(double: DishonestUpstream) -> None:
    status, headers, body = await ask(double, MANIFEST)
    assert (status, headers["docker-content-digest"]) == (200, digest_of(body))
    assert digest_of(LAYER) in body.decode()
    assert await ask(double, BLOB) == (200, {**(await ask(double, BLOB, "HEAD"))[1]}, LAYER)
    assert (await ask(double, BLOB, headers={"Range": "bytes=9990-"}))[::2] == (206, LAYER[9990:])
    assert (await ask(double, BLOB, headers={"Range": "bytes=10000-"}))[0] == 416
    assert json.loads((await ask(double, "/v2/library/nginx/tags/list"))[2])["tags"] == ["1"]
    assert (await ask(double, "/v2/library/redis/tags/list"))[0] == 404


async def test_heads_and_gets_are_counted_apart(double: DishonestUpstream) -> None:
    await ask(double, MANIFEST, "HEAD")
    await ask(double, MANIFEST)
    await ask(double, BLOB)
    assert double.count("HEAD", "/manifests/") == 1
    assert double.count("GET", "/manifests/") == 1
    assert double.count() == 3


async def test_it_changes_its_mind_while_it_runs(double: DishonestUpstream) -> None:
    double.play(bad.status(503), MANIFEST, times=2)
    assert [(await ask(double, MANIFEST))[0] for _ in range(3)] == [503, 503, 200]
    double.play(bad.limited(30))
    status, headers, body = await ask(double, MANIFEST)
    assert (status, headers["retry-after"]) == (429, "30")
    assert json.loads(body)["errors"][0]["code"] == "TOOMANYREQUESTS"
    double.be_honest()
    assert (await ask(double, MANIFEST))[0] == 200


async def test_it_lies_about_bytes_lengths_and_digests(double: DishonestUpstream) -> None:
    double.play(bad.other_bytes(), BLOB, times=1)
    assert digest_of((await ask(double, BLOB))[2]) != digest_of(LAYER)
    double.play(bad.lying_digest(), MANIFEST)
    _, headers, body = await ask(double, MANIFEST)
    assert headers["docker-content-digest"] != digest_of(body)
    for lie in (bad.cut(500), bad.wrong_length(5)):
        double.play(lie, BLOB)
        with pytest.raises(http.client.IncompleteRead):
            await ask(double, BLOB)
    double.play(bad.hang_up())
    with pytest.raises(ConnectionError):
        await ask(double, BLOB)


async def test_its_tokens_are_for_one_scope_and_can_be_refused() -> None:
    async with DishonestUpstream(tokens=Tokens()) as double:
        double.add_image("library/nginx", "1", [LAYER])
        status, headers, _ = await ask(double, MANIFEST)
        assert status == 401
        assert headers["www-authenticate"].startswith(f'Bearer realm="{double.url}/token"')
        granted = json.loads((await ask(double, "/token?scope=repository:library/nginx:pull"))[2])["token"]
        bearer = {"Authorization": f"Bearer {granted}"}
        assert (await ask(double, MANIFEST, headers=bearer))[0] == 200
        assert (await ask(double, "/v2/library/redis/manifests/1", headers=bearer))[0] == 401
        assert double.tokens is not None
        double.tokens.refuse_own = "invalid_token"
        assert "invalid_token" in (await ask(double, MANIFEST, headers=bearer))[1]["www-authenticate"]


async def test_it_comes_back_on_its_port_after_it_was_killed(double: DishonestUpstream) -> None:
    port = double.port
    await double.stop()
    with pytest.raises(ConnectionError):
        await ask(double, MANIFEST)
    await double.start()
    assert double.port == port
    assert (await ask(double, MANIFEST))[0] == 200


async def test_images_of_the_other_helpers_can_be_held_too(double: DishonestUpstream) -> None:
    made = image(seed=3)
    for blob in made.blobs:
        double.add_blob(blob.data)
    double.add_manifest("library/made", "2", made.manifest.data, made.manifest.media_type)
    signed = artifact(made)
    double.referrers = {made.digest: [signed.manifest.descriptor()]}

    def look() -> None:
        with Wire(double.port) as wire:
            assert wire.get_manifest("library/made", made.digest).body == made.manifest.data
            assert wire.request("GET", f"/v2/library/made/referrers/{made.digest}").json()["manifests"]

    await asyncio.to_thread(look)
