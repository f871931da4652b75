"""What promotion needs to know besides the database, put together."""

from __future__ import annotations

from collections.abc import Mapping

from pierhead.boot.settings import HostedSettings, Settings
from pierhead.commits.promotion_record import recording
from pierhead.domain.names import RepositoryName
from pierhead.domain.naming import Naming
from pierhead.ports.metadata.values import RepositoryRow
from pierhead.ports.record_keys import RecordSigner
from pierhead.ports.signatures import Signatures
from pierhead.repositories.directory import Directory
from pierhead.repositories.rails import Rails


def rails_of(
    settings: Settings,
    rows: Mapping[RepositoryName, RepositoryRow],
    directory: Directory,
    signatures: Signatures,
    signer: RecordSigner,
) -> Rails:
    """Roles are looked up as they are at the moment of asking; ``signer`` signs the record of each promotion."""

    def roles_of(account: str) -> tuple[str, ...]:
        found = directory.account(account)
        return () if found is None or found.disabled else found.roles

    naming = Naming(settings.naming, settings.services)
    ids = {name: rows[name].id for name, one in settings.repositories.items() if isinstance(one, HostedSettings)}
    return Rails(settings.train, ids, signatures, roles_of, recording(signer), naming)
