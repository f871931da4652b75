"""Where an upstream may lead the client: redirects, token services, addresses; and what never goes along."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme
from yarl import URL

from pierhead.adapters.upstream.client import RegistryUpstream
from pierhead.adapters.upstream.redirects import Places, realm_of, registrable
from pierhead.adapters.upstream.troubles import Trouble
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Tag
from pierhead.domain.refusals import Unavailable
from tests.contracts.upstream import PATIENT, ShiftedClock, all_of, client, held
from tests.faults import behaviours as bad
from tests.faults.dishonest_upstream import DishonestUpstream, Tokens, digest_of

NGINX = ImageName("library/nginx")
TAG = Tag("1.27")
LAYER = b"layer " * 20_000


@pytest.fixture
async def double() -> AsyncIterator[DishonestUpstream]:
    async with DishonestUpstream(tokens=Tokens(users={"anna": "secret"})) as double:
        double.add_image(NGINX, TAG, [LAYER])
        yield double


@pytest.fixture
async def cdn(double: DishonestUpstream) -> AsyncIterator[DishonestUpstream]:
    async with DishonestUpstream() as cdn:
        cdn.blobs = double.blobs
        double.play(bad.redirect(f"http://{cdn.address}/cdn/{{last}}?signature=s%2Fx"), "/blobs/")
        yield cdn


async def test_a_blob_is_fetched_where_the_upstream_redirects_to_and_no_credential_goes_along(
    double: DishonestUpstream, cdn: DishonestUpstream
) -> None:
    async with client(double.url, username="anna", password="secret", allow_private=(cdn.address,)) as upstream:
        assert await all_of(await upstream.blob(NGINX, Digest(digest_of(LAYER)))) == LAYER
    assert "authorization" in double.seen[-1].headers
    assert [request.target for request in cdn.seen] == [f"/cdn/{digest_of(LAYER)}?signature=s%2Fx"]
    assert "authorization" not in cdn.seen[0].headers
    assert "cookie" not in cdn.seen[0].headers


async def test_another_port_of_the_same_machine_is_not_connected_to_unless_it_is_listed(
    double: DishonestUpstream, cdn: DishonestUpstream
) -> None:
    assert double.tokens is not None
    double.tokens.users = {}
    async with client(double.url) as upstream:
        with pytest.raises(Unavailable, match="an address that is not public") as caught:
            await upstream.blob(NGINX, Digest(digest_of(LAYER)))
        assert caught.value.kind == "bad_answer"
        assert f"({cdn.address}), which is not followed. If it is right, list it under `allow_private`." in str(
            caught.value.message
        )
    async with client(double.url, allow_private=("10.0.0.0/8", "127.0.0.9/32")) as upstream:
        with pytest.raises(Unavailable, match="an address that is not public"):
            await upstream.blob(NGINX, Digest(digest_of(LAYER)))
    assert cdn.seen == []
    async with client(double.url, allow_private=("127.0.0.0/8",)) as upstream:
        assert await all_of(await upstream.blob(NGINX, Digest(digest_of(LAYER)))) == LAYER


async def test_a_redirect_within_the_upstream_keeps_the_login(double: DishonestUpstream) -> None:
    double.play(bad.redirect("/v2/library/nginx/manifests/{last}?again"), r"/manifests/1.27$", method="GET")
    async with client(double.url, username="anna", password="secret") as upstream:
        assert held(await upstream.manifest(NGINX, TAG)).body


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{port}/x",
        "http://localhost:{port}/x",
        "http://[::1]:{port}/x",
        "http://[::ffff:127.0.0.1]:{port}/x",
        "http://[::ffff:7f00:1]:{port}/x",
        "http://0x7f.1:{port}/x",
        "http://2130706433:{port}/x",
        "http://0177.0.0.1:{port}/x",
        "http://0.0.0.0:{port}/x",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/x",
        "http://[64:ff9b::7f00:1]/x",
        "http://10.0.0.1/x",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/x",
        "ftp://example.org/x",
        "http://anna:secret@192.0.2.1/x",
        "http://[::1/x",
        "http://192.0.2.1:99999/x",
        "",
    ],
)
async def test_a_redirect_astray_is_a_bad_answer_and_no_packet_is_sent(
    double: DishonestUpstream, location: str
) -> None:
    """The listener stands for anything that lives on this machine; a connection to it would be seen."""
    met = asyncio.Event()
    listener = await asyncio.start_server(lambda reader, writer: met.set(), "127.0.0.1", 0)
    double.tokens = None
    double.play(bad.redirect(location.format(port=listener.sockets[0].getsockname()[1])), "/manifests/")
    try:
        async with client(double.url) as upstream:
            with pytest.raises(Unavailable) as caught:
                await upstream.manifest(NGINX, TAG)
            assert caught.value.kind == "bad_answer"
        assert double.count() == 1
        assert not met.is_set()
    finally:
        listener.close()


@pytest.mark.parametrize("name", ["circle", "same"])
async def test_redirects_without_end_are_given_up_after_five(double: DishonestUpstream, name: str) -> None:
    double.tokens = None
    double.play(bad.redirect_in_circles() if name == "circle" else bad.redirect("{path}"), "/manifests/")
    async with client(double.url) as upstream:
        with pytest.raises(Unavailable, match="more than 5 times"):
            await upstream.manifest(NGINX, TAG)
    assert double.count() == 6


async def test_an_upstream_that_was_not_configured_by_file_must_be_public_itself(double: DishonestUpstream) -> None:
    async with client(double.url, any_address=False) as upstream:
        with pytest.raises(Unavailable, match="its address leads to an address that is not public"):
            await upstream.manifest(NGINX, TAG)
        assert not await upstream.probe()
    assert double.seen == []


async def test_a_name_that_changes_between_two_looks_gains_nothing(
    double: DishonestUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the address that counts is the one that is connected to, whatever the name said before."""
    loop = asyncio.get_running_loop()
    resolve = loop.getaddrinfo

    async def rebound(host: str, *more: Any, **named: Any) -> Any:
        return await resolve("127.0.0.1" if host == "cdn.example.org" else host, *more, **named)

    try:
        monkeypatch.setattr(loop, "getaddrinfo", rebound)
    except AttributeError:
        pytest.skip("this event loop cannot be told what names mean")
    double.tokens = None
    double.play(bad.redirect(f"http://cdn.example.org:{double.port}/cdn/{{last}}"), "/blobs/")
    async with client(double.url) as upstream:
        with pytest.raises(Unavailable, match="not public"):
            await upstream.blob(NGINX, Digest(digest_of(LAYER)))
    assert double.count(path="/cdn/") == 0


async def test_a_place_on_the_way_that_does_not_answer_is_named_but_not_its_signature(
    double: DishonestUpstream,
) -> None:
    double.tokens = None
    async with client(double.url, allow_private=("127.0.0.1:1",)) as upstream:
        double.play(bad.redirect("http://127.0.0.1:1/cdn/{last}?signature=stolen"), "/blobs/")
        with pytest.raises(Unavailable, match=r"connection refused at 127\.0\.0\.1:1\)") as caught:
            await upstream.blob(NGINX, Digest(digest_of(LAYER)))
        double.play(bad.redirect("http://cdn.invalid/cdn/{last}?signature=stolen"), "/blobs/")
        with pytest.raises(Unavailable, match=r"(no address for the name|connect timeout at) cdn\.invalid"):
            await upstream.blob(NGINX, Digest(digest_of(LAYER)))
    assert "stolen" not in repr(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "realm",
    [
        "http://evil.example/token",
        "http://169.254.169.254/token",
        "http://[::1]:1/token",
        "file:///etc/passwd",
        "http://anna@127.0.0.1/token",
        "",
    ],
)
async def test_no_credential_goes_to_a_token_service_elsewhere(double: DishonestUpstream, realm: str) -> None:
    double.play(bad.challenge(f'Bearer realm="{realm}",service="registry"'), "/v2/")
    async with client(double.url, username="anna", password="secret") as upstream:
        with pytest.raises(Unavailable) as caught:
            await upstream.manifest(NGINX, TAG)
    assert caught.value.kind == "bad_answer"
    assert "secret" not in str(caught.value)
    assert double.count() == 1
    assert "authorization" not in double.seen[0].headers


async def test_a_token_service_on_another_port_of_the_same_host_needs_to_be_listed(double: DishonestUpstream) -> None:
    async with DishonestUpstream(tokens=Tokens(users={"anna": "secret"})) as service:
        assert double.tokens is not None
        assert service.tokens is not None
        double.tokens.realm = f"{service.url}/token"
        double.tokens.granted = service.tokens.granted
        async with client(double.url, username="anna", password="secret") as upstream:
            with pytest.raises(Unavailable, match="not public"):
                await upstream.manifest(NGINX, TAG)
        assert service.seen == []
        async with client(double.url, username="anna", password="secret", allow_private=(service.address,)) as upstream:
            assert held(await upstream.manifest(NGINX, TAG)).body
        assert service.count("GET", "/token") == 1


def test_the_registrable_domain_decides_who_is_told_a_password() -> None:
    hub = URL("https://registry-1.docker.io")
    assert realm_of(hub, "https://auth.docker.io/token").host == "auth.docker.io"
    assert realm_of(URL("https://registry.gitlab.com"), "https://gitlab.com/jwt/auth").host == "gitlab.com"
    assert realm_of(URL("https://registry.example.co.uk"), "https://auth.example.co.uk/t")
    for home, realm in [
        ("https://registry-1.docker.io", "https://auth.docker.io.evil.example/token"),
        ("https://registry-1.docker.io", "http://auth.docker.io/token"),
        ("https://registry.example.co.uk", "https://evil.co.uk/token"),
        ("https://mine.azurecr.io", "https://theirs.azurecr.io/oauth2/token"),
        ("https://localhost", "https://evil.localhost/token"),
        ("http://10.1.2.3:5000", "http://9.1.2.3:5000/token"),
    ]:
        with pytest.raises(Trouble):
            realm_of(URL(home), realm)
    assert registrable("a.b.docker.io.") == "docker.io"


def test_only_public_addresses_are_met_on_an_upstreams_word() -> None:
    places = Places(URL("http://registry"), ("10.9.0.0/16", "fd00:9::/32"), any_address=True)
    public = ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "10.9.1.1", "::ffff:10.9.1.1"]
    assert [one for one in [*public, "fd00:9::1"] if not places.reachable(one)] == []
    private = [
        *("127.0.0.1", "10.1.1.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1"),
        *("::ffff:127.0.0.1", "::127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "fec0::1"),
        *("2001:0:1:1:1:1:80ff:fffe", "no address", ""),
    ]
    assert [one for one in private if places.reachable(one)] == []


@pytest.mark.parametrize("entry", ["registry", "10.0.0.0/40", "a b:1", ""])
def test_an_exception_that_is_neither_network_nor_place_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        Places(URL("http://registry"), (entry,), any_address=True)


@pytest.mark.parametrize(
    "url",
    ["registry", "ftp://registry", "file:///x", "http://", "http://a:b@registry", "http://registry/?x", "http://r/v2"],
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError):
        RegistryUpstream(PATIENT.__class__(url=url), ShiftedClock(), None)  # type: ignore[arg-type]


async def test_requests_go_through_the_proxy_of_the_environment(
    double: DishonestUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The double plays the proxy: it sees the whole address, and answers for a host that does not exist."""
    double.tokens = None
    double.play(bad.redirect("http://127.0.0.1:9/x"), "http://registry.invalid/v2/library/nginx/blobs/")
    double.play(bad.status(200, {"Content-Type": "application/json"}, b'{"tags":["via-proxy"]}'), "/tags/list")
    monkeypatch.setenv("http_proxy", f"http://user:word@{double.address}")
    monkeypatch.setenv("no_proxy", "")
    async with client("http://registry.invalid") as upstream:
        assert await upstream.tags(NGINX) == ("via-proxy",)
        with pytest.raises(Unavailable, match="not public"):
            await upstream.blob(NGINX, Digest(digest_of(LAYER)))
    assert double.seen[0].target.startswith("http://registry.invalid/v2/")
    assert double.seen[0].headers["proxy-authorization"] == "Basic dXNlcjp3b3Jk"
    assert double.count(path="127.0.0.1:9") == 0


async def test_a_private_authority_is_trusted_once_it_is_given(tmp_path_factory: pytest.TempPathFactory) -> None:
    authority = trustme.CA()
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with DishonestUpstream(tls=context) as double:
        double.add_image(NGINX, TAG, [LAYER])
        async with client(double.url, ca=str(file)) as upstream:
            assert held(await upstream.manifest(NGINX, TAG)).body
            double.play(bad.redirect(f"http://{double.address}/x"), "/manifests/")
            with pytest.raises(Unavailable, match="plain HTTP"):
                await upstream.manifest(NGINX, TAG)
        async with client(double.url) as upstream:
            with pytest.raises(Unavailable, match="certificate") as caught:
                await upstream.manifest(NGINX, TAG)
            assert caught.value.kind == "down"
    with pytest.raises(ValueError, match="PEM"):
        async with client(double.url, ca=str(file.parent / "missing.pem")):
            pass
