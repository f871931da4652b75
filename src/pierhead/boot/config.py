"""The configuration file: YAML -> Settings, or every fault of the file at once, each with its key and line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from pierhead.boot import config_rules as rules
from pierhead.boot import config_trust as trust
from pierhead.boot import config_values as values
from pierhead.boot.config_expiry import expiry_of
from pierhead.boot.config_faults import ConfigFaults, Faults, Path, Wrong, did_you_mean, dotted
from pierhead.boot.config_fit import fit, fit_value
from pierhead.boot.config_gates import promotion_of, stage_gates
from pierhead.boot.config_naming import naming_of
from pierhead.boot.config_services import services_of
from pierhead.boot.config_shape import (
    REPOSITORY_SHAPES,
    AccountShape,
    GroupShape,
    HostedShape,
    ProxyShape,
    RuleShape,
    StageShape,
    TopShape,
)
from pierhead.boot.config_sign_in import check_sign_in, sign_in_of
from pierhead.boot.config_tags import strategy
from pierhead.boot.config_tree import BYTES_MAX, Tree, read_tree
from pierhead.boot.config_vault import check_places, place_of, vault_section
from pierhead.boot.settings import (
    AccountSettings,
    Address,
    AuditSettings,
    BoardSettings,
    GroupSettings,
    HostedSettings,
    LimitSettings,
    ProxySettings,
    ReclaimSettings,
    RepositorySettings,
    Settings,
    Stage,
    TlsSettings,
    TokenSettings,
)
from pierhead.domain.access import Rule, Rules
from pierhead.domain.digest import Digest
from pierhead.domain.names import RepositoryName
from pierhead.domain.patterns import Patterns, TagPatterns
from pierhead.domain.promotion import with_own_gate

__all__ = ["ConfigFaults", "load", "parse"]

_LISTEN_OPTION: Final[Path] = ("--listen",)
_OF_NAMES: Final = ("listen", "external_url", "repositories", "services", "naming")


def load(path: FilePath, *, data: str | FilePath | None = None, listen: str | None = None) -> Settings:
    """Reads the file at ``path``; ``data`` (a folder) and ``listen`` (``HOST:PORT``) override what stands in it.

    Raises ConfigFaults with one line per fault. Blocks: reads files, and a large file takes a while to parse.
    """
    return parse(read(path), path.name, data=data, listen=listen)


def read(path: FilePath) -> bytes:
    """The content for ``parse``, one byte more than is allowed at most. Raises ConfigFaults. Blocks."""
    try:
        with open(path, "rb") as file:
            return file.read(BYTES_MAX + 1)
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        raise ConfigFaults([f"{path}: cannot be read: {reason}. Give the file with --config FILE."]) from None


def parse(content: bytes, source: str, *, data: str | FilePath | None = None, listen: str | None = None) -> Settings:
    """The same for bytes in hand; ``source`` is what sentences call them. Raises ConfigFaults."""
    tree = read_tree(content, source)
    return _Assembly(tree, source, content).settings(data, listen)


def load_names(path: FilePath | None) -> Settings:
    """What concerns names and ports alone, of the file at ``path`` or of the built-in default: its certificates and
    secrets are another machine's. Raises ConfigFaults. Blocks.
    """
    from pierhead.boot.default import DEFAULT_YAML

    content, source = (DEFAULT_YAML.encode(), "the built-in default") if path is None else (read(path), path.name)
    tree = read_tree(content, source)
    tree.root = {key: value for key, value in tree.root.items() if key in _OF_NAMES}
    tree.lines = {where: line for where, line in tree.lines.items() if where[0] in _OF_NAMES}
    tree.complaints = [one for one in tree.complaints if one[1][:1] and one[1][0] in _OF_NAMES]
    repositories = tree.root.get("repositories")
    for one in repositories.values() if isinstance(repositories, dict) else ():
        if isinstance(one, dict):
            one.pop("ca", None)
    return _Assembly(tree, source, content).settings(None, None)


class _Repositories(Struct, frozen=True):
    """``named``: every repository of the file, faulty ones too; ``known``: those that could be read. In its order."""

    named: Mapping[str, object]
    known: Mapping[RepositoryName, RepositorySettings]


class _Assembly:
    """One file on its way to Settings: shapes first, then what several keys must hold together."""

    def __init__(self, tree: Tree, source: str, content: bytes) -> None:
        self._content = content
        self._tree = tree
        self._source = source
        self._faults = Faults(source, tree.lines)
        for line, path, sentence in tree.complaints:
            self._faults.add(path, sentence, line=line)

    def settings(self, data: str | FilePath | None, listen: str | None) -> Settings:
        top = fit(TopShape, self._tree.root, (), self._faults, self._tree.lines) or TopShape()
        main, main_key = self._main(top, listen)
        folder = self._data(top, data)
        repositories = self._repositories(top)
        accounts = self._accounts(top)
        roles = self._roles(top)
        stages = self._stages(top)
        vault = vault_section(top.vault, self._faults)
        check_places(accounts, self._faults.written(("vault",)), self._faults)
        services, in_own_file = services_of(top, self._faults, self._tree.lines)
        naming = naming_of(top, services, repositories.named, self._faults, self._tree.lines)
        tags = strategy(top, repositories.named, self._faults, self._tree.lines)
        trusted = trust.trusted(top, services, repositories.named, self._faults, self._tree.lines)
        tls = None if top.tls is None else TlsSettings(top.tls.certificate, top.tls.key)
        external_url = top.external_url or _url_of(main, tls is not None)
        promotion = promotion_of(top.promotion, [stage for _, stage in stages], self._faults)
        self._check(top, main_key, main, repositories, stages, accounts)
        rules.check_roles(accounts, roles, top.roles, repositories.named, self._faults)
        check_sign_in(top.sign_in, top.roles, self._faults)
        found = [stage for _, stage in stages]
        expiry = expiry_of(top, repositories.known, repositories.named, found, self._faults, self._tree.lines)
        self._faults.raise_if_any()
        return Settings(
            data=folder,
            listen=main,
            external_url=external_url,
            tls=tls,
            redirect_from=top.redirect_from,
            trusted_proxies=top.trusted_proxies,
            stages=tuple(stage for _, stage in stages),
            repositories=repositories.known,
            accounts=accounts,
            roles=roles,
            vault=vault,
            grace_seconds=top.passwords.grace,
            services=services,
            naming=naming,
            tags=tags,
            trust=trusted,
            anonymous=top.anonymous,
            tokens=TokenSettings(
                lifetime_seconds=top.tokens.lifetime,
                refresh=top.tokens.refresh,
                refresh_seconds=top.tokens.refresh_lifetime,
            ),
            reclaim=ReclaimSettings(
                lease_seconds=top.reclaim.lease,
                quarantine_seconds=top.reclaim.quarantine,
                every_seconds=top.reclaim.every,
                uploads_seconds=top.reclaim.uploads,
            ),
            expiry=expiry,
            limits=LimitSettings(
                uploads_per_account=top.limits.uploads_per_account,
                blob_bytes=top.limits.blob_bytes,
                connections=top.limits.connections,
                drain_seconds=top.limits.drain,
                reserve_bytes=top.limits.reserve_bytes,
            ),
            log_format=top.log.format,
            audit=AuditSettings(pulls=top.audit.pulls, sample=top.audit.sample, keep_seconds=top.audit.keep),
            promotion=promotion,
            board=BoardSettings(skip=top.board.skip, stale_seconds=top.board.stale_after),
            sign_in=sign_in_of(top.sign_in),
            workers=top.workers,
            digest=Digest.of(self._content + in_own_file),
            source=self._source,
            lines={dotted(path): line for path, line in self._tree.lines.items()},
        )

    def _main(self, top: TopShape, listen: str | None) -> tuple[Address, Path]:
        if listen is None:
            return top.listen, ("listen",)
        try:
            return values.listen_address(listen), _LISTEN_OPTION
        except Wrong as wrong:
            raise ConfigFaults([f"`--listen {listen}` {wrong.sentence}"]) from None

    def _data(self, top: TopShape, data: str | FilePath | None) -> FilePath:
        if data is None:
            return top.data.absolute()
        try:
            return values.file_path(str(data))
        except Wrong as wrong:
            raise ConfigFaults([f"`--data {data}` {wrong.sentence}"]) from None

    def _repositories(self, top: TopShape) -> _Repositories:
        known: dict[RepositoryName, RepositorySettings] = {}
        for text, value in top.repositories.items():
            path: Path = ("repositories", text)
            name = fit_value(values.repository_name, text, path, self._faults)
            found = self._repository(path, name or RepositoryName("unnamed"), value)
            if name is not None and found is not None:
                known[name] = found
        return _Repositories(top.repositories, known)

    def _repository(self, path: Path, name: RepositoryName, value: object) -> RepositorySettings | None:
        faults, lines = self._faults, self._tree.lines
        if not isinstance(value, dict):
            faults.add(path, "must be a mapping, such as {type: hosted}.", value)
            return None
        kind = value.get("type")
        if kind is None:
            if (*path, "type") not in lines:
                faults.add(path, "lacks `type`: hosted, proxy or group.")
            return None
        if not isinstance(kind, str) or kind not in REPOSITORY_SHAPES:
            hint = did_you_mean(kind, REPOSITORY_SHAPES) if isinstance(kind, str) else ""
            faults.add((*path, "type"), f"is unknown.{hint or ' Known: hosted, proxy, group.'}", kind)
            return None
        shape = fit(REPOSITORY_SHAPES[kind], value, path, faults, lines)
        if isinstance(shape, HostedShape):
            return HostedSettings(
                name=name, write_policy=shape.write_policy, listen=shape.listen, external=shape.external
            )
        if isinstance(shape, ProxyShape):
            return _proxy(name, shape)
        if isinstance(shape, GroupShape):
            return GroupSettings(
                name=name,
                members=shape.members,
                reserve=shape.reserve,
                writable=shape.writable,
                listen=shape.listen,
                external=shape.external,
            )
        return None

    def _accounts(self, top: TopShape) -> dict[str, AccountSettings]:
        accounts: dict[str, AccountSettings] = {}
        for text, value in top.accounts.items():
            path: Path = ("accounts", text)
            name = fit_value(values.account_name, text, path, self._faults)
            shape = fit(AccountShape, value, path, self._faults, self._tree.lines)
            if name is not None and shape is not None:
                accounts[name] = AccountSettings(
                    name=name,
                    roles=shape.roles,
                    password_env=shape.password_env,
                    password_file=shape.password_file,
                    password_hash=shape.password_hash,
                    password_vault=place_of(shape.password_vault),
                    grace_seconds=shape.grace,
                )
        return accounts

    def _roles(self, top: TopShape) -> dict[str, Rules]:
        roles: dict[str, Rules] = {}
        for text, value in top.roles.items():
            path: Path = ("roles", text)
            name = fit_value(values.own_role_name, text, path, self._faults)
            if not isinstance(value, list) or not value:
                self._faults.add(path, "must be a list of rules, such as [{rights: [pull]}].", value)
                continue
            shapes = [fit(RuleShape, one, (*path, at), self._faults, self._tree.lines) for at, one in enumerate(value)]
            if name is not None:
                roles[name] = tuple(_rule(shape) for shape in shapes if shape is not None)
        return roles

    def _stages(self, top: TopShape) -> list[tuple[Path, Stage]]:
        stages: list[tuple[Path, Stage]] = []
        for text, value in top.stages.items():
            path: Path = ("stages", text)
            name = fit_value(values.stage_name, text, path, self._faults)
            written = {"repository": value} if isinstance(value, str) else value
            shape = fit(StageShape, written, path, self._faults, self._tree.lines)
            if name is not None and shape is not None:
                gates = stage_gates(shape, path, top.roles, self._faults, self._tree.lines)
                first = not stages
                stages.append(
                    (path, Stage(name, shape.repository, with_own_gate(gates, first=first), shape.follow_referrers))
                )
        return stages

    def _check(
        self,
        top: TopShape,
        main_key: Path,
        main: Address,
        repositories: _Repositories,
        stages: list[tuple[Path, Stage]],
        accounts: Mapping[str, AccountSettings],
    ) -> None:
        faults, known = self._faults, repositories.known
        listeners: list[tuple[Path, Address]] = [(main_key, main)]
        if top.redirect_from is not None:
            listeners.append((("redirect_from",), top.redirect_from))
        for name, repository in known.items():
            if repository.listen is not None:
                listeners.append((("repositories", name, "listen"), repository.listen))
        tls = None if top.tls is None else TlsSettings(top.tls.certificate, top.tls.key)
        rules.check_listeners(listeners, faults)
        rules.check_external(known, faults)
        rules.check_tls(tls, top.external_url, faults)
        rules.check_groups(known, repositories.named, faults)
        rules.check_stages(stages, known, repositories.named, faults)
        rules.check_proxies(known, listeners, faults)
        rules.check_accounts(accounts, faults)


def _url_of(listen: Address, secure: bool) -> str:
    """How people reach the main port when the file does not say it: where it listens, or the loopback address."""
    host = "127.0.0.1" if listen.is_wildcard else listen.host
    return f"{'https' if secure else 'http'}://{Address(host, listen.port)}"


def _rule(shape: RuleShape) -> Rule:
    return Rule(
        frozenset(shape.rights),
        repositories=Patterns(shape.repositories),
        images=Patterns(shape.images),
        tags=TagPatterns(shape.tags),
    )


def _proxy(name: RepositoryName, shape: ProxyShape) -> ProxySettings:
    host = urlsplit(shape.upstream).hostname
    return ProxySettings(
        name=name,
        upstream=shape.upstream,
        fresh_for_seconds=shape.fresh_for,
        absent_for_seconds=shape.absent_for,
        library=host in values.DOCKER_HUB_HOSTS if shape.library is None else shape.library,
        username_env=shape.username_env,
        password_env=shape.password_env,
        ca=shape.ca,
        allow_private=shape.allow_private,
        connect_timeout_seconds=shape.connect_timeout,
        timeout_seconds=shape.timeout,
        stall_timeout_seconds=shape.stall_timeout,
        listen=shape.listen,
        external=shape.external,
    )
