"""``sign_in`` of the configuration file: how people sign in to the pages."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from pierhead.boot.config_faults import Faults, Path, did_you_mean
from pierhead.boot.config_shape import SignInShape
from pierhead.boot.settings import OidcSettings, SignInSettings
from pierhead.domain.access import BUILT_IN_ROLES


def check_sign_in(shape: SignInShape, named: Iterable[str], faults: Faults) -> None:
    """Groups give roles that there are (``named`` are those of the file), and times fit each other."""
    if shape.session_idle > shape.session_longest:
        faults.add(("sign_in", "session_idle"), "is longer than `session_longest`, so it would never count.")
    if shape.oidc is None:
        return
    known = (*BUILT_IN_ROLES, *named)
    for group, roles in shape.oidc.roles.items():
        path: Path = ("sign_in", "oidc", "roles", group)
        for at, role in enumerate(roles):
            if role not in known:
                hint = did_you_mean(role, known) or f" Known: {', '.join(known)}."
                faults.add((*path, at), f"is unknown.{hint}", role)
    if "openid" not in shape.oidc.scopes:
        faults.add(("sign_in", "oidc", "scopes"), "lacks openid, without which a provider says nothing of who it is.")


def sign_in_of(shape: SignInShape) -> SignInSettings:
    """With the provider named after its host where the file gives it no name."""
    oidc = None
    if shape.oidc is not None:
        name = shape.oidc.name or urlsplit(shape.oidc.issuer).hostname or "the provider"
        oidc = OidcSettings(
            issuer=shape.oidc.issuer,
            client_id=shape.oidc.client_id,
            client_secret_env=shape.oidc.client_secret_env,
            name=name,
            button=shape.oidc.button or f"Continue with {name}",
            scopes=shape.oidc.scopes,
            groups_claim=shape.oidc.groups_claim,
            name_claim=shape.oidc.name_claim,
            roles=shape.oidc.roles,
            ca=shape.oidc.ca,
        )
    return SignInSettings(
        session_idle_seconds=shape.session_idle, session_longest_seconds=shape.session_longest, oidc=oidc
    )
