"""Names every adapter and puts the parts together: the only place that knows them all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pierhead.actions.refresh_token import Keeping
from pierhead.adapters.files.fills import FileFills
from pierhead.adapters.files.store import FileBlobs
from pierhead.adapters.public_keys import PemKeys
from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.boot.background import Background
from pierhead.boot.config_secrets import ResolvedSecrets, resolve_secrets
from pierhead.boot.logins import Logins
from pierhead.boot.marks import marks
from pierhead.boot.once_rules import once_rules
from pierhead.boot.people import SignedIn, session_rules
from pierhead.boot.rails import rails_of
from pierhead.boot.records import making_first, record_keys
from pierhead.boot.secret_sources import vault_warnings
from pierhead.boot.settings import GroupSettings, HostedSettings, ProxySettings, RepositorySettings, Settings
from pierhead.boot.sign_on import SingleSignOn
from pierhead.boot.tokens import TokenWorks
from pierhead.boot.trust import TrustedIssuers
from pierhead.boot.upstreams import Proxies
from pierhead.commits.audit import record_settings
from pierhead.commits.promotion_pointer import name_pointer
from pierhead.commits.upload import save_uploads
from pierhead.domain import limits
from pierhead.domain.lookup import Reserve
from pierhead.domain.names import RepositoryName
from pierhead.domain.policy import WritePolicy
from pierhead.domain.refusals import Unavailable
from pierhead.faces.door.connectors import Trust
from pierhead.faces.door.guard import Guard
from pierhead.faces.door.ids import RequestIds
from pierhead.faces.door.realm import Realm
from pierhead.faces.door.told import Told
from pierhead.faces.door.visitors import Visitors
from pierhead.faces.token.app import TokenEndpoint
from pierhead.faces.v2.app import V2
from pierhead.faces.v2.challenge import Challenger
from pierhead.jobs.keep_pulls import KeepPulls
from pierhead.jobs.keep_record import Recorder
from pierhead.jobs.loop import Loop
from pierhead.jobs.reread_passwords import RereadPasswords
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.faults import Faults
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import RepositoryRow
from pierhead.repositories.fill import Fills
from pierhead.repositories.group import Group
from pierhead.repositories.hosted import Hosted
from pierhead.repositories.kind import Repository
from pierhead.repositories.parts import Parts
from pierhead.repositories.pulls import Pulls
from pierhead.repositories.rails import Rails
from pierhead.repositories.sessions import Sessions
from pierhead.repositories.signed import SignedImages
from pierhead.repositories.table import Entry, Table

DATABASE_FILE: Final = "pierhead.db"


class KindChanged(Exception):
    """A repository of the config file was of another type when the data folder was last used."""


class House:
    """Everything that answers requests in one process. Made by ``open_house``."""

    def __init__(self, settings: Settings, parts: Parts, store: SqliteStore, blobs: FileBlobs, faults: Faults) -> None:
        self.settings = settings
        self.parts = parts
        self.store = store
        self.blobs = blobs
        fills = FileFills(blobs)
        self.proxies = Proxies(Fills(store, blobs, fills, settings.limits.blob_bytes))
        self.repositories: dict[RepositoryName, Repository] = {}
        self.pulls = Pulls()
        self.ids = RequestIds(parts.entropy)
        self.recorder = Recorder(store, parts.clock)
        self.told = Told(self.recorder, parts.clock, self.ids)
        self.guard = Guard((), parts.clock, parts.entropy, self.told)
        self.logins = Logins(store, parts.clock, parts.entropy, self.guard)
        self.sign_on = SingleSignOn(parts.clock)
        self.visitors = Visitors(store, parts.clock, parts.entropy, SignedIn(store, self.logins))
        self.background = Background(parts, fills, self.proxies, faults, self.logins.directory, self.pulls)
        self.background.more = lambda: [
            self.token_works.tending(self.guard.forget_tokens),
            making_first(self.record_keys),
            Loop("passwords", RereadPasswords(self.logins.rotating), limits.SECRET_LOOK_SECONDS),
        ]
        self._id_tokens = TrustedIssuers(parts.clock)
        self.record_keys = record_keys(settings.data, parts.clock, parts.entropy)
        self.table = Table((), "")
        self.token_works = TokenWorks(settings.data, parts.clock, parts.entropy)
        doubt = self.background.doubts.add
        self.v2 = V2(self.table, self.guard, self.ids, self._challenger(settings), self.told, doubt)
        self.token = TokenEndpoint(
            self.guard, self.token_works.issuer, self._keeping, lambda: _realm(self.settings), self.ids
        )
        self.warnings: tuple[str, ...] = ()

    def why_not_ready(self) -> str | None:
        """Why writes are refused; None if all is well."""
        return self.store.health() or self.blobs.health

    async def apply(self, settings: Settings, environ: Mapping[str, str]) -> None:
        """Makes the house what ``settings`` say; what did not change goes on. Raises KindChanged."""
        rows = await self.store.write(lambda tx: _take_over(tx, settings), vital=True)
        secrets = resolve_secrets(settings, environ)
        logins = await self.logins.prepare(settings, secrets, self.settings.data, environ)
        old = self.parts
        self.parts = _parts(settings, self.store, self.blobs, old.clock, old.entropy, old.sessions)
        self.repositories = self._repositories(settings, secrets, rows)
        await self.proxies.keep_only(
            {name: one for name, one in settings.repositories.items() if isinstance(one, ProxySettings)}
        )
        warnings = await self.logins.use(logins)
        self.settings = settings
        self.warnings = (
            *secrets.warnings,
            *warnings,
            *vault_warnings(settings, environ),
            *await self.sign_on.use(settings.sign_in.oidc, environ),
        )
        self.table = _table(settings, self.repositories, self._rails(settings, rows))
        self.table.pulls = self.pulls
        self.told.knows = lambda name: name in self.logins.directory.accounts
        self.visitors.rules = session_rules(settings)
        read_token = self.token_works.apply(settings, self.logins.directory, self.table)
        self.logins.enter(read_token, await self._id_tokens.source(settings.trust))
        self.v2.replace(self.table, self._challenger(settings))
        self.v2.tell_pulls(settings.audit.every)

    def _keeping(self) -> Keeping:
        tokens = self.settings.tokens
        clock, entropy = self.parts.clock, self.parts.entropy
        return Keeping(
            self.store, self.logins.directory, clock, entropy, on=tokens.refresh, seconds=tokens.refresh_seconds
        )

    def _rails(self, settings: Settings, rows: Mapping[RepositoryName, RepositoryRow]) -> Rails:
        signatures = SignedImages(self.store, self.blobs, PemKeys())
        return rails_of(settings, rows, self.logins.directory, signatures, self.record_keys)

    def _challenger(self, settings: Settings) -> Challenger:
        return Challenger(_realm(settings), self.token_works.service)

    def _repositories(
        self, settings: Settings, secrets: ResolvedSecrets, rows: Mapping[RepositoryName, RepositoryRow]
    ) -> dict[RepositoryName, Repository]:
        """Groups after their members; the file holds no circle, or it would not have been accepted."""
        made: dict[RepositoryName, Repository] = {}

        def make(name: RepositoryName) -> Repository:
            if name in made:
                return made[name]
            one = settings.repositories[name]
            match one:
                case HostedSettings():
                    made[name] = Hosted(name, rows[name].id, self.parts)
                case ProxySettings():
                    made[name] = self.proxies.proxy(one, secrets.upstreams.get(name), rows[name], self.parts)
                case GroupSettings():
                    made[name] = Group(name, [make(member) for member in one.members], Reserve(one.reserve), self.parts)
            return made[name]

        for name in settings.repositories:
            make(name)
        return made

    async def close(self) -> None:
        """Ends what runs and closes what is open, in the order that loses nothing."""
        await self.background.stop()
        await KeepPulls(self.store, self.pulls)()
        await self.proxies.close()
        await self.sign_on.close()
        await self.logins.close()
        await self._id_tokens.close()
        await self.recorder.close()
        if rows := self.parts.sessions.take_all():
            with contextlib.suppress(Unavailable):
                await self.store.write(lambda tx: save_uploads(tx, rows), vital=True)
        await self.store.close()
        self.blobs.close()


async def open_house(
    settings: Settings, environ: Mapping[str, str], clock: Clock, entropy: Entropy, faults: Faults
) -> House:
    """Opens the data folder and everything on it.

    Raises DatabaseRefused, StoreFailed, KindChanged, OSError.
    """
    data = settings.data
    make_folder(data)
    reserve = settings.limits.reserve_bytes
    store = await SqliteStore.open(data / DATABASE_FILE, clock, faults, shared=settings.workers > 1, reserve=reserve)
    blobs = await FileBlobs.start(data, clock, entropy, faults)
    blobs.ground.health.crowded = lambda: store.reserve.away
    parts = _parts(settings, store, blobs, clock, entropy, Sessions(alone=settings.workers == 1))
    house = House(settings, parts, store, blobs, faults)
    await house.apply(settings, environ)
    return house


def _parts(
    settings: Settings, store: SqliteStore, blobs: FileBlobs, clock: Clock, entropy: Entropy, sessions: Sessions
) -> Parts:
    return Parts(
        store,
        blobs,
        clock,
        entropy,
        settings.reclaim.lease_seconds * 1_000_000,
        settings.limits.uploads_per_account,
        settings.limits.blob_bytes,
        sessions,
        settings.expiry.keep_deleted_seconds * 1_000_000,
    )


def make_folder(data: Path) -> None:
    """The data folder, open to its owner alone. Raises OSError, with a way out where the folder is another account's:
    a volume that Kubernetes mounts belongs to root, and its group may write to it."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.chmod(data, 0o700)
    except PermissionError as error:
        why = f"it belongs to another account, which alone can close it to others. Name a folder in it: {data}/pierhead"
        raise PermissionError(error.errno, why, str(data)) from error


def _realm(settings: Settings) -> Realm:
    return Realm(settings.external_url, Trust(settings.trusted_proxies))


def _take_over(tx: Tx, settings: Settings) -> dict[RepositoryName, RepositoryRow]:
    """The record tells of another configuration in the transaction that brings it into force."""
    rows = _ensure_rows(tx, settings)
    tx.pulls.begin()
    record_settings(tx, settings.source, settings.digest, marks(settings))
    name_pointer(tx, settings.promotion.pointer)
    return rows


def _ensure_rows(tx: Tx, settings: Settings) -> dict[RepositoryName, RepositoryRow]:
    rows: dict[RepositoryName, RepositoryRow] = {}
    for name, repository in settings.repositories.items():
        policy = repository.write_policy if isinstance(repository, HostedSettings) else WritePolicy.ALLOW
        once = once_rules(settings, name) if isinstance(repository, HostedSettings) else ()
        row = tx.repositories.ensure(name, _kind(repository), policy, once)
        if row.kind != _kind(repository):
            raise KindChanged(
                f"{name} was a {row.kind} repository before and cannot become a {_kind(repository)} one under the same "
                "name. Give the new one another name; what the old one holds stays."
            )
        rows[name] = row
    return rows


def _kind(settings: RepositorySettings) -> str:
    if isinstance(settings, HostedSettings):
        return "hosted"
    return "group" if isinstance(settings, GroupSettings) else "proxy"


def _table(settings: Settings, repositories: Mapping[RepositoryName, Repository], rails: Rails) -> Table:
    stages = {stage.repository: stage.name for stage in settings.stages[1:]}
    entries: list[Entry] = []
    for name, repository in settings.repositories.items():
        external = settings.external_of(repository)
        group = repository if isinstance(repository, GroupSettings) else None
        entries.append(
            Entry(
                repositories[name],
                None if external is None else str(external),
                () if group is None else group.members,
                Reserve(() if group is None else group.reserve),
                None if group is None else group.writable,
                stages.get(name, ""),
            )
        )
    return Table(entries, str(settings.external), rails, settings.tags, rails.naming)
