"""The shape of the configuration file: which keys stand where, their defaults, and how each value is read.

pydantic finds all faults of a mapping at once; what concerns several keys together is in ``config_rules.py``.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, PlainValidator

from pierhead.boot import config_claims as claims
from pierhead.boot import config_values as values
from pierhead.boot import config_values_gates as gate_values
from pierhead.boot import config_values_naming as naming_values
from pierhead.boot import config_values_tags as tag_values
from pierhead.boot import config_values_vault as vault_values
from pierhead.boot.settings import (
    Address,
    AuditSettings,
    BoardSettings,
    ExpirySettings,
    LimitSettings,
    OidcSettings,
    PromotionSettings,
    ProxySettings,
    ReclaimSettings,
    SignInSettings,
    TokenSettings,
    TrustSettings,
)
from pierhead.domain import limits
from pierhead.domain.access import Right
from pierhead.domain.catalogue import NEAR_MAX
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.naming import Action, NamePattern, NamingRule
from pierhead.domain.policy import WritePolicy
from pierhead.domain.trust import Wanted

_PROXY: Final = ProxySettings(name=RepositoryName("defaults"), upstream="")
_RECLAIM: Final = ReclaimSettings()
_LIMITS: Final = LimitSettings()
_EXPIRY: Final = ExpirySettings()
_SERVICE_ACCOUNT_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_SIGN_IN: Final = SignInSettings()
_OIDC: Final = OidcSettings(issuer="", client_id="", name="", button="")
_TOKENS: Final = TokenSettings()
_TOKEN_MIN: Final = f"{limits.TOKEN_SECONDS_MIN}s"
_TOKEN_MAX: Final = f"{limits.TOKEN_SECONDS_MAX // 3600}h"
_TRUST: Final = TrustSettings(name="defaults", issuer="", audiences=())
_AUDIT: Final = AuditSettings()
_NAMING: Final = NamingRule(name="defaults")
_PROMOTION: Final = PromotionSettings()
_BOARD: Final = BoardSettings()
_ABSENT_MAX: Final = f"{limits.ABSENT_SECONDS_MAX}s"
_ANSWER_MAX: Final = f"{limits.UPSTREAM_ANSWER_SECONDS_MAX}s"

Listen = Annotated[Address, PlainValidator(values.listen_address)]
External = Annotated[Address, PlainValidator(values.external_address)]
File = Annotated[Path, PlainValidator(values.file_path)]
PresentFile = Annotated[Path, PlainValidator(values.present_file)]
Name = Annotated[RepositoryName, PlainValidator(values.repository_name)]
Net = Annotated[IPv4Network | IPv6Network, PlainValidator(values.network)]
Place = Annotated[str, PlainValidator(values.network_or_place)]
Variable = Annotated[str, PlainValidator(values.variable)]
Switch = Annotated[bool, PlainValidator(values.switch)]
Pause = Annotated[int, PlainValidator(values.duration("1s", "3650d"))]
Mount = Annotated[str, PlainValidator(vault_values.mount)]
Text = Annotated[str, PlainValidator(values.text)]
Grace = Annotated[int, PlainValidator(values.duration("0s", "30d"))]
Age = Annotated[int, PlainValidator(values.duration("1s", "3650d"))]
Wait = Annotated[int, PlainValidator(values.duration("1s", _ANSWER_MAX))]


class Shape(BaseModel):
    """A mapping of the file: unknown keys are refused, and nothing is converted but by ``config_values``."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)


class TlsShape(Shape):
    certificate: PresentFile
    key: PresentFile


class HostedShape(Shape):
    type: str
    write_policy: Annotated[WritePolicy, PlainValidator(values.write_policy)] = WritePolicy.ALLOW
    listen: Listen | None = None
    external: External | None = None


class ProxyShape(Shape):
    type: str
    upstream: Annotated[str, PlainValidator(values.upstream_url)]
    fresh_for: Annotated[int, PlainValidator(values.duration("0s", "3650d"))] = _PROXY.fresh_for_seconds
    absent_for: Annotated[int, PlainValidator(values.duration("0s", _ABSENT_MAX))] = _PROXY.absent_for_seconds
    library: Switch | None = None
    username_env: Variable | None = None
    password_env: Variable | None = None
    ca: PresentFile | None = None
    allow_private: tuple[Place, ...] = ()
    connect_timeout: Wait = _PROXY.connect_timeout_seconds
    timeout: Wait = _PROXY.timeout_seconds
    stall_timeout: Annotated[int, PlainValidator(values.duration("1s", "10m"))] = _PROXY.stall_timeout_seconds
    listen: Listen | None = None
    external: External | None = None


class GroupShape(Shape):
    type: str
    members: tuple[Name, ...]
    reserve: tuple[Annotated[str, PlainValidator(values.reserve_pattern)], ...] = ()
    writable: Name | None = None
    listen: Listen | None = None
    external: External | None = None


class StageShape(Shape):
    repository: Name
    gates: tuple[object, ...] = ()
    follow_referrers: Switch = False


class PromotionShape(Shape):
    pointer: Annotated[str, PlainValidator(gate_values.pointer)] = _PROMOTION.pointer or ""
    suffixes: dict[str, Text] = {}
    wait: Annotated[int, PlainValidator(values.duration("1m", "365d"))] = _PROMOTION.wait_seconds


class RuleShape(Shape):
    rights: tuple[Annotated[Right, PlainValidator(values.right)], ...]
    repositories: tuple[Annotated[str, PlainValidator(values.repository_pattern)], ...] = ("*",)
    images: tuple[Annotated[str, PlainValidator(values.reserve_pattern)], ...] = ("*",)
    tags: tuple[Annotated[str, PlainValidator(values.tag_pattern)], ...] = ("*",)


class PlaceShape(Shape):
    path: Annotated[str, PlainValidator(vault_values.secret_path)]
    field: Text = "password"


class AccountShape(Shape):
    roles: tuple[Annotated[str, PlainValidator(values.role_name)], ...]
    password_env: Variable | None = None
    password_file: File | None = None
    password_hash: Annotated[str, PlainValidator(values.password_hash)] | None = None
    password_vault: PlaceShape | None = None
    grace: Grace | None = None


class AppRoleShape(Shape):
    role_id_env: Variable | None = None
    role_id_file: File | None = None
    secret_id_env: Variable | None = None
    secret_id_file: File | None = None
    mount: Mount = "approle"


class KubernetesShape(Shape):
    role: Text
    jwt_file: File = _SERVICE_ACCOUNT_TOKEN
    mount: Mount = "kubernetes"


class JwtShape(Shape):
    role: Text
    jwt_file: File
    mount: Mount = "jwt"


class VaultShape(Shape):
    address: Annotated[str, PlainValidator(vault_values.vault_url)] | None = None
    address_env: Variable | None = None
    ca: PresentFile | None = None
    namespace: Annotated[str, PlainValidator(vault_values.namespace)] | None = None
    token_env: Variable | None = None
    token_file: File | None = None
    approle: AppRoleShape | None = None
    kubernetes: KubernetesShape | None = None
    jwt: JwtShape | None = None
    reread_every: Annotated[int, PlainValidator(values.duration("5s", "1h"))] = 60
    timeout: Annotated[int, PlainValidator(values.duration("1s", "10s"))] = 5


class PasswordsShape(Shape):
    grace: Grace = 3600


class ServiceShape(Shape):
    image: Annotated[ImageName, PlainValidator(claims.image_name)]
    project_id: Annotated[str, PlainValidator(claims.id_text)] = ""
    repository_id: Annotated[str, PlainValidator(claims.id_text)] = ""
    owner: Annotated[str, PlainValidator(values.text)] = ""
    description: Annotated[str, PlainValidator(values.text)] = ""


class NamingShape(Shape):
    name: Annotated[str, PlainValidator(values.text)] = ""
    pattern: Annotated[tuple[NamePattern, ...], PlainValidator(naming_values.name_patterns)] = _NAMING.patterns
    near: Annotated[int, PlainValidator(values.count(1, NEAR_MAX))] | None = None
    action: Annotated[str, PlainValidator(values.choice(one.value for one in Action))] = _NAMING.action.value
    message: Annotated[str, PlainValidator(values.text)] = ""
    suggestion: Annotated[str, PlainValidator(values.text)] = ""
    hint: Annotated[str, PlainValidator(values.text)] = ""
    repositories: tuple[Annotated[str, PlainValidator(values.repository_pattern)], ...] = ("*",)


class TagRuleShape(Shape):
    branch: Annotated[tuple[str, ...], PlainValidator(tag_values.refs)] = ()
    merge_request: Annotated[tuple[str, ...], PlainValidator(tag_values.refs)] = ()
    tag: Annotated[tuple[str, ...], PlainValidator(tag_values.refs)] = ()
    names: tuple[Annotated[str, PlainValidator(tag_values.name)], ...] = ()
    moving: tuple[Annotated[str, PlainValidator(tag_values.plain_tag)], ...] = ()
    once: tuple[Annotated[str, PlainValidator(values.repository_pattern)], ...] = ()


class TrustShape(Shape):
    issuer: Annotated[str, PlainValidator(claims.issuer_url)]
    audience: Annotated[tuple[str, ...], PlainValidator(claims.audiences)]
    jwks: Annotated[str | Path, PlainValidator(claims.keys_place)] | None = None
    ca: PresentFile | None = None
    algorithms: tuple[Annotated[str, PlainValidator(claims.algorithm)], ...] = _TRUST.algorithms
    leeway: Annotated[int, PlainValidator(values.duration("0s", "5m"))] = _TRUST.leeway_seconds
    fresh_for: Annotated[int, PlainValidator(values.duration("1m", "24h"))] = _TRUST.fresh_for_seconds
    rules: tuple[object, ...]


class TrustRuleShape(Shape):
    """``claims`` and ``images`` may hold ``{service.…}``: then there is one rule for each service."""

    name: Annotated[str, PlainValidator(values.text)] = ""
    claims: Annotated[tuple[Wanted, ...], PlainValidator(claims.exact)]
    like: Annotated[tuple[Wanted, ...], PlainValidator(claims.patterned)] = ()
    rights: tuple[Annotated[Right, PlainValidator(claims.job_right)], ...]
    repositories: tuple[Annotated[str, PlainValidator(values.repository_pattern)], ...] = ("*",)
    images: tuple[Annotated[str, PlainValidator(claims.templated(values.reserve_pattern))], ...] = ("*",)
    tags: tuple[Annotated[str, PlainValidator(values.tag_pattern)], ...] = ("*",)


class ReclaimShape(Shape):
    lease: Pause = _RECLAIM.lease_seconds
    quarantine: Pause = _RECLAIM.quarantine_seconds
    every: Pause = _RECLAIM.every_seconds
    uploads: Pause = _RECLAIM.uploads_seconds


class ExpiryRuleShape(Shape):
    images: tuple[Annotated[str, PlainValidator(values.reserve_pattern)], ...] = ("*",)
    tags: tuple[Annotated[str, PlainValidator(values.tag_pattern)], ...] | None = None
    unused: Age | None = None
    older: Age | None = None
    newest: Annotated[int, PlainValidator(values.count(1, 100_000))] | None = None
    keep: Switch = False
    untagged: Age | None = None
    build_caches: Annotated[int, PlainValidator(values.size("1MB", "1024TiB"))] | None = None


class ExpiryShape(Shape):
    keep_deleted: Annotated[int, PlainValidator(values.duration("0s", "3650d"))] = _EXPIRY.keep_deleted_seconds
    every: Annotated[int, PlainValidator(values.duration("1s", "7d"))] = _EXPIRY.every_seconds
    repositories: dict[str, object] = {}


class TokensShape(Shape):
    lifetime: Annotated[int, PlainValidator(values.duration(_TOKEN_MIN, _TOKEN_MAX))] = _TOKENS.lifetime_seconds
    refresh: Switch = _TOKENS.refresh
    refresh_lifetime: Annotated[int, PlainValidator(values.duration("1d", "3650d"))] = _TOKENS.refresh_seconds


class LogShape(Shape):
    format: Annotated[str, PlainValidator(values.choice(("text", "json")))] = "text"


class AuditShape(Shape):
    pulls: Annotated[str, PlainValidator(values.choice(("none", "sampled", "all")))] = _AUDIT.pulls
    sample: Annotated[int, PlainValidator(values.count(2, 1_000_000))] = _AUDIT.sample


class BoardShape(Shape):
    skip: tuple[Annotated[str, PlainValidator(values.tag_pattern)], ...] = _BOARD.skip
    stale_after: Annotated[int, PlainValidator(values.duration("1m", "365d"))] = _BOARD.stale_seconds


class LimitsShape(Shape):
    uploads_per_account: Annotated[int, PlainValidator(values.count(1, 1_000_000))] = _LIMITS.uploads_per_account
    blob_bytes: Annotated[int, PlainValidator(values.size("1MiB", "16TiB"))] = _LIMITS.blob_bytes
    connections: Annotated[int, PlainValidator(values.count(10, 1_000_000))] = _LIMITS.connections
    drain: Annotated[int, PlainValidator(values.duration("1s", "10m"))] = _LIMITS.drain_seconds
    reserve_bytes: Annotated[int, PlainValidator(values.size("0B", "16GiB"))] = _LIMITS.reserve_bytes


class OidcShape(Shape):
    issuer: Annotated[str, PlainValidator(values.issuer_url)]
    client_id: Annotated[str, PlainValidator(values.text)]
    client_secret_env: Variable | None = None
    name: Annotated[str, PlainValidator(values.text)] | None = None
    button: Annotated[str, PlainValidator(values.text)] | None = None
    scopes: tuple[Annotated[str, PlainValidator(values.scope)], ...] = _OIDC.scopes
    groups_claim: Annotated[str, PlainValidator(values.text)] = _OIDC.groups_claim
    name_claim: Annotated[str, PlainValidator(values.text)] = _OIDC.name_claim
    roles: dict[str, tuple[Annotated[str, PlainValidator(values.role_name)], ...]] = {}
    ca: PresentFile | None = None


class SignInShape(Shape):
    session_idle: Annotated[int, PlainValidator(values.duration("1m", "365d"))] = _SIGN_IN.session_idle_seconds
    session_longest: Annotated[int, PlainValidator(values.duration("1m", "365d"))] = _SIGN_IN.session_longest_seconds
    oidc: OidcShape | None = None


class TopShape(Shape):
    """The keys at the margin. What stands under most of those that are mappings is read one by one."""

    listen: Listen = Address("127.0.0.1", 8081)
    external_url: Annotated[str, PlainValidator(values.external_url)] | None = None
    data: File = Path("data")
    database: Annotated[
        None, PlainValidator(values.later("PostgreSQL", "Leave the key out: rows are kept in SQLite under `data`."))
    ] = None
    blobs: Annotated[
        None, PlainValidator(values.later("S3", "Leave the key out: blobs are kept in files under `data`."))
    ] = None
    tls: TlsShape | None = None
    redirect_from: Listen | None = None
    trusted_proxies: tuple[Net, ...] = ()
    stages: dict[str, object] = {}
    promotion: PromotionShape = PromotionShape()
    repositories: dict[str, object] = {}
    accounts: dict[str, object] = {}
    roles: dict[str, object] = {}
    vault: VaultShape | None = None
    passwords: PasswordsShape = PasswordsShape()
    anonymous: Annotated[str, PlainValidator(values.choice(("none", "pull")))] = "none"
    tokens: TokensShape = TokensShape()
    services: Annotated[dict[str, object] | Path, PlainValidator(naming_values.services)] = {}
    naming: tuple[object, ...] = ()
    tags: dict[str, object] = {}
    trust: dict[str, object] = {}
    reclaim: ReclaimShape = ReclaimShape()
    expiry: ExpiryShape = ExpiryShape()
    log: LogShape = LogShape()
    audit: AuditShape = AuditShape()
    board: BoardShape = BoardShape()
    sign_in: SignInShape = SignInShape()
    limits: LimitsShape = LimitsShape()
    workers: Annotated[int, PlainValidator(values.count(1, 64))] = 1


REPOSITORY_SHAPES: Final[dict[str, type[HostedShape] | type[ProxyShape] | type[GroupShape]]] = {
    "hosted": HostedShape,
    "proxy": ProxyShape,
    "group": GroupShape,
}
SHAPES: Final[tuple[type[Shape], ...]] = (
    TopShape,
    TlsShape,
    StageShape,
    PromotionShape,
    HostedShape,
    ProxyShape,
    GroupShape,
    RuleShape,
    PlaceShape,
    AccountShape,
    AppRoleShape,
    KubernetesShape,
    JwtShape,
    VaultShape,
    PasswordsShape,
    ServiceShape,
    NamingShape,
    TagRuleShape,
    TrustShape,
    TrustRuleShape,
    ReclaimShape,
    ExpiryShape,
    ExpiryRuleShape,
    TokensShape,
    LogShape,
    AuditShape,
    BoardShape,
    LimitsShape,
    OidcShape,
    SignInShape,
)
