"""What the rest of the program sees of the configuration: frozen values, parsed, checked and complete.

Everything is in canonical units (seconds, bytes, absolute paths) and compares by value, so that a reread file can be
held against the running one. Secrets never stand in here: see ``boot/config_secrets.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct, field

from pierhead.boot.settings_vault import VaultPlace, VaultSection
from pierhead.domain import limits
from pierhead.domain.access import Rules
from pierhead.domain.catalogue import Catalogue
from pierhead.domain.discreet import Discreet
from pierhead.domain.expiry import Rules as ExpiryRules
from pierhead.domain.names import RepositoryName, Tag
from pierhead.domain.naming import NamingRule
from pierhead.domain.policy import WritePolicy
from pierhead.domain.promotion import POINTER, WAIT_SECONDS, Train
from pierhead.domain.promotion import Stage as Stage
from pierhead.domain.tagging import BUILT_IN, Strategy
from pierhead.domain.trust import TrustRule

Network = IPv4Network | IPv6Network

_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*")
_WILDCARDS: Final = ("0.0.0.0", "::")
_SCHEME_PORTS: Final = {"http": 80, "https": 443}


def is_host(text: str) -> bool:
    """Whether ``text`` is a host name or an IP address (IPv6 without brackets)."""
    if ":" in text:
        return _is_ipv6(text)
    if text.replace(".", "").isdigit():
        return _is_ip(text)
    return len(text) <= 253 and _HOST.fullmatch(text) is not None


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    return _is_ip(text) and isinstance(ip_address(text), IPv6Address)


class Address(Struct, frozen=True, order=True):
    """A host (name, IPv4, or IPv6 without brackets) and a port, 0 to 65535."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """``HOST:PORT`` or ``[IPV6]:PORT``. Raises ValueError for anything else."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65535:
            raise ValueError("no host:port")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
            if not _is_ipv6(host):
                raise ValueError("no host:port")
        elif ":" in host or not is_host(host):
            raise ValueError("no host:port")
        return cls(host.lower(), int(port))

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every address of the machine."""
        return self.host in _WILDCARDS

    def collides(self, other: Address) -> bool:
        """Whether the system would refuse to listen on both."""
        if self.port != other.port:
            return False
        mine, theirs = (("127.0.0.1" if a.host == "localhost" else a.host) for a in (self, other))
        return mine == theirs or self.is_wildcard or other.is_wildcard

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class TlsSettings(Struct, frozen=True):
    """PEM files for every port; both existed and fitted each other when the file was read."""

    certificate: Path
    key: Path


class HostedSettings(Struct, frozen=True, kw_only=True):
    """A repository that takes pushes."""

    name: RepositoryName
    write_policy: WritePolicy = WritePolicy.ALLOW
    listen: Address | None = None
    external: Address | None = None


class ProxySettings(Struct, frozen=True, kw_only=True):
    """A repository that keeps what it fetched from another registry.

    ``upstream`` is ``scheme://host[:port][/folder]`` without ``/v2``; ``allow_private`` are networks and ``host:port``;
    ``username_env`` and ``password_env`` name variables.
    """

    name: RepositoryName
    upstream: str
    fresh_for_seconds: int = 3600
    absent_for_seconds: int = 30
    library: bool = False
    username_env: str | None = None
    password_env: str | None = None
    ca: Path | None = None
    allow_private: tuple[str, ...] = ()
    connect_timeout_seconds: int = 5
    timeout_seconds: int = limits.UPSTREAM_ANSWER_SECONDS_MAX
    stall_timeout_seconds: int = 20
    listen: Address | None = None
    external: Address | None = None


class GroupSettings(Struct, frozen=True, kw_only=True):
    """Repositories under one name, asked in the order of ``members``.

    ``reserve`` are patterns of image names that no proxy below is asked for (``*`` is any characters, ``/`` too).
    """

    name: RepositoryName
    members: tuple[RepositoryName, ...]
    reserve: tuple[str, ...] = ()
    writable: RepositoryName | None = None
    listen: Address | None = None
    external: Address | None = None


RepositorySettings = HostedSettings | ProxySettings | GroupSettings


class AccountSettings(Discreet, frozen=True, kw_only=True):
    """An account of the file; exactly one of the sources of its password is set."""

    name: str
    roles: tuple[str, ...]
    password_env: str | None = None
    password_file: Path | None = None
    password_hash: str | None = None
    password_vault: VaultPlace | None = None
    grace_seconds: int | None = None


class TrustSettings(Struct, frozen=True, kw_only=True):
    """One issuer of id_tokens. ``jwks`` is a URL or a file; None is what the issuer's discovery document names."""

    name: str
    issuer: str
    audiences: tuple[str, ...]
    jwks: str | Path | None = None
    ca: Path | None = None
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    leeway_seconds: int = 60
    fresh_for_seconds: int = 300
    rules: tuple[TrustRule, ...] = ()


class ReclaimSettings(Struct, frozen=True, kw_only=True):
    """How long unreferenced blobs and idle upload sessions are left alone, and how often one looks."""

    lease_seconds: int = limits.BLOB_LEASE_SECONDS
    quarantine_seconds: int = limits.BLOB_QUARANTINE_SECONDS
    every_seconds: int = 60
    uploads_seconds: int = limits.UPLOAD_IDLE_SECONDS_MAX


class ExpirySettings(Struct, frozen=True, kw_only=True):
    """How long what was deleted can be brought back, and what goes by itself, by repository."""

    keep_deleted_seconds: int = limits.KEEP_DELETED_SECONDS
    every_seconds: int = 3600
    rules: Mapping[RepositoryName, ExpiryRules] = field(default_factory=dict)


class LimitSettings(Struct, frozen=True, kw_only=True):
    """Maxima that a house may want to set for itself; all others are in ``domain/limits.py``."""

    uploads_per_account: int = limits.UPLOADS_PER_ACCOUNT_MAX
    blob_bytes: int = limits.BLOB_BYTES_MAX
    connections: int = 20_000
    reserve_bytes: int = 64 << 20
    drain_seconds: int = 30


class OidcSettings(Struct, frozen=True, kw_only=True):
    """Single sign-on at one OpenID provider, found by what ``issuer`` says of itself. ``name`` is for sentences;
    ``roles`` are what a group gives. Without ``client_secret_env`` the client is a public one."""

    issuer: str
    client_id: str
    name: str
    button: str
    client_secret_env: str | None = None
    scopes: tuple[str, ...] = ("openid", "profile")
    groups_claim: str = "groups"
    name_claim: str = "preferred_username"
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ca: Path | None = None


class SignInSettings(Struct, frozen=True, kw_only=True):
    """How people sign in to the pages, and how long that holds."""

    session_idle_seconds: int = 12 * 3600
    session_longest_seconds: int = 7 * 24 * 3600
    oidc: OidcSettings | None = None


class TokenSettings(Struct, frozen=True, kw_only=True):
    """How long bearer tokens hold, whether clients get refresh tokens, and how long those hold."""

    lifetime_seconds: int = 300
    refresh: bool = False
    refresh_seconds: int = limits.REFRESH_TOKEN_SECONDS


class PromotionSettings(Struct, frozen=True, kw_only=True):
    """``pointer`` is the tag of what a stage holds, ``suffixes`` of tags pushed to the first stage mean a stage each,
    ``wait_seconds`` is how long a promotion waits for approvals."""

    pointer: Tag | None = POINTER
    suffixes: Mapping[str, str] = field(default_factory=dict)
    wait_seconds: int = WAIT_SECONDS


class BoardSettings(Struct, frozen=True, kw_only=True):
    """``skip`` are patterns of tags that are on their way to no stage; ``stale_seconds`` is when a report of what runs
    counts as old."""

    skip: tuple[str, ...] = ("branch-*", "buildcache*")
    stale_seconds: int = 3600


class AuditSettings(Struct, frozen=True, kw_only=True):
    """What the record tells besides changes: ``pulls`` is ``none``, ``sampled`` (one of ``sample``) or ``all``.
    ``keep_seconds`` is for how long events are kept, None for ever."""

    pulls: str = "none"
    sample: int = 100
    keep_seconds: int | None = None

    @property
    def every(self) -> int:
        """One of how many pulls is told; 0 for none."""
        return {"none": 0, "sampled": self.sample, "all": 1}[self.pulls]


class Settings(Struct, frozen=True, kw_only=True):
    """The whole configuration. ``repositories`` and ``stages`` are in the order of the file.

    ``source`` is the file's name for sentences, ``digest`` that of its bytes, ``lines`` the line of each key by its
    dotted path (``repositories.docker-group.members``); none of them counts when two of these are compared.
    """

    data: Path
    listen: Address
    external_url: str
    database: None = None
    blobs: None = None
    tls: TlsSettings | None = None
    redirect_from: Address | None = None
    trusted_proxies: tuple[Network, ...] = ()
    stages: tuple[Stage, ...] = ()
    repositories: Mapping[RepositoryName, RepositorySettings] = field(default_factory=dict)
    accounts: Mapping[str, AccountSettings] = field(default_factory=dict)
    roles: Mapping[str, Rules] = field(default_factory=dict)
    vault: VaultSection | None = None
    grace_seconds: int = 3600
    services: Catalogue = field(default_factory=Catalogue)
    naming: tuple[NamingRule, ...] = ()
    tags: Strategy = BUILT_IN
    trust: Mapping[str, TrustSettings] = field(default_factory=dict)
    anonymous: str = "none"
    tokens: TokenSettings = field(default_factory=TokenSettings)
    reclaim: ReclaimSettings = field(default_factory=ReclaimSettings)
    expiry: ExpirySettings = field(default_factory=ExpirySettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    log_format: str = "text"
    audit: AuditSettings = field(default_factory=AuditSettings)
    promotion: PromotionSettings = field(default_factory=PromotionSettings)
    board: BoardSettings = field(default_factory=BoardSettings)
    sign_in: SignInSettings = field(default_factory=SignInSettings)
    workers: int = 1
    digest: str = ""
    source: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)

    @property
    def train(self) -> Train:
        """The stages, and how images go from one to the next."""
        promotion = self.promotion
        return Train(self.stages, promotion.pointer, promotion.suffixes, promotion.wait_seconds)

    @property
    def external(self) -> Address:
        """Host and port of ``external_url``, the scheme's own port if it names none."""
        parts = urlsplit(self.external_url)
        return Address(parts.hostname or "", parts.port or _SCHEME_PORTS[parts.scheme])

    def external_of(self, repository: RepositorySettings) -> Address | None:
        """How people reach a repository's own port; None if it has none."""
        if repository.external is not None or repository.listen is None:
            return repository.external
        return Address(self.external.host, repository.listen.port)

    def listeners(self) -> Iterator[tuple[Address, RepositoryName | None]]:
        """Every port that serves images: the main one first (None), then each repository's own."""
        yield self.listen, None
        for name, repository in self.repositories.items():
            if repository.listen is not None:
                yield repository.listen, name
