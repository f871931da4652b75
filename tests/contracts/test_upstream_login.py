"""How the client logs in: challenges, tokens, Basic; what is kept, and for how long; what a refusal means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.adapters.upstream.challenge import Challenge, choose, parse_challenges
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Tag
from pierhead.domain.refusals import Unavailable, UpstreamLimited
from pierhead.ports.upstream import Absent
from tests.contracts.upstream import ShiftedClock, all_of, client, held, until
from tests.faults import behaviours as bad
from tests.faults.dishonest_upstream import DishonestUpstream, Tokens, digest_of

NGINX = ImageName("library/nginx")
REDIS = ImageName("library/redis")
TAG = Tag("1")
LAYER = b"layer " * 1000
ANNA = "anna"


@pytest.fixture
async def double() -> AsyncIterator[DishonestUpstream]:
    async with DishonestUpstream(tokens=Tokens(users={ANNA: "secret"})) as double:
        double.add_image(NGINX, TAG, [LAYER])
        double.add_image(REDIS, TAG, [LAYER])
        yield double


def tokens_of(double: DishonestUpstream) -> Tokens:
    assert double.tokens is not None
    return double.tokens


async def test_one_token_serves_all_questions_about_an_image(double: DishonestUpstream) -> None:
    async with client(double.url, username=ANNA, password="secret") as upstream:
        await upstream.head(NGINX, TAG)
        await upstream.manifest(NGINX, TAG)
        await all_of(await upstream.blob(NGINX, Digest(digest_of(LAYER))))
        await upstream.tags(NGINX)
        assert double.count("GET", "/token") == 1
        await upstream.head(REDIS, TAG)
        assert double.count("GET", "/token") == 2
    asked = next(request for request in double.seen if request.path == "/token")
    assert asked.query["scope"] == ["repository:library/nginx:pull"]
    assert asked.query["service"] == ["dishonest"]
    assert asked.headers["authorization"].startswith("Basic ")


async def test_fifty_questions_at_once_cost_one_token(double: DishonestUpstream) -> None:
    async with client(double.url, username=ANNA, password="secret") as upstream:
        found = await asyncio.gather(*(upstream.head(NGINX, TAG) for _ in range(50)))
    assert not any(isinstance(one, Absent) for one in found)
    assert double.count("GET", "/token") == 1


async def test_the_fetch_of_a_token_outlives_the_one_who_began_it(double: DishonestUpstream) -> None:
    gate = asyncio.Event()
    double.play(bad.wait_for(gate), "/token", times=1)
    async with client(double.url, username=ANNA, password="secret") as upstream:
        first = asyncio.create_task(upstream.head(NGINX, TAG))
        await until(lambda: double.count("GET", "/token") == 1)
        second = asyncio.create_task(upstream.head(NGINX, TAG))
        await until(lambda: double.count("HEAD") == 2)
        first.cancel()
        gate.set()
        held(await second)
    assert double.count("GET", "/token") == 1


async def test_a_token_is_renewed_at_nine_tenths_of_its_life(double: DishonestUpstream) -> None:
    clock = ShiftedClock()
    async with client(double.url, clock, username=ANNA, password="secret") as upstream:
        await upstream.head(NGINX, TAG)
        clock.shift = 260
        await upstream.head(NGINX, TAG)
        assert double.count("GET", "/token") == 1
        clock.shift = 271
        await upstream.head(NGINX, TAG)
        assert double.count("GET", "/token") == 2


@pytest.mark.parametrize("life", [0, None, "soon", -5, 10**40, float("1e400")])
async def test_a_token_with_an_odd_life_lasts_a_minute(double: DishonestUpstream, life: object) -> None:
    tokens_of(double).life = life
    clock = ShiftedClock()
    async with client(double.url, clock, username=ANNA, password="secret") as upstream:
        await upstream.head(NGINX, TAG)
        clock.shift = 50
        await upstream.head(NGINX, TAG)
        assert double.count("GET", "/token") == 1
        clock.shift = 55
        await upstream.head(NGINX, TAG)
        assert double.count("GET", "/token") == 2


async def test_a_token_that_is_refused_too_early_is_fetched_anew_once(double: DishonestUpstream) -> None:
    async with client(double.url, username=ANNA, password="secret") as upstream:
        await upstream.head(NGINX, TAG)
        tokens_of(double).granted.clear()
        held(await upstream.head(NGINX, TAG))
        assert double.count("GET", "/token") == 2


@pytest.mark.parametrize("error", ["", "insufficient_scope"])
async def test_a_granted_token_that_is_refused_means_absent(double: DishonestUpstream, error: str) -> None:
    tokens_of(double).refuse_own = error
    async with client(double.url, username=ANNA, password="secret") as upstream:
        assert isinstance(await upstream.manifest(NGINX, TAG), Absent)
        assert isinstance(await upstream.blob(NGINX, Digest(digest_of(LAYER))), Absent)
        assert upstream.state().failures == 0


async def test_a_private_image_is_absent_and_its_neighbour_is_not(double: DishonestUpstream) -> None:
    tokens_of(double).private = frozenset({REDIS})
    async with client(double.url, username=ANNA, password="secret") as upstream:
        assert isinstance(await upstream.manifest(REDIS, TAG), Absent)
        assert held(await upstream.manifest(NGINX, TAG)).body


async def test_a_403_means_absent_only_to_a_granted_token(double: DishonestUpstream) -> None:
    double.play(bad.status(403), "/manifests/")
    async with client(double.url) as upstream:
        with pytest.raises(Unavailable, match="403"):
            await upstream.manifest(NGINX, TAG)
        double.be_honest()
        tokens_of(double).users = {}
        held(await upstream.manifest(NGINX, TAG))
        double.play(bad.status(403), "/manifests/")
        assert isinstance(await upstream.manifest(NGINX, TAG), Absent)


async def test_a_token_that_is_called_invalid_says_nothing_about_the_image(double: DishonestUpstream) -> None:
    tokens_of(double).refuse_own = "invalid_token"
    async with client(double.url, username=ANNA, password="secret") as upstream:
        with pytest.raises(Unavailable, match="does not accept the token") as caught:
            await upstream.manifest(NGINX, TAG)
    assert caught.value.kind == "bad_answer"


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
async def test_a_refused_login_is_no_absence_and_names_the_account_but_not_the_password(
    double: DishonestUpstream, scheme: str
) -> None:
    tokens_of(double).scheme = scheme
    async with client(double.url, username=ANNA, password="wrong-secret") as upstream:
        for _ in range(3):
            with pytest.raises(Unavailable, match="refuses the login of `anna`") as caught:
                await upstream.manifest(NGINX, TAG)
            assert "wrong-secret" not in repr(caught.value)
            assert caught.value.__cause__ is None
        assert "wrong-secret" not in repr(upstream.state())


async def test_a_wrong_password_is_not_tried_again_and_again_until_it_is_changed(double: DishonestUpstream) -> None:
    async with client(double.url, username=ANNA, password="wrong") as upstream:
        for _ in range(5):
            with pytest.raises(Unavailable):
                await upstream.manifest(NGINX, TAG)
        assert double.count("GET", "/token") == 1
        upstream.renew(ANNA, "secret")
        held(await upstream.manifest(NGINX, TAG))


async def test_without_credentials_a_login_that_is_asked_for_is_said(double: DishonestUpstream) -> None:
    for scheme in ("Bearer", "Basic"):
        tokens_of(double).scheme = scheme
        async with client(double.url) as upstream:
            with pytest.raises(Unavailable, match="this proxy has none: set `username_env`"):
                await upstream.manifest(NGINX, TAG)


async def test_tokens_of_one_account_are_never_used_for_another(double: DishonestUpstream) -> None:
    tokens_of(double).users["ben"] = "other"
    async with client(double.url, username=ANNA, password="secret") as upstream:
        await upstream.manifest(NGINX, TAG)
        upstream.renew("ben", "other")
        double.seen.clear()
        await upstream.manifest(NGINX, TAG)
    assert double.count("GET", "/token") == 1
    assert "of-ben" in double.seen[-1].headers["authorization"]
    assert not any("of-anna" in request.headers.get("authorization", "") for request in double.seen)


async def test_what_the_machines_netrc_holds_is_never_sent(
    double: DishonestUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double.tokens = None
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with client(double.url) as upstream:
        await upstream.manifest(NGINX, TAG)
    assert "authorization" not in double.seen[-1].headers


TOKEN_LIES = {
    "a web page": bad.web_page(),
    "no token": bad.status(200, {}, b"{}"),
    "a token with a line break": bad.status(200, {}, b'{"token": "a\\r\\nX-Evil: 1"}'),
    "a token that is a number": bad.status(200, {}, b'{"token": 7}'),
    "a list": bad.status(200, {}, b"[]"),
    "nesting": bad.status(200, {}, b"[" * 100_000),
    "no end": bad.endless(),
    "a redirect": bad.redirect("http://127.0.0.1:1/token"),
    "not found": bad.status(404),
}


@pytest.mark.parametrize("lie", TOKEN_LIES)
async def test_a_token_service_that_answers_with(double: DishonestUpstream, lie: str) -> None:
    double.play(TOKEN_LIES[lie], "/token")
    async with client(double.url, username=ANNA, password="secret") as upstream:
        with pytest.raises(Unavailable, match="token service") as caught:
            await upstream.manifest(NGINX, TAG)
    assert caught.value.kind == "bad_answer"


async def test_a_token_service_out_of_order_is_down_and_one_that_limits_is_a_limit(double: DishonestUpstream) -> None:
    async with client(double.url, username=ANNA, password="secret") as upstream:
        double.play(bad.status(503), "/token")
        with pytest.raises(Unavailable, match="token service that answers 503") as caught:
            await upstream.manifest(NGINX, TAG)
        assert caught.value.kind == "down"
        double.play(bad.limited(retry_after=17), "/token")
        with pytest.raises(UpstreamLimited) as limited:
            await upstream.manifest(NGINX, TAG)
        assert limited.value.retry_after == 17
    async with client(double.url, answer_seconds=0.5) as upstream:
        double.play(bad.hang(), "/token")
        with pytest.raises(Unavailable, match=r"token service \(127.0.0.1\) that does not answer") as caught:
            await upstream.manifest(NGINX, TAG)
        assert caught.value.kind == "slow"


async def test_a_401_that_says_no_way_in_is_a_bad_answer(double: DishonestUpstream) -> None:
    async with client(double.url, username=ANNA, password="secret") as upstream:
        for headers in ({}, {"WWW-Authenticate": "Negotiate"}, {"WWW-Authenticate": "Bearer"}):
            double.play(bad.status(401, headers), "/manifests/")
            with pytest.raises(Unavailable) as caught:
                await upstream.manifest(NGINX, TAG)
            assert caught.value.kind == "bad_answer"


def test_challenges_are_read_in_every_common_spelling() -> None:
    hub = (
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull"'
    )
    assert parse_challenges([hub])[0].get("realm") == "https://auth.docker.io/token"
    assert parse_challenges(['Basic realm="a, b", BEARER Realm = https://x/t , service="s\\"q"']) == [
        Challenge("basic", {"realm": "a, b"}),
        Challenge("bearer", {"realm": "https://x/t", "service": 's"q'}),
    ]
    both = parse_challenges(['Basic realm="x"', 'Bearer realm="https://y"'])
    chosen = choose(both)
    assert chosen is not None
    assert chosen.scheme == "bearer"
    assert parse_challenges(["Negotiate abc123==, Basic"])[-1].scheme == "basic"
    assert choose(parse_challenges(["Digest realm=x", ""])) is None
    assert Challenge("bearer", {"scope": "a\r\nb"}).get("scope") == ""


@given(st.lists(st.text(max_size=300), max_size=4))
def test_no_challenge_breaks_the_parser(lines: list[str]) -> None:
    assert len(parse_challenges(lines)) <= 8
