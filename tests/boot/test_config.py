"""The configuration file as settings: values and defaults, the examples, overrides, secrets, and its document."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path

import argon2
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pierhead.boot.config import ConfigFaults, load, parse
from pierhead.boot.config_gates import GATE_SHAPES
from pierhead.boot.config_secrets import Secret, resolve_secrets
from pierhead.boot.config_shape import SHAPES
from pierhead.boot.default import DEFAULT_YAML, default_settings
from pierhead.boot.marks import marks
from pierhead.boot.settings import (
    Address,
    GroupSettings,
    HostedSettings,
    ProxySettings,
    Settings,
    Stage,
    TlsSettings,
)
from pierhead.domain import limits
from pierhead.domain.access import BUILT_IN_ROLES, rules_of
from pierhead.domain.names import RepositoryName, Tag
from pierhead.domain.policy import WritePolicy
from pierhead.domain.promotion import Train

ROOT = Path(__file__).parents[2]
SHARED = ROOT / "examples" / "cwiq" / "shared.yaml"
DEV = ROOT / "examples" / "cwiq" / "dev.yaml"
HOUSE_MARK = re.compile(r"house: (?:(?P<key>[a-z_]+: .*)|(?P<value>\S+).*)$")


def read(text: str) -> Settings:
    return parse(text.encode(), "c.yaml")


def repository(settings: Settings, name: str) -> object:
    return settings.repositories[RepositoryName(name)]


def test_the_smallest_file_has_every_default() -> None:
    settings = read("data: d")
    assert settings.listen == Address("127.0.0.1", 8081)
    assert settings.external_url == "http://127.0.0.1:8081"
    assert settings.data == Path("d").absolute()
    assert (settings.anonymous, settings.workers, settings.log_format) == ("none", 1, "text")
    assert settings.reclaim.lease_seconds == settings.reclaim.uploads_seconds == 86400
    assert (settings.reclaim.quarantine_seconds, settings.reclaim.every_seconds) == (3600, 60)
    assert settings.limits.blob_bytes == limits.BLOB_BYTES_MAX == 100 * 2**30
    assert not settings.repositories
    assert not settings.accounts
    assert settings.tls is settings.database is settings.blobs is settings.redirect_from is None


def test_every_key_reaches_the_settings(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca)
    settings = read(f"""
listen: "[::1]:8081"
external_url: https://Registry.Example.com/
redirect_from: 127.0.0.1:8080
trusted_proxies: [127.0.0.1, "10.0.0.0/8", "fd00::/8"]
stages: {{dev: h, prod: {{repository: inner-h, gates: [{{stage_before: false}}], follow_referrers: true}}}}
promotion: {{pointer: live, suffixes: {{-prod: prod}}, wait: 1h}}
repositories:
  h: {{type: hosted, write_policy: DENY, listen: 0.0.0.0:8443, external: R.example.com:443}}
  inner-h: {{type: hosted}}
  p:
    type: proxy
    upstream: https://harbor.example.com/team/
    fresh_for: 0s
    absent_for: 1m
    library: true
    username_env: U
    password_env: P
    ca: {ca}
    allow_private: [10.0.0.0/8, "cdn.internal:443"]
    connect_timeout: 1s
    timeout: 2s
    stall_timeout: 3s
  inner: {{type: group, members: [inner-h]}}
  g: {{type: group, members: [inner, p], reserve: ["team/*", exact], writable: inner-h, listen: 0.0.0.0:8444}}
reclaim: {{lease: 2h, quarantine: 3m, every: 4s, uploads: 5d}}
limits: {{uploads_per_account: 7, blob_bytes: 5GB, connections: 100}}
log: {{format: json}}
workers: 2
""")
    assert settings.listen == Address("::1", 8081)
    assert settings.external_url == "https://registry.example.com"
    assert settings.redirect_from == Address("127.0.0.1", 8080)
    assert settings.trusted_proxies == tuple(map(ip_network, ("127.0.0.1/32", "10.0.0.0/8", "fd00::/8")))
    assert settings.stages == (Stage("dev", RepositoryName("h")), Stage("prod", RepositoryName("inner-h"), (), True))
    assert settings.train == Train(settings.stages, Tag("live"), {"-prod": "prod"}, 3600)
    hosted = repository(settings, "h")
    assert isinstance(hosted, HostedSettings)
    assert (hosted.write_policy, hosted.external) == (WritePolicy.DENY, Address("r.example.com", 443))
    assert repository(settings, "p") == ProxySettings(
        name=RepositoryName("p"),
        upstream="https://harbor.example.com/team",
        fresh_for_seconds=0,
        absent_for_seconds=60,
        library=True,
        username_env="U",
        password_env="P",
        ca=ca,
        allow_private=("10.0.0.0/8", "cdn.internal:443"),
        connect_timeout_seconds=1,
        timeout_seconds=2,
        stall_timeout_seconds=3,
    )
    group = repository(settings, "g")
    assert isinstance(group, GroupSettings)
    assert group.members == ("inner", "p")
    assert all(isinstance(member, RepositoryName) for member in group.members)
    assert (group.reserve, group.writable) == (("team/*", "exact"), "inner-h")
    assert settings.external_of(group) == Address("registry.example.com", 8444)
    assert (settings.reclaim.lease_seconds, settings.reclaim.uploads_seconds) == (7200, 432_000)
    assert settings.limits.blob_bytes == 5_000_000_000
    assert (settings.log_format, settings.workers) == ("json", 2)
    assert [str(address) for address, _ in settings.listeners()] == ["[::1]:8081", "0.0.0.0:8443", "0.0.0.0:8444"]
    assert settings.lines["repositories.g.members[1]"] == 25


def test_the_shared_example_is_the_shared_environment() -> None:
    settings = load(SHARED)
    assert {str(address): name for address, name in settings.listeners()} == {
        "127.0.0.1:8081": None,
        "127.0.0.1:8443": "docker-hosted-dev",
        "127.0.0.1:8444": "docker-group",
    }
    policies = {
        name: r.write_policy.value for name, r in settings.repositories.items() if isinstance(r, HostedSettings)
    }
    assert policies == {
        "docker-hosted-dev": "ALLOW",
        "docker-hosted-uat": "ALLOW_ONCE",
        "docker-hosted-prod": "ALLOW_ONCE",
    }
    proxy, group = repository(settings, "docker-proxy-dockerhub"), repository(settings, "docker-group")
    assert isinstance(proxy, ProxySettings)
    assert isinstance(group, GroupSettings)
    assert (proxy.upstream, proxy.library) == ("https://registry-1.docker.io", True)
    assert group.members == (
        "docker-hosted-prod",
        "docker-hosted-uat",
        "docker-hosted-dev",
        "docker-proxy-dockerhub",
    )
    assert (group.reserve, group.writable) == (("orchestrator/*",), None)
    assert [stage.repository for stage in settings.stages] == list(policies)
    assert {name: account.roles for name, account in settings.accounts.items()} == {
        "svc-orchestrator": ("platform",),
        "svc-datastore": ("datastore",),
        "svc-deployer": ("deployer",),
        "svc-promoter": ("promoter",),
        "svc-admin": ("admin",),
    }


def test_both_examples_can_run_side_by_side() -> None:
    shared, dev = load(SHARED), load(DEV)
    assert list(dev.repositories) == ["docker-hosted", "docker-proxy", "docker-group"]
    assert not any(mine.collides(theirs) for mine, _ in shared.listeners() for theirs, _ in dev.listeners())
    assert shared.data != dev.data


@pytest.mark.parametrize("path", [SHARED, DEV])
def test_what_an_example_says_for_the_house_is_a_configuration_too(path: Path, tmp_path: Path) -> None:
    lines = []
    for line in path.read_text().splitlines():
        found = HOUSE_MARK.search(line)
        if found is None:
            lines.append(line)
        elif found["key"] and line.lstrip().startswith("#"):
            lines.append(line.partition("#")[0] + found["key"])
        elif found["value"] and not line.lstrip().startswith("#"):
            lines.append(f"{line.partition(':')[0]}: {found['value']}")
    text = "\n".join(lines)
    assert text.count("cwiq.io") >= 5
    certificate = trustme.CA().issue_cert("nexus.shared.cwiq.io")
    certificate.private_key_pem.write_to_path(tmp_path / "key")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "crt")
    text = re.sub(r"/etc/\S+\.(crt|key)", lambda found: str(tmp_path / found[1]), text)
    settings = read(text)
    assert settings.listen == Address("0.0.0.0", 443)
    assert settings.tls == TlsSettings(tmp_path / "crt", tmp_path / "key")
    assert all(
        str(settings.external_of(r)) == f"{settings.external.host}:{r.listen.port}"
        for r in settings.repositories.values()
        if r.listen is not None
    )


def test_the_built_in_default_serves_the_usual_shape_on_loopback(tmp_path: Path) -> None:
    settings = default_settings(data=tmp_path, listen="127.0.0.1:1")
    assert (settings.data, settings.listen) == (tmp_path, Address("127.0.0.1", 1))
    assert settings.external_url == "http://127.0.0.1:1"
    assert list(settings.repositories) == list(load(SHARED).repositories)
    assert all(address.host == "127.0.0.1" for address, _ in settings.listeners())
    assert marks(read(DEFAULT_YAML)) == marks(default_settings())


def test_overrides_replace_what_the_file_says_and_are_checked_alike(tmp_path: Path) -> None:
    settings = load(SHARED, data="elsewhere", listen="127.0.0.1:9999")
    assert (settings.data, settings.listen.port) == (Path("elsewhere").absolute(), 9999)
    assert settings.external_url == "http://127.0.0.1:8081"
    with pytest.raises(ConfigFaults) as caught:
        load(SHARED, listen="nine")
    assert caught.value.lines == ("`--listen nine` must be host:port, such as 127.0.0.1:8081 or [::1]:8081.",)
    with pytest.raises(ConfigFaults) as caught:
        load(SHARED, listen="127.0.0.1:8443")
    (line,) = caught.value.lines
    assert "`listen: 127.0.0.1:8443` is taken: `--listen` listens on 127.0.0.1:8443." in line


def test_a_file_read_twice_is_equal_and_a_changed_one_is_not() -> None:
    first, second = load(SHARED), load(SHARED)
    assert marks(first) == marks(second)
    moved = read("# one line lower\n" + SHARED.read_text())
    assert marks(moved) == marks(first)
    assert moved.lines != first.lines
    changed = read(SHARED.read_text().replace("fresh_for: 1h", "fresh_for: 2h"))
    assert marks(changed) != marks(first)
    assert changed.repositories[RepositoryName("docker-group")] == first.repositories[RepositoryName("docker-group")]
    assert marks(replace(first, data=Path("/other"))) != marks(first)


def test_library_is_on_by_itself_for_docker_hub_only() -> None:
    settings = read(
        "repositories:\n"
        '  hub: {type: proxy, upstream: "https://registry-1.docker.io/"}\n'
        '  off: {type: proxy, upstream: "https://registry-1.docker.io", library: false}\n'
        '  quay: {type: proxy, upstream: "https://quay.io"}\n'
    )
    library = {name: r.library for name, r in settings.repositories.items() if isinstance(r, ProxySettings)}
    assert library == {"hub": True, "off": False, "quay": False}


def test_anchors_work_and_yaml_is_1_2() -> None:
    settings = read("repositories:\n  a: &h {type: hosted, write_policy: ALLOW_ONCE}\n  no: *h\n  0x10: *h\n")
    assert list(settings.repositories) == ["a", "no", "0x10"]
    assert repository(settings, "no") == HostedSettings(name=RepositoryName("no"), write_policy=WritePolicy.ALLOW_ONCE)


@given(st.ip_addresses() | st.from_regex(r"[a-z0-9]{1,9}(-[a-z]){0,2}(\.[a-z]{1,9}){1,3}", fullmatch=True))
def test_an_address_parses_back_from_its_text(host: object) -> None:
    address = Address(str(host), 8443)
    assert Address.parse(str(address)) == address


def test_with_tls_people_are_sent_to_https(tmp_path: Path) -> None:
    authority = trustme.CA()
    ours, other = authority.issue_cert("localhost"), authority.issue_cert("localhost")
    ours.cert_chain_pems[0].write_to_path(tmp_path / "crt")
    ours.private_key_pem.write_to_path(tmp_path / "key")
    other.private_key_pem.write_to_path(tmp_path / "other")
    tls = f"tls: {{certificate: {tmp_path}/crt, key: {tmp_path}/key}}\n"
    assert read(tls).external_url == "https://127.0.0.1:8081"
    with pytest.raises(ConfigFaults, match=r"c.yaml line 2: `external_url: http://h` must begin with https://"):
        read(tls + "external_url: http://h\n")
    with pytest.raises(ConfigFaults, match=r"c.yaml line 1: `tls` cannot be used: .*crt and .*other must be"):
        read(tls.replace("/key", "/other"))
    with pytest.raises(ConfigFaults, match=r"`ca: .*key` holds no certificate in PEM form\. \(repositories\.p\.ca\)"):
        read(f'repositories:\n  p: {{type: proxy, upstream: "https://a.example", ca: {tmp_path}/key}}\n')


ACCOUNTS = """
accounts:
  env: {password_env: ENV_PASSWORD, roles: [publisher]}
  unset: {password_env: UNSET, roles: [publisher]}
  file: {password_file: FOLDER/file, roles: [deployer, auditor]}
  away: {password_file: FOLDER/away, roles: [deployer]}
  hash: {password_hash: "HASH", roles: [admin]}
repositories:
  signed: {type: proxy, upstream: "https://a.example", username_env: NAME, password_env: ENV_PASSWORD}
  unsigned: {type: proxy, upstream: "https://b.example", username_env: NAME, password_env: UNSET}
"""


def test_a_secret_that_cannot_be_had_disables_its_account_with_a_warning(tmp_path: Path) -> None:
    hashed = argon2.PasswordHasher(1, 8, 1).hash("secret-of-hash")
    (tmp_path / "file").write_text("secret-of-file\n")
    settings = read(ACCOUNTS.replace("FOLDER", str(tmp_path)).replace("HASH", hashed))
    found = resolve_secrets(settings, {"ENV_PASSWORD": "secret-of-env", "NAME": "me"})
    assert found.accounts["env"].password == Secret("secret-of-env")
    assert found.accounts["hash"].password_hash == Secret(hashed)
    assert found.accounts["file"].password is None, "files are read again and again, by boot/rotations.py"
    assert [name for name, account in found.accounts.items() if account.disabled] == ["unset"]
    assert list(found.upstreams) == ["signed"]
    assert found.upstreams[RepositoryName("signed")].password == Secret("secret-of-env")
    assert found.warnings == (
        "Account unset is disabled: the variable UNSET is not set. Set it and start again.",
        "unsigned asks https://b.example without signing in: the variable UNSET is not set.",
    )
    shown = repr(found) + str(found) + repr(settings) + f"{found.accounts['env'].password}"
    assert "secret-of" not in shown
    assert hashed not in shown


def test_a_hash_that_would_cost_a_login_too_much_is_refused() -> None:
    costly = "$argon2id$v=19$m=4194304,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaA"
    with pytest.raises(ConfigFaults, match=r"`password_hash` would cost more than 1 GiB") as caught:
        read(f'accounts: {{a: {{password_hash: "{costly}", roles: [admin]}}}}')
    assert costly not in str(caught.value)


def test_every_role_of_the_file_is_one_that_gives_rights() -> None:
    assert all(rules_of([role], ()) for role in BUILT_IN_ROLES)


def test_every_key_has_a_row_in_the_document() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "configure.md").read_text(), re.MULTILINE))
    keys = {key for shape in (*SHAPES, *GATE_SHAPES) for key in shape.model_fields}
    assert keys - rows == set()
    assert rows - keys - set(BUILT_IN_ROLES) == set(), "rows about keys that nobody knows"


def test_every_example_in_the_document_is_accepted(tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert("registry.example.com")
    certificate.private_key_pem.write_to_path(tmp_path / "registry.key")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "registry.crt")
    examples = re.findall(
        r"^```yaml\n(.*?)^```", (ROOT / "docs" / "configure.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert len(examples) >= 8
    named = "".join(f"  {name}: {{type: hosted}}\n" for name in ("docker-hosted-dev", "docker-hosted-uat"))
    named += "  docker-hosted-prod: {type: hosted}\n"
    for text in examples:
        text = text.replace("/etc/pierhead/tls", str(tmp_path))
        if "stages:" in text or "roles:\n" in text or "trust:\n" in text:
            text += "repositories:\n" + named
        if "type: group" in text:
            text += named + '  docker-proxy-dockerhub: {type: proxy, upstream: "https://registry-1.docker.io"}\n'
        read(text)
