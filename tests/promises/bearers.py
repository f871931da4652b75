"""Clients that use tokens, request by request, as they were seen to do it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from tests.peers.pierhead import PASSWORDS, Pierhead
from tests.peers.wire import Answer, Wire

_CHALLENGE = re.compile(r'Bearer ((?:[a-z]+="[^"]*",?)+)')


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def challenge_of(answer: Answer) -> dict[str, str]:
    """The parameters of the only challenge."""
    (only,) = answer.headers.get_all("WWW-Authenticate") or [""]
    found = _CHALLENGE.fullmatch(only)
    assert found is not None, only
    return dict(re.findall(r'([a-z]+)="([^"]*)"', found[1]))


def claims_of(token: str) -> dict[str, Any]:
    return dict(json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==")))


class Bearer:
    """A client of one port of the server, as ``account``; "" is nobody."""

    def __init__(self, server: Pierhead, port: str, account: str, password: str | None = None) -> None:
        self.server = server
        self.port = port
        self.wire = Wire(server.port(port))
        self.account = account
        if password is None and account:
            password = server.admin_password if account == "admin" else PASSWORDS[account]
        self.password = password or ""
        self.token = ""

    def __enter__(self) -> Bearer:
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.close()

    @property
    def basic(self) -> dict[str, str]:
        return {"Authorization": basic(self.account, self.password)} if self.account else {}

    def ask_token(self, *scopes: str, **more: str) -> Answer:
        """GET, the scopes repeated, as Docker, containers/image and go-containerregistry do it."""
        query = urlencode([("service", "pierhead"), *(("scope", scope) for scope in scopes), *more.items()])
        return self.wire.request("GET", f"/token?{query}", headers=self.basic)

    def post_token(self, **form: str) -> Answer:
        """POST of a form, as containerd, ORAS and Helm do it."""
        body = urlencode({"service": "pierhead", "client_id": "containerd-client", **form}).encode()
        return self.wire.request("POST", "/token", body, {"Content-Type": "application/x-www-form-urlencoded"})

    def take(self, *scopes: str) -> str:
        """A token by GET, used from now on."""
        self.token = str(self.ask_token(*scopes).expect(200).json()["token"])
        return self.token

    def request(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request with the token that was taken."""
        return self.wire.request(method, target, body, {**self.bearer, **(headers or {})})

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def insist(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """As go-containerregistry and containers/image do it: on a 401, once more with the scope of the challenge."""
        answer = self.request(method, target, body, headers)
        if answer.status != 401:
            return answer
        challenge = challenge_of(answer)
        assert challenge["realm"] == f"http://{self.server.address(self.port)}/token"
        scopes: Sequence[str] = [challenge["scope"]] if "scope" in challenge else []
        self.take(*scopes)
        return self.request(method, target, body, headers)
