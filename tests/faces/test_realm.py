"""A challenge names the very address that the client speaks to, and no address that somebody else chose."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from pierhead.domain.names import RepositoryName
from pierhead.domain.refusals import Denied, ImageUnknown, NotAuthenticated, ScopeMissing
from pierhead.faces.door.ask import Ask
from pierhead.faces.door.connectors import Connector, Trust
from pierhead.faces.door.realm import Realm
from pierhead.faces.v2.challenge import Challenger, scope_of
from tests.faces.asked import asked

PROXY = "192.0.2.9"
TRUST = Trust([ip_network("192.0.2.9/32")])
NAMED = Connector(RepositoryName("dev"), "0.0.0.0:8443", "registry.example:8443")
HIDDEN = Connector(RepositoryName("dev"), "127.0.0.1:8443", "registry.example:443")


def request(
    connector: Connector, *headers: tuple[str, str], peer: str = "192.0.2.1", tls: bool = False, local: str = "10.0.0.5"
) -> Ask:
    ask = asked(*headers, peer=peer, port=connector)
    ask._line.tls = tls  # type: ignore[misc]
    ask._line.local = (local, 8443)
    return ask


@pytest.mark.parametrize(
    ("host", "tls", "local", "wanted"),
    [
        ("registry.example:8443", False, "10.0.0.5", "https://registry.example:8443"),
        ("Registry.Example:8443", True, "10.0.0.5", "https://registry.example:8443"),
        ("10.0.0.5:8443", False, "10.0.0.5", "http://10.0.0.5:8443"),
        ("10.0.0.5:8443", True, "10.0.0.5", "https://10.0.0.5:8443"),
        ("10.0.0.6:8443", False, "10.0.0.5", "https://registry.example:8443"),
        ("0.0.0.0:8443", False, "10.0.0.5", "http://0.0.0.0:8443"),
        ("localhost:8443", False, "127.0.0.1", "http://localhost:8443"),
        ("localhost:8443", False, "::1", "http://localhost:8443"),
        ("localhost:8443", False, "10.0.0.5", "https://registry.example:8443"),
        ("[::1]:8443", False, "::1", "http://[::1]:8443"),
        ("evil.example", False, "10.0.0.5", "https://registry.example:8443"),
        ("evil.example:8443", True, "10.0.0.5", "https://registry.example:8443"),
        ('registry.example:8443"', False, "10.0.0.5", "https://registry.example:8443"),
        ("registry.example:8443@evil", False, "10.0.0.5", "https://registry.example:8443"),
        ("", False, "10.0.0.5", "https://registry.example:8443"),
        (None, False, "10.0.0.5", "https://registry.example:8443"),
    ],
)
def test_a_port_repeats_the_names_that_are_its_own(host: str | None, tls: bool, local: str, wanted: str) -> None:
    realm = Realm("https://registry.example", TRUST)
    headers = () if host is None else (("Host", host),)
    assert realm.of(request(NAMED, *headers, tls=tls, local=local)) == f"{wanted}/token"


@pytest.mark.parametrize(
    ("headers", "peer", "wanted"),
    [
        ({"Host": "registry.example"}, PROXY, "https://registry.example"),
        ({"Host": "registry.example:443"}, PROXY, "https://registry.example:443"),
        ({"Host": "127.0.0.1:8443", "X-Forwarded-Host": "registry.example"}, PROXY, "https://registry.example"),
        ({"Host": "127.0.0.1:8443", "X-Forwarded-Host": "evil.example"}, PROXY, "https://registry.example"),
        ({"Host": "registry.example", "X-Forwarded-Proto": "https"}, PROXY, "https://registry.example"),
        ({"Host": "registry.example:443", "X-Forwarded-Proto": "http"}, PROXY, "http://registry.example:443"),
        ({"Host": "registry.example", "X-Forwarded-Proto": "gopher"}, PROXY, "https://registry.example"),
        ({"Host": "127.0.0.1:8443", "X-Forwarded-Host": "registry.example"}, "192.0.2.1", "http://127.0.0.1:8443"),
        ({"Host": "registry.example", "X-Forwarded-Proto": "http"}, "192.0.2.1", "https://registry.example"),
    ],
)
def test_only_a_trusted_proxy_tells_of_other_names(headers: dict[str, str], peer: str, wanted: str) -> None:
    realm = Realm("https://registry.example", TRUST)
    assert realm.of(request(HIDDEN, *headers.items(), peer=peer, local="127.0.0.1")) == f"{wanted}/token"


@pytest.mark.parametrize(
    ("method", "target", "wanted"),
    [
        ("GET", "/v2/", ""),
        ("GET", "/v2/_catalog", "registry:catalog:*"),
        ("GET", "/v2/team/app/manifests/1", "repository:team/app:pull"),
        ("HEAD", "/v2/dev/team/app/blobs/sha256:0", "repository:dev/team/app:pull"),
        ("GET", "/v2/team/app/tags/list", "repository:team/app:pull"),
        ("GET", "/v2/team/app/referrers/sha256:0", "repository:team/app:pull"),
        ("PUT", "/v2/team/app/manifests/1", "repository:team/app:pull,push"),
        ("POST", "/v2/team/app/blobs/uploads/", "repository:team/app:pull,push"),
        ("PATCH", "/v2/team/app/blobs/uploads/1", "repository:team/app:pull,push"),
        ("DELETE", "/v2/team/app/blobs/uploads/1", "repository:team/app:pull,push"),
        ("GET", "/v2/team/app/blobs/uploads/1", "repository:team/app:pull,push"),
        ("DELETE", "/v2/team/app/manifests/1", "repository:team/app:delete"),
        ("GET", "/v2/team%2Fapp/manifests/1", ""),
        ("GET", '/v2/team"app/manifests/1', ""),
        ("GET", "/v2/TEAM/manifests/1", ""),
        ("GET", "/v2/nothing", ""),
        ("GET", f"/v2/{'a' * 5_000}/manifests/1", ""),
    ],
)
def test_the_scope_is_what_the_request_needs_in_the_clients_own_words(method: str, target: str, wanted: str) -> None:
    assert scope_of(method, target) == wanted


def test_who_has_not_logged_in_is_told_where() -> None:
    challenger = Challenger(Realm("https://registry.example", TRUST), "pierhead-1")
    ask = request(NAMED, ("Host", "registry.example:8443"))
    told = challenger.addressed(ask, NotAuthenticated())
    assert (type(told), told.message) == (NotAuthenticated, "Log in first: `docker login registry.example:8443`.")
    for other in (NotAuthenticated("Name or password is wrong."), ImageUnknown("a", "dev")):
        assert challenger.addressed(ask, other) is other


def test_what_is_refused_for_other_reasons_is_no_challenge() -> None:
    challenger = Challenger(Realm("https://registry.example", TRUST), "pierhead-1")
    ask = request(NAMED, ("Host", "registry.example:8443"))
    bearer = 'Bearer realm="https://registry.example:8443/token",service="pierhead-1"'
    assert challenger.headers(ask, NotAuthenticated(), False) == [("WWW-Authenticate", bearer)]
    bad = challenger.headers(ask, NotAuthenticated("It has ended.", bad_token=True), False)
    assert bad == [("WWW-Authenticate", f'{bearer},error="invalid_token"')]
    more = ("WWW-Authenticate", f'{bearer},error="insufficient_scope"')
    assert challenger.headers(ask, ScopeMissing("pull"), True) == [more]
    assert challenger.headers(ask, Denied("anna", "push to", "prod"), True) == [more]
    assert challenger.headers(ask, Denied("anna", "push to", "prod"), False) == []
    assert challenger.headers(ask, ImageUnknown("a", "dev"), True) == []
