"""A registry that trusts an issuer by the rules of the example that is shipped, and jobs of that issuer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.peers.images import image
from tests.peers.issuer import Issuer
from tests.peers.pierhead import Config, Pierhead, house
from tests.peers.wire import Answer, Wire
from tests.promises.houses import DEV

SHARED: dict[str, Any] = YAML(typ="safe", pure=True).load(
    (Path(__file__).parents[2] / "examples" / "cwiq" / "shared.yaml").read_text()
)
AUDIENCE = str(SHARED["trust"]["gitlab"]["audience"])
SERVER = "orchestrator/server"
FROM_PRODUCTION = {
    "claims": {"project_id": 5, "environment": "production", "environment_protected": True},
    "rights": ["push"],
    "repositories": [DEV],
    "images": ["orchestrator/deployed"],
}


def trusting(issuer: str, **more: object) -> Config:
    """The example's services and rules, with this issuer. Clocks may not differ, since there is one only."""
    gitlab = {**SHARED["trust"]["gitlab"], "issuer": issuer, "leeway": "0s", **more}
    gitlab["rules"] = [*gitlab["rules"], FROM_PRODUCTION]
    return house(services=SHARED["services"], trust={"gitlab": gitlab})


@dataclass(frozen=True)
class Place:
    """A registry, and the issuer whose jobs it trusts."""

    server: Pierhead
    issuer: Issuer

    def token(self, project: int = 5, path: str = SERVER, *, lives: float = 3600, **more: object) -> str:
        """Of a job of this project, on `main` unless `more` says otherwise."""
        claims = self.issuer.signer.claims(project, path, lives=lives, aud=AUDIENCE)
        made = {name: value for name, value in {**claims, **more}.items() if value is not None}
        return self.issuer.signer.sign(made)

    def ping(self, token: str) -> Answer:
        """What a login gets."""
        with Wire(self.server.port(DEV), "oidc", token) as wire:
            return wire.request("GET", "/v2/")

    def push(self, token: str, tag: str, name: str = SERVER, *, seed: int = 1) -> Answer:
        """The answer to the manifest, or to the first request that is refused."""
        what = image(seed=seed)
        with Wire(self.server.port(DEV), "oidc", token) as wire:
            begun = wire.request("POST", f"/v2/{name}/blobs/uploads/", b"")
            if begun.status != 202:
                return begun
            for blob in what.blobs:
                wire.push_blob(name, blob)
            return wire.put_manifest(name, tag, what.manifest)


def denied(answer: Answer) -> str:
    """The sentence of a 403."""
    assert (answer.status, answer.code) == (403, "DENIED"), answer.body
    return answer.message
