"""Jobs without a password: an id_token in its place, and trust rules that say what follows from its claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from pierhead.adapters.oidc.ring import KeyRing
from pierhead.adapters.oidc.token import NotAccepted, Token, check, read, verify
from pierhead.domain.access import Principal
from pierhead.domain.refusals import shown
from pierhead.domain.refusals_id_tokens import TokenNotAccepted, TokenNotTrusted
from pierhead.domain.trust import TrustRule, holding, looked_at, subject_of, texts_at, why_none
from pierhead.ports.clock import Clock
from pierhead.ports.identity import Checked, Credential, NotMine

# What the audit is told, by the claims of GitLab and GitHub; the first that is there counts.
_TOLD: Final[Mapping[str, tuple[str, ...]]] = {
    "subject": ("sub",),
    "project_path": ("project_path", "repository"),
    "ref": ("ref",),
    "ref_type": ("ref_type",),
    "environment": ("environment",),
    "user": ("user_login", "actor"),
    "pipeline": ("pipeline_id", "run_id"),
    "job": ("job_id",),
    "commit": ("sha",),
    "token": ("jti",),
}
_GITHUB: Final = "https://token.actions.githubusercontent.com"


class Issuer(Struct, frozen=True):
    """One issuer that is trusted. ``where`` is its key in the config, for sentences; ``url`` its `iss`, exactly."""

    name: str
    where: str
    url: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...]
    leeway: float
    rules: tuple[TrustRule, ...]
    ring: KeyRing


class IdTokens:
    """Implements ``ports.identity.IdentitySource`` for tokens of ``issuers``, of which no two have the same URL."""

    def __init__(self, issuers: Sequence[Issuer], clock: Clock) -> None:
        self._issuers = {one.url: one for one in issuers}
        self._clock = clock

    async def verify(self, credential: Credential) -> Principal | Checked | NotMine:
        """No key is asked for on behalf of a token that would be refused with any key."""
        if not credential.is_id_token:
            return NotMine()
        told: dict[str, object] = {"how": "id_token"}
        try:
            return await self._checked(read(credential.password), told)
        except NotAccepted as fault:
            raise TokenNotAccepted(fault.why, fault.about, told) from None

    async def _checked(self, token: Token, told: dict[str, object]) -> Checked:
        """``told`` gets the issuer once that is one of ours. Raises NotAccepted, Unavailable, TokenNotTrusted."""
        issuer = self._issuers.get(token.issuer) if isinstance(token.issuer, str) else None
        if issuer is None:
            raise NotAccepted(f"nobody is trusted here under its issuer, {shown(str(token.issuer))} (`iss`)", "iss")
        told["issuer"] = issuer.url
        left = check(
            token,
            audiences=issuer.audiences,
            algorithms=issuer.algorithms,
            now=self._clock.now() / 1_000_000,
            leeway=issuer.leeway,
        )
        key = await issuer.ring.key(token.key_id, token.algorithm)
        if key is None:
            again = issuer.ring.seconds_until_asked()
            raise NotAccepted(
                f"{issuer.url} has no such key (`kid`). If it is new, it is known here in {again} s at most", "kid"
            )
        verify(token, key)
        name = f"{issuer.name}:{subject_of(token.claims)}"
        rules = holding(issuer.rules, token.claims)
        if not rules:
            why = why_none(issuer.rules, token.claims)
            told = {"name": name, **_through(issuer, token, ())}
            raise TokenNotTrusted(issuer.where, why, looked_at(issuer.rules), told)
        given = tuple(dict.fromkeys(rule.rule for rule in rules))
        return Checked(Principal(name, given, through=_through(issuer, token, rules)), left)


def _through(issuer: Issuer, token: Token, rules: Sequence[TrustRule]) -> dict[str, object]:
    told: dict[str, object] = {"how": "id_token", "issuer": issuer.url, "rules": [rule.name for rule in rules]}
    for word, claims in _TOLD.items():
        said = next((texts for claim in claims if (texts := texts_at(token.claims, (claim,)))), ())
        if said:
            told[word] = shown(said[0])
    if "project_path" in told and "job" in told:
        told["job"] = f"{issuer.url}/{told['project_path']}/-/jobs/{told['job']}"
    elif issuer.url == _GITHUB and "project_path" in told and "pipeline" in told:
        told["job"] = f"https://github.com/{told['project_path']}/actions/runs/{told['pipeline']}"
    return told
