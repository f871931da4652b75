"""A registry that holds secrets from every source, and everything that is done with them: well, and badly.

What is heard in the course of it is kept, for `test_no_secret_anywhere.py` to look through.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from argon2 import PasswordHasher

from tests.peers.fixtures import made
from tests.peers.images import image
from tests.peers.issuer import Issuer
from tests.peers.openbao import OpenBao
from tests.peers.pierhead import Config, Pierhead
from tests.peers.processes import LOOPBACK, program, wait_until
from tests.peers.provider import Provider
from tests.peers.registry import DockerRegistry
from tests.peers.wire import Wire
from tests.promises.houses import DEV, GROUP
from tests.promises.jobs import AUDIENCE, trusting
from tests.promises.test_password_rotation import set_up

PROXY = "docker-proxy-dockerhub"
AT_THE_HUB = "canary-at-the-hub-0123456"
BCRYPT_AT_THE_HUB = "$2b$04$cQZ8YgA.c92Oh7WOaJA2huLOP2Dg0FPbeIiWb.q5O9LeG2kWOZdE6"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
IN_THE_FILE = ("svc-hash", "svc-env", "svc-file", "svc-vault")


@dataclass
class Heard:
    """One answer, or what a command printed. `gives` are the secrets that it is there to hand out."""

    what: str
    text: str
    gives: tuple[str, ...] = ()


class MayDump(Pierhead):
    """A process of which the system would write an image when it crashes."""

    def command(self) -> Sequence[str]:
        raised = [program("prlimit"), "--core=unlimited:unlimited"] if os.geteuid() == 0 else []
        return [*raised, *super().command()]


@dataclass
class Scene:
    server: Pierhead
    bao: OpenBao
    issuer: Issuer
    provider: Provider
    secrets: dict[str, str] = field(default_factory=dict)
    """By what they are."""
    heard: list[Heard] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)

    def ask(
        self, what: str, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None,
        *, port: str = "main", gives: tuple[str, ...] = (), name: str = "", password: str = "",
    ) -> tuple[int, Mapping[str, str], bytes, Heard]:  # fmt: skip
        """One request on a connection of its own; its answer is kept with its headers."""
        sent = dict(headers or {})
        if name:
            sent["Authorization"] = basic(name, password)
        connection = HTTPConnection(LOOPBACK, self.server.port(port), timeout=30)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        told = Heard(what, f"{answer.status} {answer.headers}\n{content.decode(errors='replace')}", gives)
        self.heard.append(told)
        self.statuses.add(answer.status)
        return answer.status, dict(answer.headers), content, told

    def keep(self, what: str, secret: str, told: Heard | None = None) -> str:
        """From now on it is looked for; the answer that gave it may hold it."""
        assert len(secret) >= 8, what
        self.secrets[what] = secret
        if told is not None:
            told.gives += (secret,)
        return secret

    def command(self, *args: str, stdin: str = "") -> str:
        """`pierhead ARGS` as `admin`; what it prints is kept."""
        known = {"PIERHEAD_SERVER": self.server.url(), "PIERHEAD_USER": "admin"}
        known["PIERHEAD_PASSWORD"] = self.server.admin_password
        done = subprocess.run(
            [sys.executable, "-m", "pierhead", *args], env={**self.server.environment(), **known},
            input=stdin, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        self.heard.append(Heard(f"pierhead {' '.join(args)}", done.stdout + done.stderr))
        return done.stdout


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def furnished(server: Pierhead, registry: DockerRegistry, bao: OpenBao, issuer: Issuer) -> Scene:
    """Writes the configuration with everything that is a secret in it, or named by it."""
    provider = Provider(bao, f"{server.url()}/-/sign-in/callback")
    provider.add("frida", "canary-at-the-provider-1", ["developers"])
    scene = Scene(server, bao, issuer, provider)
    passwords = {name: scene.keep(f"password of {name}", f"canary-{name}-0123456789") for name in IN_THE_FILE}
    environment = set_up(bao)
    bao.put_account("svc-vault", passwords["svc-vault"])
    scene.keep("secret id of the AppRole", environment["SECRET_ID"])
    scene.keep("client secret of the provider", provider.client_secret)
    scene.keep("password at the upstream", AT_THE_HUB)
    (server.folder / "svc-file.password").write_text(passwords["svc-file"] + "\n")
    server.extra_environment |= environment | {
        "ENV_PASSWORD": passwords["svc-env"],
        "OIDC_SECRET": provider.client_secret,
        "HUB_USER": "anna",
        "HUB_PASSWORD": scene.secrets["password at the upstream"],
    }
    server.write_config(configuration(scene, registry, passwords["svc-hash"]))
    return scene


def configuration(scene: Scene, registry: DockerRegistry, hashed: str, log: str = "text") -> Config:
    config = trusting(scene.issuer.url)
    config["external_url"] = "http://auto:main"
    hub = {"type": "proxy", "upstream": registry.url, "username_env": "HUB_USER", "password_env": "HUB_PASSWORD"}
    config["repositories"] |= {PROXY: {**hub, "fresh_for": "0s", "connect_timeout": "2s", "timeout": "2s"}}
    config["repositories"][GROUP]["members"].append(PROXY)
    publisher = {"roles": ["publisher"]}
    config["accounts"] |= {
        "svc-hash": {"password_hash": PasswordHasher(1, 8192, 1).hash(hashed), **publisher},
        "svc-env": {"password_env": "ENV_PASSWORD", **publisher},
        "svc-file": {"password_file": str(scene.server.folder / "svc-file.password"), **publisher},
        "svc-vault": {"password_vault": {"path": "secret/data/nexus/svc-vault"}, **publisher},
    }
    provider = scene.provider
    oidc = {"issuer": provider.issuer, "client_id": provider.client_id, "client_secret_env": "OIDC_SECRET"}
    return config | {
        "vault": {"approle": {"role_id_env": "ROLE_ID", "secret_id_env": "SECRET_ID"}, "reread_every": "5s"},
        "sign_in": {
            "oidc": {**oidc, "scopes": ["openid", "profile", "groups"], "roles": {"developers": ["publisher"]}}
        },
        "tokens": {"refresh": True},
        "audit": {"pulls": "all"},
        "log": {"format": log},
    }


@contextmanager
def opened(folder: Path) -> Iterator[Scene]:
    accounts = folder / "htpasswd"
    accounts.write_text(f"anna:{BCRYPT_AT_THE_HUB}\n")
    registry = made(lambda: DockerRegistry(htpasswd=accounts))
    with made(OpenBao) as bao, registry, Issuer() as issuer:
        server = MayDump()
        scene = furnished(server, registry, bao, issuer)
        with server:
            yield scene


# --- used well -------------------------------------------------------------------------------------------------------


def use_well(scene: Scene) -> None:
    server = scene.server
    scene.keep("first password of admin", server.admin_password)
    for path in sorted((server.data).glob("keys/*.json")):
        scene.keep(f"signing key {path.name}", json.loads(path.read_text())["d"])
    with server.wire(DEV) as wire:
        wire.push("orchestrator/server", "1", image(seed=1))
    for name in (*IN_THE_FILE, "admin"):
        password = server.admin_password if name == "admin" else scene.secrets[f"password of {name}"]
        scene.ask(f"ping of {name}", "GET", "/v2/", port=DEV, name=name, password=password)
        take_tokens(scene, name, password)
    for key in sorted(server.data.glob("keys/*.json")):
        scene.keep(f"signing key {key.name}", json.loads(key.read_text())["d"])
    scene.ask(
        "upstream", "GET", "/v2/library/none/manifests/1", port=GROUP, name="admin", password=server.admin_password
    )
    job = scene.keep("id_token of a job", scene.issuer.signer.sign(
        {**scene.issuer.signer.claims(5, "orchestrator/server", lives=3600, aud=AUDIENCE)}))  # fmt: skip
    scene.ask("job", "GET", "/v2/", port=DEV, name="oidc", password=job)
    other = scene.keep("id_token that no rule trusts", scene.issuer.signer.sign(
        {**scene.issuer.signer.claims(99, "orchestrator/other", lives=3600, aud=AUDIENCE)}))  # fmt: skip
    scene.ask("job of others", "GET", "/token", port=DEV, name="oidc", password=other)
    pages(scene)
    device(scene)
    commands(scene)


def take_tokens(scene: Scene, name: str, password: str) -> None:
    """A bearer token and a refresh token, an access token, and what each of them opens."""
    scope = "scope=repository:orchestrator/server:pull&service=x"
    _, _, body, told = scene.ask(
        f"token of {name}", "GET", f"/token?offline_token=true&{scope}", port=DEV, name=name, password=password
    )
    found = json.loads(body)
    bearer = scene.keep(f"bearer token of {name}", found["token"], told)
    refresh = scene.keep(f"refresh token of {name}", found["refresh_token"], told)
    headers = {"Authorization": f"Bearer {bearer}"}
    scene.ask("pull", "GET", "/v2/orchestrator/server/manifests/1", port=DEV, headers=headers)
    form = urlencode({"grant_type": "refresh_token", "refresh_token": refresh, "service": "x"}).encode()
    _, _, body, told = scene.ask(f"refresh of {name}", "POST", "/token", form, FORM, port=DEV)
    scene.keep(f"second bearer token of {name}", json.loads(body)["access_token"], told)
    told.gives += (json.loads(body).get("refresh_token", refresh),)
    ask = json.dumps({"name": f"ci-{name}"}).encode()
    _, _, body, told = scene.ask(
        f"access token of {name}", "POST", "/api/v1/account/tokens", ask, JSON, name=name, password=password
    )
    secret = scene.keep(f"access token of {name}", json.loads(body)["secret"], told)
    scene.ask("access token used", "GET", "/v2/", port=DEV, name=name, password=secret)


def cookies_of(headers: Mapping[str, str], told: Heard) -> dict[str, str]:
    pairs = re.findall(r"^set-cookie: (pierhead[\w-]*)=([^;]+)", told.text, re.MULTILINE | re.IGNORECASE)
    return {name: value for name, value in pairs if value}


def signed_in(scene: Scene, what: str, status: int, headers: Mapping[str, str], told: Heard) -> str:
    assert status == 303, told.text
    session = scene.keep(f"session of {what}", cookies_of(headers, told)["pierhead"], told)
    return f"pierhead={session}"


def pages(scene: Scene) -> str:
    """Signs in by the form and by the provider; an access token from a page. Returns a session's cookie."""
    _, headers, body, told = scene.ask("sign-in page", "GET", "/-/sign-in", headers={"Accept": "text/html"})
    (pair,) = cookies_of(headers, told).items()
    scene.keep("secret of a sign-in", pair[1], told)
    token = hidden(body)
    fields = {"token": token, "name": "svc-env", "password": scene.secrets["password of svc-env"], "redirect": "/"}
    mine = {**FORM, "Cookie": "=".join(pair), "Accept": "text/html"}
    status, headers, _, told = scene.ask("sign-in", "POST", "/-/sign-in", urlencode(fields).encode(), mine)
    cookie = signed_in(scene, "svc-env", status, headers, told)
    _, _, body, _ = scene.ask("own page", "GET", "/-/me", headers={"Cookie": cookie, "Accept": "text/html"})
    fields = {"token": hidden(body), "name": "laptop", "expires": "90"}
    mine = {**FORM, "Cookie": cookie, "Accept": "text/html"}
    _, _, body, told = scene.ask("token by page", "POST", "/-/me/tokens", urlencode(fields).encode(), mine)
    if (shown := re.search(rb"ph_[0-9A-Za-z]{49}", body)) is not None:
        scene.keep("access token of a page", shown[0].decode(), told)
    single(scene)
    return cookie


def single(scene: Scene) -> None:
    _, headers, _, told = scene.ask("to the provider", "GET", "/-/sign-in/single?redirect=/-/me")
    (pair,) = cookies_of(headers, told).items()
    scene.keep("secret of a sign-on", pair[1], told)
    back = urlsplit(scene.provider.consent(headers["Location"], "frida", "canary-at-the-provider-1"))
    scene.keep("password at the provider", "canary-at-the-provider-1")
    scene.keep("code of the provider", dict(part.split("=", 1) for part in back.query.split("&"))["code"])
    status, headers, _, told = scene.ask(
        "back from the provider", "GET", f"{back.path}?{back.query}", headers={"Cookie": "=".join(pair)}
    )
    signed_in(scene, "frida", status, headers, told)
    scene.ask("code once more", "GET", f"{back.path}?{back.query}", headers={"Cookie": "=".join(pair)})


def hidden(body: bytes) -> str:
    found = re.search(rb'name="token" value="([0-9a-f]+)"', body)
    assert found, body.decode()
    return found[1].decode()


def device(scene: Scene) -> None:
    """`pierhead login`, approved by svc-env."""
    body = json.dumps({"machine": "laptop-7"}).encode()
    _, _, found, told = scene.ask("device login", "POST", "/api/v1/login", body, JSON)
    asked = json.loads(found)
    secret = scene.keep("secret of a device login", asked["secret"], told)
    code = scene.keep("code of a device login", asked["code"], told)
    cookie = f"pierhead={scene.secrets['session of svc-env']}"
    headers = {"Cookie": cookie, "Accept": "text/html"}
    _, _, page, _ = scene.ask("code typed", "GET", f"/-/login?code={code}", headers=headers, gives=(code,))
    fields = urlencode({"token": hidden(page), "code": code, "decision": "approve"}).encode()
    scene.ask("code approved", "POST", "/-/login", fields, {**FORM, **headers})
    _, _, found, told = scene.ask(
        "device token", "POST", "/api/v1/login/token", json.dumps({"secret": secret}).encode(), JSON
    )
    scene.keep("token of a device login", json.loads(found)["token"], told)


def commands(scene: Scene) -> None:
    added = scene.keep("password typed for accounts add", "canary-typed-for-add-1")
    changed = scene.keep("password typed for accounts password", "canary-typed-for-password-2")
    scene.command("accounts", "add", "dora", "--role", "publisher", stdin=added + "\n")
    scene.command("accounts", "password", "dora", stdin=changed + "\n")
    for args in (
        ("accounts", "list"), ("accounts", "show", "svc-env"), ("accounts", "show", "svc-vault"), ("tokens", "list"),
        ("status",), ("whoami",), ("repositories",), ("audit", "--limit", "1000"), ("roles", "list"),
        ("explain", "pull", "orchestrator/server:1"), ("gc", "--dry-run"), ("images",),
    ):  # fmt: skip
        scene.command(*args, "-o", "json")
    for args in (("accounts", "show", "svc-env"), ("tokens", "list"), ("audit",)):
        scene.command(*args)


def reread_as(scene: Scene, log: str) -> None:
    """The same configuration, with logs of another form."""
    config: dict[str, Any] = json.loads(scene.server.config_path.read_text())
    before = scene.server.log.count("The configuration was read again.")
    scene.server.reload({**config, "log": {"format": log}})
    wait_until(
        lambda: scene.server.log.count("The configuration was read again.") > before, 20, "the file is read again"
    )


def audit_of(scene: Scene) -> str:
    """The whole record."""
    found: list[object] = []
    with Wire(scene.server.port(), "admin", scene.server.admin_password) as wire:
        path = "/api/v1/audit?limit=1000"
        while path:
            page = wire.request("GET", path).expect(200).json()
            found += page["items"]
            path = f"/api/v1/audit?limit=1000&cursor={page['next']}" if page["next"] else ""
    return json.dumps(found, ensure_ascii=False)
