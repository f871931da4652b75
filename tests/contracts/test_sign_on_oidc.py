"""Single sign-on against a provider that lies, hangs or answers nonsense: nobody is signed in by it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from joserfc.jwk import RSAKey

from pierhead.adapters.oidc.signon import Client, OidcSignOn
from pierhead.adapters.system import SystemClock
from pierhead.domain.refusals import SignOnRefused, Unavailable
from pierhead.ports.identity import SignedOn
from tests.contracts.identity_provider import CLIENT_ID, NONCE, SECRET, LyingProvider, shared_secret

CALLBACK, VERIFIER = "https://registry.example/-/sign-in/callback", "v" * 43
Json = dict[str, Any]


@pytest.fixture
async def provider() -> AsyncIterator[LyingProvider]:
    one = await LyingProvider().start()
    yield one
    await one.stop()


def client(provider: LyingProvider, **more: Any) -> OidcSignOn:
    told = {"secret": SECRET, "scopes": ("openid", "profile"), **more}
    return OidcSignOn(
        Client(provider.issuer, CLIENT_ID, "Authentik", name_claim="preferred_username", groups_claim="groups", **told),
        SystemClock(),
    )


async def finish(one: OidcSignOn, nonce: str = NONCE) -> SignedOn:
    try:
        return await one.finish(CALLBACK, "the-code", nonce, VERIFIER)
    finally:
        await one.close()


async def test_an_honest_provider_is_asked_as_the_specifications_say(provider: LyingProvider) -> None:
    one = client(provider)
    there = urlsplit(await one.begin(CALLBACK, "the-state", NONCE, VERIFIER))
    query = {key: values[0] for key, values in parse_qs(there.query).items()}
    assert f"{there.scheme}://{there.netloc}{there.path}" == f"{provider.issuer}/authorize"
    assert query["response_type"] == "code"
    assert (query["state"], query["nonce"], query["scope"]) == ("the-state", NONCE, "openid profile")
    assert query["code_challenge_method"] == "S256"
    assert VERIFIER not in there.query
    assert await finish(one) == SignedOn("1", "anna", ("developers",))
    (form,) = [form for path, form in provider.asked if path == "/token"]
    assert (form["code"], form["code_verifier"], form["redirect_uri"]) == ("the-code", VERIFIER, CALLBACK)
    assert form["authorization"].startswith("Basic ")
    assert "client_secret" not in form
    farewell = await one.farewell("https://registry.example/-/signed-out")
    assert farewell.startswith(f"{provider.issuer}/end?client_id=pierhead&post_logout_redirect_uri=https%3A")


async def test_a_public_client_and_one_that_posts_its_secret_are_served_too(provider: LyingProvider) -> None:
    await finish(client(provider, secret=None))
    provider.discovery = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    await finish(client(provider))
    public, posting = [form for path, form in provider.asked if path == "/token"]
    assert (public["client_id"], public["authorization"]) == (CLIENT_ID, "")
    assert (posting["client_secret"], posting["authorization"]) == (SECRET, "")


async def test_groups_that_the_id_token_leaves_out_are_asked_for(provider: LyingProvider) -> None:
    provider.change = lambda claims: claims.pop("groups")
    assert (await finish(client(provider))).groups == ("from-userinfo",)


def setting(**more: object) -> Callable[[Json], None]:
    return lambda claims: claims.update(more)


LIES: dict[str, tuple[Callable[[Json], None], str]] = {
    "another nonce": (setting(nonce="x"), "`nonce`"),
    "no nonce": (lambda claims: claims.pop("nonce"), "`nonce`"),
    "another issuer": (setting(iss="https://evil.example"), "`iss`"),
    "another audience": (setting(aud="other"), "`aud`"),
    "several audiences": (setting(aud=[CLIENT_ID, "other"]), "`azp`"),
    "another party": (setting(azp="other"), "`azp`"),
    "long ended": (setting(exp=1_000, iat=900), "`exp`"),
    "of the future": (setting(iat=4_000_000_000, exp=4_000_000_300), "from now"),
    "no subject": (lambda claims: claims.pop("sub"), "`sub`"),
    "no name": (setting(preferred_username=""), "gives no name"),
    "groups that are none": (setting(groups={"a": 1}), "list of groups"),
}


@pytest.mark.parametrize("lie", LIES, ids=str)
async def test_an_id_token_that_lies_signs_nobody_in(lie: str, provider: LyingProvider) -> None:
    provider.change, said = LIES[lie]
    with pytest.raises(SignOnRefused, match=said):
        await finish(client(provider))


@pytest.mark.parametrize("how", ["another key of the same name", "the client's secret", "none"])
async def test_a_signature_that_is_not_the_providers_signs_nobody_in(how: str, provider: LyingProvider) -> None:
    if how == "none":
        provider.answers["/token"] = lambda: web.json_response({"id_token": "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."})
    elif how == "the client's secret":
        provider.signs_with, provider.header = shared_secret(), {"alg": "HS256", "kid": "k"}
    else:
        provider.signs_with = RSAKey.generate_key(2048, {"kid": "k"})
    with pytest.raises(SignOnRefused, match="not accepted"):
        await finish(client(provider))


async def test_what_is_told_of_somebody_else_signs_nobody_in(provider: LyingProvider) -> None:
    provider.change = lambda claims: claims.pop("groups")
    provider.userinfo = {"sub": "2", "groups": ["admins"]}
    with pytest.raises(SignOnRefused, match="somebody else"):
        await finish(client(provider))


async def test_groups_of_null_are_none(provider: LyingProvider) -> None:
    provider.change = setting(groups=None)
    assert (await finish(client(provider))).groups == ()


ANSWERS: dict[str, tuple[str, Callable[[], web.StreamResponse]]] = {
    "discovery of another issuer": (
        "/.well-known/openid-configuration",
        lambda: web.json_response({"issuer": "https://evil.example"}),
    ),
    "discovery that redirects": (
        "/.well-known/openid-configuration",
        lambda: web.Response(status=302, headers={"Location": "file:///etc/passwd"}),
    ),
    "a page": ("/.well-known/openid-configuration", lambda: web.Response(text="<html>", content_type="text/html")),
    "keys that redirect": ("/keys", lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})),
    "keys without end": ("/keys", lambda: web.json_response({"keys": ["x" * (2 << 20)]})),
    "a fault": ("/token", lambda: web.Response(status=500)),
    "an answer without end": ("/token", lambda: web.json_response({"id_token": "x" * (2 << 20)})),
}


@pytest.mark.parametrize("name", ANSWERS, ids=str)
async def test_a_provider_that_answers_nonsense_is_unavailable_and_its_secret_stays(
    name: str, provider: LyingProvider, caplog: pytest.LogCaptureFixture
) -> None:
    path, answer = ANSWERS[name]
    provider.answers[path] = answer
    with pytest.raises(Unavailable) as failure:
        await finish(client(provider))
    assert failure.value.message.startswith("Authentik does not answer as it should") or "Authentik" in str(
        failure.value
    )
    for secret in (SECRET, "the-code", VERIFIER):
        assert secret not in str(failure.value) + caplog.text


async def test_an_endpoint_of_another_scheme_is_not_gone_to(
    provider: LyingProvider, caplog: pytest.LogCaptureFixture
) -> None:
    for key in ("token_endpoint", "authorization_endpoint", "jwks_uri"):
        provider.discovery = {key: "javascript:alert(1)"}
        with pytest.raises(Unavailable, match="Authentik does not answer"):
            await client(provider).begin(CALLBACK, "s", NONCE, VERIFIER)
        assert f"`{key}` that is no http address" in caplog.text


async def test_a_code_that_is_refused_is_told_with_the_providers_reason(provider: LyingProvider) -> None:
    provider.answers["/token"] = lambda: web.json_response({"error": "invalid_grant"}, status=400)
    with pytest.raises(SignOnRefused, match="invalid_grant"):
        await finish(client(provider))


async def test_a_provider_that_goes_away_is_remembered_until_it_is_needed(provider: LyingProvider) -> None:
    one = client(provider)
    await one.begin(CALLBACK, "s", NONCE, VERIFIER)
    await provider.stop()
    assert (await one.begin(CALLBACK, "s", NONCE, VERIFIER)).startswith(provider.issuer)
    with pytest.raises(Unavailable, match="Authentik does not answer"):
        await finish(one)
