"""Single sign-on out of settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pierhead.boot.settings import OidcSettings
from pierhead.ports.clock import Clock

if TYPE_CHECKING:
    from pierhead.adapters.oidc.signon import Client, OidcSignOn
    from pierhead.faces.web.visit import Provider


class SingleSignOn:
    """What the provider said is remembered while its settings stay the same."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._made: tuple[Client, OidcSignOn] | None = None
        self.provider: Provider | None = None

    async def use(self, settings: OidcSettings | None, environ: Mapping[str, str]) -> tuple[str, ...]:
        """This holds from now on. Returns warnings; without its secret, single sign-on is switched off."""
        secret = None
        warnings: tuple[str, ...] = ()
        if settings is not None and settings.client_secret_env is not None:
            secret = environ.get(settings.client_secret_env) or None
            if secret is None:
                warnings = (f"Nobody can sign in at {settings.name}: {settings.client_secret_env} is not set. Set it.",)
                settings = None
        if settings is None:
            await self.close()
            return warnings
        from pierhead.adapters.oidc.signon import Client, OidcSignOn
        from pierhead.faces.web.visit import Provider

        client = Client(
            issuer=settings.issuer,
            client_id=settings.client_id,
            name=settings.name,
            scopes=settings.scopes,
            name_claim=settings.name_claim,
            groups_claim=settings.groups_claim,
            secret=secret,
            ca=settings.ca,
        )
        if self._made is None or self._made[0] != client:
            await self.close()
            self._made = (client, OidcSignOn(client, self._clock))
        self.provider = Provider(settings.name, settings.button, settings.issuer, settings.roles, self._made[1])
        return warnings

    async def close(self) -> None:
        """Ends what is under way."""
        if self._made is not None:
            await self._made[1].close()
        self._made = None
        self.provider = None
