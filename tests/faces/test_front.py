"""The first look at a path, where people are sent, and whose word counts for where a client is."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.domain.names import RepositoryName
from pierhead.faces.door.ask import Answer, Ask, Handler
from pierhead.faces.door.connectors import Connector, Trust, address_of
from pierhead.faces.door.front import HEALTH_PATHS, Front
from tests.faces.asked import asked
from tests.faces.door_line import door

URL = "https://registry.example:8081/"
MAIN = Connector(None, "127.0.0.1:8081", "registry.example:8081")
DEV = Connector(RepositoryName("dev"), "127.0.0.1:8443", "registry.example:8443")


def front(*trusted: str, why: str | None = None, bare: bool = False) -> Front:
    """Parts that answer with their own names."""

    def part(name: str) -> Handler:
        async def answer(ask: Ask) -> Answer:
            return Answer(200, (), f"{name} {address_of(ask)}".encode())

        return answer

    rest, others = (None, None) if bare else (part("rest"), part("others"))
    return Front(part("registry"), lambda: why, URL, Trust([ip_network(one) for one in trusted]), rest, others)


async def said(made: Front, target: str, port: Connector = MAIN, method: str = "GET", query: str = "") -> Answer:
    answer = await made(asked(target=target, port=port, method=method, query=query))
    assert isinstance(answer, Answer)
    return answer


def where(answer: Answer) -> str:
    assert answer.status in (307, 308)
    return dict(answer.headers)["Location"]


@pytest.mark.parametrize(
    ("target", "part"),
    [
        ("/v2", "registry"),
        ("/v2/", "registry"),
        ("/v2/dev/app/manifests/1", "registry"),
        ("/api", "rest"),
        ("/api/v1/status", "rest"),
        ("/apiary", "others"),
        ("/", "others"),
        ("/metrics", "others"),
        ("/dev/app", "others"),
        ("/health/", "others"),
        ("//v2/", "others"),
    ],
)
async def test_the_main_port_hands_on_by_path(target: str, part: str) -> None:
    assert bytes((await said(front(), target)).body).decode().split(" ")[0] == part


@pytest.mark.parametrize("target", sorted(HEALTH_PATHS))
@pytest.mark.parametrize("port", [MAIN, DEV], ids=["main", "connector"])
async def test_health_is_answered_on_every_port_without_credentials(target: str, port: Connector) -> None:
    answer = await said(front(), target, port)
    assert (answer.status, answer.body) == (200, b"ok\n")


async def test_what_is_wrong_is_told_by_all_but_livez() -> None:
    made = front(why="The disk is full")
    for target in ("/health", "/readyz"):
        answer = await said(made, target)
        assert (answer.status, answer.body) == (503, b"The disk is full\n")
        assert dict(answer.headers)["Retry-After"] == "10"
    assert (await said(made, "/livez")).status == 200


async def test_health_over_the_wire_on_the_redirecting_port_too() -> None:
    made = front()
    async with door(made) as house, door(made.redirect) as redirecting:
        for one in (house, redirecting):
            line = await one.line()
            for method, body in (("GET", b"ok\n"), ("HEAD", b"")):
                heard = await line.ask("/health", method)
                assert (heard.status, heard.body, heard.get("Content-Length")) == (200, body, "3")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_page_asked_of_a_connector_is_found_on_the_main_port(method: str) -> None:
    assert where(await said(front(), "/dev/app", DEV, method, "tab=tags")) == (
        "https://registry.example:8081/dev/app?tab=tags"
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("target", ["/api/v1/status", "/metrics", "/"])
async def test_a_connector_neither_answers_nor_hands_on_what_changes_something(method: str, target: str) -> None:
    assert (await said(front(), target, DEV, method)).status == 404


@pytest.mark.parametrize("target", ["/", "/api/v1/status", "/metrics"])
async def test_without_pages_there_is_nothing(target: str) -> None:
    assert (await said(front(bare=True), target)).status == 404


TARGETS = st.text(alphabet="/\\@.:%?#ev il0a-", max_size=30).map(lambda text: "/" + text)


@given(TARGETS, st.text(alphabet="ab=&%0dna@/:", max_size=20))
async def test_a_redirect_never_leads_to_another_host(target: str, query: str) -> None:
    made = front()
    answers = [await made.redirect(asked(target=target, query=query)), await said(made, target, DEV, query=query)]
    for answer in answers:
        assert isinstance(answer, Answer)
        if answer.status == 200:
            continue
        led = urlsplit(where(answer))
        assert (led.scheme, led.netloc) == ("https", "registry.example:8081")
        assert "\n" not in where(answer)


async def test_the_plain_port_beside_tls_keeps_method_path_and_query() -> None:
    answer = await front().redirect(asked(target="/v2/a/b", query="n=1", method="POST"))
    assert isinstance(answer, Answer)
    assert answer.status == 308
    assert where(answer) == "https://registry.example:8081/v2/a/b?n=1"


# --- where a client is ------------------------------------------------------------------------------------------------


def told(peer: str, *forwarded: str, trusted: tuple[str, ...] = ("10.0.0.0/8", "fd00::/8")) -> str:
    ask = asked(*(("X-Forwarded-For", line) for line in forwarded), peer=peer)
    Trust([ip_network(one) for one in trusted]).note_address(ask)
    return address_of(ask)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.1", ("192.0.2.7",), "192.0.2.7"),
        ("10.0.0.1", ("198.51.100.1, 192.0.2.7",), "192.0.2.7"),
        ("10.0.0.1", ("192.0.2.7, 10.0.0.2",), "192.0.2.7"),
        ("10.0.0.1", ("198.51.100.1", "192.0.2.7", "10.0.0.2"), "192.0.2.7"),
        ("10.0.0.1", ("198.51.100.1", "192.0.2.7 ,10.0.0.2 , 10.0.0.3"), "192.0.2.7"),
        ("10.0.0.1", ("10.0.0.9, 10.0.0.2",), "10.0.0.9"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        ("10.0.0.1", ("unknown",), "10.0.0.1"),
        ("10.0.0.1", ("192.0.2.7, _hidden",), "10.0.0.1"),
        ("10.0.0.1", ("192.0.2.7, what?, 10.0.0.2",), "10.0.0.2"),
        ("10.0.0.1", ("192.0.2.7:5000",), "10.0.0.1"),
        ("10.0.0.1", ("fe80::1%<script>",), "10.0.0.1"),
        ("10.0.0.1", ("2001:db8::1",), "2001:db8::1"),
        ("fd00::1", ("2001:db8::1, fd00::2",), "2001:db8::1"),
        ("::ffff:10.0.0.1", ("192.0.2.7",), "192.0.2.7"),
        ("192.0.2.1", ("10.0.0.1",), "192.0.2.1"),
        ("192.0.2.1", ("198.51.100.1, 10.0.0.2",), "192.0.2.1"),
        ("::ffff:192.0.2.1", ("198.51.100.1",), "::ffff:192.0.2.1"),
        ("", ("198.51.100.1",), ""),
    ],
)
def test_the_right_most_address_that_is_no_trusted_proxy_is_the_client(
    peer: str, forwarded: tuple[str, ...], address: str
) -> None:
    assert told(peer, *forwarded) == address


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert told("127.0.0.1", "192.0.2.7", trusted=()) == "127.0.0.1"


ADDRESSES = st.ip_addresses().map(str)
OUTSIDE = st.ip_addresses(v=4).filter(lambda one: one not in ip_network("10.0.0.0/8")).map(str)
INSIDE = st.integers(1, 2**24 - 2).map(lambda number: str(IPv4Address((10 << 24) + number)))
CLAIMS = st.lists(st.one_of(ADDRESSES, OUTSIDE, INSIDE, st.text(alphabet="abc:.%, \t1", max_size=20)), max_size=5)


@given(OUTSIDE, CLAIMS)
def test_a_stranger_cannot_claim_to_be_elsewhere(peer: str, claims: list[str]) -> None:
    assert told(peer, *claims) == peer


@given(INSIDE, CLAIMS, OUTSIDE, st.lists(INSIDE, max_size=3))
def test_whatever_a_client_claims_behind_proxies_its_own_address_counts(
    peer: str, claims: list[str], client: str, proxies: list[str]
) -> None:
    assert told(peer, ", ".join([*claims, client, *proxies])) == client
    assert told(peer, *claims, client, *proxies) == client


@given(INSIDE, st.lists(st.text(max_size=60), max_size=4))
def test_an_address_is_an_address_whatever_the_header_says(peer: str, lines: list[str]) -> None:
    ip_address(told(peer, *lines))


async def test_the_registry_sees_the_address_that_a_trusted_proxy_tells() -> None:
    async with door(front("127.0.0.1/32")) as house, door(front("10.0.0.0/8")) as wary:
        heard = await (await house.line()).ask("/v2/", extra="X-Forwarded-For: 198.51.100.1, 192.0.2.7\r\n")
        assert heard.body == b"registry 192.0.2.7"
        heard = await (await wary.line()).ask("/v2/", extra="X-Forwarded-For: 192.0.2.7\r\n")
        assert heard.body == b"registry 127.0.0.1"
