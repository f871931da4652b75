"""What Vault's refusals mean for a job, in a sentence that says what to do. The words are those of OpenBao 2.7 and
Vault 1.x, which say the same; an answer that is not known here is shown as it came, without what was sent."""

from __future__ import annotations

import re
from typing import Final, Protocol

from pierhead.cli.client import Fault
from pierhead.cli.id_token import IdToken
from pierhead.cli.vault import Answer, Json, Login, Place

_WORDS_MAX: Final = 300
_TOKENS: Final = re.compile(r"eyJ[\w.-]+|\b(?:hv)?[sbr]\.[\w.-]{8,}")
_CLAIM: Final = re.compile(r'claim "/?([^"]+)"')


class Asked(Protocol):
    """Who gave the answer, and can be asked once more."""

    name: str

    def ask(self, method: str, path: str, body: Json | None = None, *, token: str = "") -> Answer:
        """As ``vault.Vault.ask``."""


def login_refused(vault: Asked, answer: Answer, token: IdToken, place: Place) -> str:
    """The sentence for a login that did not come off."""
    said, role = answer.errors, place.role
    if answer.status == 400:
        return _not_this_job(vault.name, said, token, role)
    if answer.status == 403:
        return (
            f"{vault.name} has no JWT login at auth/{place.auth_path}, or does not let anybody use it: "
            "name where it is mounted with --auth-path."
        )
    return _failing(vault, answer, f"the login at auth/{place.auth_path}")


def _not_this_job(name: str, said: str, token: IdToken, role: str) -> str:
    variable, words = token.variable, said.lower()
    if "role" in words and "could not be found" in words:
        return f"{name} knows no role {role}: name another with --role, or have it made there."
    if "expired" in words:
        return f"{variable} is expired: it is good until the job's time-out, and each job gets a new one. Run it again."
    if "(aud)" in words or "audience" in words:
        return (
            f"Role {role} of {name} wants another audience than {token.claim('aud')}, which {variable} is for: "
            "set the role's as `aud` under id_tokens of the job."
        )
    if "not yet valid" in words or "(nbf)" in words or "(iat)" in words:
        return f"{variable} is not valid yet: the clocks of GitLab and {name} differ."
    if "issuer" in words:
        return f"{name} does not take tokens from {token.claim('iss')}: is VAULT_ADDR the Vault of this GitLab?"
    if "fetching keys" in words or "discovery" in words or "jwks" in words:
        return f"{name} cannot get the keys of GitLab to check {variable} with: somebody has to look at auth/…/config."
    if "signature" in words:
        return (
            f"{name} does not know the key that signed {variable}: is it a token of the GitLab that this Vault trusts?"
        )
    found = _CLAIM.search(said)
    if found is not None and "not found in token" not in words:
        claim = found[1]
        return (
            f"Role {role} of {name} is not for this job: its {claim} is {token.claim(claim)}, and the role's "
            f"bound claims want another. Have {token.claim('project_path')} added to the role, or name another."
        )
    return f"{name} refuses the login with role {role}: {_shown(said)}"


def secret_of(vault: Asked, answer: Answer, place: Place) -> Login:
    """The fields of the secret. Raises Fault with the reason if it has none of use."""
    path, name = place.path, vault.name
    if answer.status == 403:
        raise Fault(f"Role {place.role} of {name} may not read {path}: {_meant(path)}")
    if answer.status == 404:
        raise Fault(_not_there(answer, place, name))
    if answer.status != 200:
        raise Fault(_failing(vault, answer, f"reading {path}"))
    outer = answer.body.get("data")
    fields = outer.get("data") if isinstance(outer, dict) else None
    if not isinstance(fields, dict) or not isinstance(outer, dict) or "metadata" not in outer:
        raise Fault(
            f"What {name} holds at {path} is no secret of a KV store of version 2, which looks like "
            "secret/data/nexus/NAME: name another with --path."
        )
    for field in ("username", "password"):
        if not isinstance(fields.get(field), str) or not fields[field]:
            raise Fault(
                f"The secret {path} in {name} has no field `{field}` with a text in it: somebody has to set it."
            )
    login = Login(fields["username"], fields["password"])
    if ":" in login.username or not login.username.isprintable() or not login.password.isprintable():
        raise Fault(
            f"The secret {path} in {name} holds a colon in `username`, or a line break or control character: "
            "no registry can be told such a login (RFC 7617)."
        )
    return login


def _not_there(answer: Answer, place: Place, name: str) -> str:
    outer = answer.body.get("data")
    metadata = outer.get("metadata") if isinstance(outer, dict) else None
    if isinstance(metadata, dict):
        what = "destroyed" if metadata.get("destroyed") else "deleted"
        return f"The newest version of the secret {place.path} in {name} is {what}: somebody has to write a new one."
    mount, _, rest = place.path.partition("/")
    if "versioned" in str(answer.body.get("warnings")):
        return f"{mount}/ in {name} is a KV store of version 2, which is read at --path {mount}/data/{rest}."
    if "no handler for route" in answer.errors:
        return f"{name} has no store at {mount}/: name another secret with --path."
    return f"{name} holds no secret at {place.path}: {_other_account(place.path)}"


def _meant(path: str) -> str:
    """`vault kv` leaves out the `data` that its API wants, and who may not read is not told so by Vault."""
    mount, _, rest = path.partition("/")
    if rest.startswith("data/"):
        return _other_account(path)
    return f"a KV store of version 2 is read with data/ behind its name, --path {mount}/data/{rest}."


def _other_account(path: str) -> str:
    account = path.rpartition("/")[2]
    return f"name another account than {account} with --account or NEXUS_ACCOUNT, or the whole path with --path."


def _failing(vault: Asked, answer: Answer, at: str) -> str:
    """For a server that is there and does not do its work, and for what nobody thought of."""
    said, status = answer.errors, answer.status
    if status == 503 or "not active" in said:
        health = vault.ask("GET", "sys/health")
        if health.status == 501:
            return f"{vault.name} is not initialised: it is a Vault on its first day, and holds nothing."
        if health.body.get("sealed") is True:
            return f"{vault.name} is sealed: somebody has to unseal it."
        if health.body.get("standby") is True:
            return f"{vault.name} is a standby that finds no active node: try again, or set VAULT_ADDR to another node."
    if status == 429:
        return f"{vault.name} is asked too often (429): try again later."
    if "namespace" in said:
        return f"{vault.name} does not know that namespace: look at VAULT_NAMESPACE."
    what = "fails at" if status >= 500 else "refuses"
    return f"{vault.name} {what} {at} (status {status}): {_shown(said)}"


def _shown(said: str) -> str:
    """Vault's own words; should they repeat a token, it is left out."""
    return _TOKENS.sub("…", said)[:_WORDS_MAX] or "it does not say why."
