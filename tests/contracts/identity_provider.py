"""An OpenID provider that can lie: what a real one will not do on demand. A real one is in tests/pages."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

CLIENT_ID, SECRET, NONCE = "pierhead", "a-secret-of-the-client-that-is-long-enough", "the-nonce"
Json = dict[str, Any]


@dataclass
class LyingProvider:
    """Honest until a test changes something. ``change`` edits the claims, ``discovery`` its document; ``answers``
    replaces what is answered at a path."""

    change: Callable[[Json], None] = lambda claims: None
    discovery: Json = field(default_factory=dict)
    userinfo: Json = field(default_factory=lambda: {"sub": "1", "groups": ["from-userinfo"]})
    header: Json = field(default_factory=lambda: {"alg": "RS256", "kid": "k"})
    answers: dict[str, Callable[[], web.StreamResponse]] = field(default_factory=dict)
    asked: list[tuple[str, Json]] = field(default_factory=list)
    signs_with: Any = None
    issuer: str = ""
    _runner: web.AppRunner | None = None

    async def start(self) -> LyingProvider:
        self.key = RSAKey.generate_key(2048, {"kid": "k"})
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        server: Any = site._server
        self.issuer = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/realm"
        return self

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/realm")
        form = dict(await request.post())
        self.asked.append((path, {**form, "authorization": request.headers.get("Authorization", "")}))
        if path in self.answers:
            return self.answers[path]()
        if path == "/.well-known/openid-configuration":
            return web.json_response({**self._document(), **self.discovery})
        if path == "/keys":
            return web.json_response({"keys": [self.key.as_dict(private=False)]})
        if path == "/token":
            return web.json_response({"access_token": "at", "token_type": "Bearer", "id_token": self._id_token()})
        if path == "/userinfo":
            return web.json_response(self.userinfo)
        return web.Response(status=404)

    def _document(self) -> Json:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "end_session_endpoint": f"{self.issuer}/end",
        }

    def _id_token(self) -> str:
        now = int(time.time())
        claims: Json = {
            "iss": self.issuer,
            "sub": "1",
            "aud": CLIENT_ID,
            "exp": now + 300,
            "iat": now,
            "nonce": NONCE,
            "preferred_username": "anna",
            "groups": ["developers"],
        }
        self.change(claims)
        return jwt.encode(self.header, claims, self.signs_with or self.key, algorithms=[self.header["alg"]])


def shared_secret() -> OctKey:
    """The client's secret as a key, with which nothing may be signed."""
    return OctKey.import_key(SECRET, {"kid": "k"})
