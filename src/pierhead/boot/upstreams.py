"""Proxies out of settings: each with a client of its own, kept while its settings stay what they are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from pierhead.adapters.upstream.client import RegistryUpstream
from pierhead.boot.config_secrets import UpstreamCredential
from pierhead.boot.settings import ProxySettings
from pierhead.domain import limits
from pierhead.domain.names import RepositoryName
from pierhead.ports.metadata.values import RepositoryRow
from pierhead.ports.upstream import Upstream, UpstreamSettings
from pierhead.repositories.fill import Fills
from pierhead.repositories.parts import Parts
from pierhead.repositories.proxy import CacheSettings, Proxy

# The background looks every second or so which upstream is to be probed (jobs/refresh_cache).
_PROBE_AWAITED_SECONDS = 20.0
_ANSWER_SECONDS_MAX = limits.UPSTREAM_ANSWER_SECONDS_MAX - 0.5


class Proxies:
    """Makes proxies and remembers them by name, so that rereading the file costs no warm connection."""

    def __init__(self, fills: Fills) -> None:
        self._fills = fills
        self._kept: dict[RepositoryName, tuple[tuple[ProxySettings, bytes], UpstreamCredential | None, Proxy]] = {}
        # Those whose place another has, or nobody: what they fetch just now comes to its end.
        self._former: list[Proxy] = []

    @property
    def upstreams(self) -> list[Upstream]:
        """Of all proxies that there are now."""
        return [proxy.upstream for _, _, proxy in self._kept.values()]

    @property
    def proxies(self) -> list[Proxy]:
        """All that there are now."""
        return [proxy for _, _, proxy in self._kept.values()]

    def proxy(
        self, settings: ProxySettings, credential: UpstreamCredential | None, row: RepositoryRow, parts: Parts
    ) -> Proxy:
        """The one that there is, with new credentials if they changed; a new one if its settings or authorities did."""
        known = self._kept.get(settings.name)
        whole = (settings, b"" if settings.ca is None else settings.ca.read_bytes())
        if known is not None and known[0] == whole:
            if known[1] != credential:
                username, password = (
                    ("", "") if credential is None else (credential.username, credential.password.value)
                )
                known[2].renew(username, password)
        else:
            upstream = RegistryUpstream(_upstream(settings, credential), parts.clock, parts.entropy)
            cache = CacheSettings(settings.fresh_for_seconds, settings.absent_for_seconds, settings.library)
            if known is not None:
                self._former.append(known[2])
            known = (whole, credential, Proxy(settings.name, row.id, upstream, self._fills, parts, cache))
        self._kept[settings.name] = (whole, credential, known[2])
        return known[2]

    async def keep_only(self, names: Mapping[RepositoryName, object]) -> None:
        """Forgets proxies that the file stopped naming, and closes former ones as soon as nobody waits for them.

        Connections that are closed under a fetch would leave it, and all who read along, without an end.
        """
        self._former += [self._kept.pop(name)[2] for name in list(self._kept) if name not in names]
        idle = [proxy for proxy in self._former if not proxy.asks]
        self._former = [proxy for proxy in self._former if proxy not in idle]
        await asyncio.gather(*(proxy.upstream.aclose() for proxy in idle))

    async def close(self) -> None:
        """Ends fills, then connections."""
        await self._fills.close()
        everybody = [*self._former, *self.proxies]
        self._former.clear()
        self._kept.clear()
        await asyncio.gather(*(proxy.upstream.aclose() for proxy in everybody))


def _upstream(settings: ProxySettings, credential: UpstreamCredential | None) -> UpstreamSettings:
    return UpstreamSettings(
        url=settings.upstream,
        username="" if credential is None else credential.username,
        password="" if credential is None else credential.password.value,
        ca=None if settings.ca is None else str(settings.ca),
        allow_private=settings.allow_private,
        connect_seconds=settings.connect_timeout_seconds,
        answer_seconds=min(settings.timeout_seconds, _ANSWER_SECONDS_MAX),
        stall_seconds=settings.stall_timeout_seconds,
        probe_awaited_seconds=_PROBE_AWAITED_SECONDS,
    )
