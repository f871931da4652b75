"""Who was signed in once, as they are now; and how long that holds by the configuration."""

from __future__ import annotations

import hashlib

from pierhead.boot.first_start import known_admin_hash
from pierhead.boot.logins import Logins
from pierhead.boot.settings import Settings
from pierhead.domain.refusals import Unavailable
from pierhead.faces.door.visitors import SessionRules
from pierhead.ports.identity import Known
from pierhead.ports.metadata.store import Store
from pierhead.repositories.directory import Origin


class SignedIn:
    """Implements ``ports.identity.People``."""

    def __init__(self, store: Store, logins: Logins) -> None:
        self._store = store
        self._logins = logins

    async def person(self, name: str) -> Known | None:
        """None for an account that is gone or disabled, whichever process did it. Where the account comes from counts
        too: one of the file that has the name of another by now did not open that one's sessions."""
        directory = self._logins.directory
        await self._logins.hashed()
        try:
            await directory.fresh()
        except Unavailable:
            pass  # a database that does not answer just now signs nobody out
        account = directory.account(name)
        if account is None or account.disabled:
            return None
        hashed = self._logins.password_of(account)
        if account.origin is Origin.BUILT_IN:
            hashed = await known_admin_hash(self._store) or hashed
        made = 0 if account.row is None else account.row.created
        mark = f"{account.origin.value}\0{made}\0{hashed or ''}"
        return Known(account.principal, hashlib.sha256(mark.encode()).digest())


def session_rules(settings: Settings) -> SessionRules:
    """Of one configuration."""
    one = settings.sign_in
    return SessionRules(settings.external_url, one.session_idle_seconds, one.session_longest_seconds)
