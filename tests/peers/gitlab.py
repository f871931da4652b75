"""What GitLab gives a job to prove itself with: id_tokens, signed by keys of the tests' own.

The claims are those of GitLab's documentation ("OpenID Connect ID token authentication in CI/CD"): numbers and truths
are strings there, `sub` is project_path:…:ref_type:…:ref:…, and `nbf` lies five seconds before `iat`.
"""

from __future__ import annotations

import base64
import functools
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives import serialization
from joserfc import jwt
from joserfc.jwk import RSAKey

GITLAB = "https://gitlab.shared.cwiq.io"
Claims = dict[str, Any]


class GitLab:
    """An issuer with one RSA key. `url` is its `iss`, and the audience of its tokens unless a job asks for another."""

    def __init__(self, url: str = GITLAB, kid: str = "first") -> None:
        self.url = url
        self.kid = kid
        self._key = RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})

    @property
    def public_pem(self) -> str:
        """The key that signatures are checked with, as jwt_validation_pubkeys wants it."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key.public_bytes(serialization.Encoding.PEM, form).decode()

    def jwks(self) -> dict[str, Any]:
        """What GitLab answers at /oauth/discovery/keys."""
        return {"keys": [self._key.as_dict(private=False)]}

    def discovery(self) -> dict[str, Any]:
        """What GitLab answers at /.well-known/openid-configuration, as far as whoever checks a token reads it."""
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/oauth/discovery/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def claims(
        self, project_id: int = 5, project: str = "orchestrator/server", *, lives: float = 3600, **more: object
    ) -> Claims:
        """Those of a job on `main` of this project, issued now and good for `lives` seconds (negative: over already).

        `more` replaces single claims (`aud=`, `ref=`, `nbf=`…); None takes one out.
        """
        now = int(time.time())
        issued = min(now, now + int(lives) - 1)
        ref, ref_type = more.get("ref", "main"), more.get("ref_type", "branch")
        made = {
            "namespace_id": "7",
            "namespace_path": project.rpartition("/")[0],
            "project_id": str(project_id),
            "project_path": project,
            "user_id": "42",
            "user_login": "mara",
            "user_email": "mara@cwiq.io",
            "user_access_level": "developer",
            "pipeline_id": "1301",
            "pipeline_source": "push",
            "job_id": "5207",
            "ref": ref,
            "ref_type": ref_type,
            "ref_path": f"refs/{'tags' if ref_type == 'tag' else 'heads'}/{ref}",
            "ref_protected": "true",
            "environment": "shared",
            "environment_protected": "false",
            "deployment_tier": "production",
            "runner_id": 3,
            "runner_environment": "self-hosted",
            "sha": "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334",
            "project_visibility": "private",
            "ci_config_ref_uri": f"{self.url.partition('://')[2]}/{project}//.gitlab-ci.yml@refs/heads/{ref}",
            "ci_config_sha": "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334",
            "jti": str(uuid.uuid4()),
            "iss": self.url,
            "iat": issued,
            "nbf": issued - 5,
            "exp": now + int(lives),
            "sub": f"project_path:{project}:ref_type:{ref_type}:ref:{ref}",
            "aud": self.url,
        }
        return {name: value for name, value in {**made, **more}.items() if value is not None}

    def id_token(
        self, project_id: int = 5, project: str = "orchestrator/server", *, lives: float = 3600, **more: object
    ) -> str:
        """The same claims, signed (RS256)."""
        return self.sign(self.claims(project_id, project, lives=lives, **more))

    def sign(self, claims: Claims) -> str:
        """Any claims, signed as they stand."""
        return jwt.encode({"alg": "RS256", "typ": "JWT", "kid": self.kid}, claims, self._key)


@functools.cache
def gitlab() -> GitLab:
    """One for the whole run: a key takes a tenth of a second to make."""
    return GitLab()


def spoiled(token: str) -> str:
    """The same token with other claims under its old signature, as somebody without the key would make it."""
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    other = json.dumps({**claims, "project_id": "1"}).encode()
    return ".".join((head, base64.urlsafe_b64encode(other).rstrip(b"=").decode(), signature))


class ServedGitLab(GitLab):
    """A GitLab that can be asked for its keys, on a free port of this machine; its `iss` is that address."""

    def __init__(self, kid: str = "first") -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                pages = {"/oauth/discovery/keys": outer.jwks, "/.well-known/openid-configuration": outer.discovery}
                page = pages.get(self.path)
                outer.asked.append(self.path)
                body = json.dumps(page()).encode() if page else b""
                self.send_response(200 if page else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.asked: list[str] = []
        """The paths that somebody asked for, in order."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        super().__init__(f"http://127.0.0.1:{self._server.server_port}", kid)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
