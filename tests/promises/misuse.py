"""Secrets where they do not belong, and faults of the program with credentials on their way in."""

from __future__ import annotations

import base64
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlencode

import apsw

from tests.peers.processes import LOOPBACK
from tests.promises.canaries import FORM, JSON, Heard, Scene, basic
from tests.promises.houses import DEV

TOKENS_OF = ("svc-env", "a job", "a page", "a device login")


def use_badly(scene: Scene, each: int = 1) -> None:
    """Each kind of secret where it does not belong, or one of so many. Several at once: a failed login at an account
    whose password is kept elsewhere waits until that is asked again."""
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(misuse, scene, *one) for one in kinds(scene)[::each]]:
            done.result()
    scene.ask("wrong password", "GET", "/v2/", port=DEV, name="svc-env", password=scene.keep("wrong", "canary-wrong-1"))


def kinds(scene: Scene) -> list[tuple[str, str]]:
    """Every secret, but tokens of one account alone: those of the others are of the same make."""
    return [(what, one) for what, one in scene.secrets.items() if "token of " not in what or what.endswith(TOKENS_OF)]


def misuse(scene: Scene, what: str, secret: str) -> None:
    quoted = quote(secret, safe="")
    coded = base64.b64encode(secret.encode()).decode()
    headers = (
        basic("nobody", secret), basic(secret, "x"), f"Bearer {secret}",  # everywhere; the others at one place
        f"Basic {coded}", f"Basic {secret}", f"Digest {secret}", secret, f"Basic  {coded} {secret}",
    )  # fmt: skip
    for port, path, some in (
        (DEV, "/v2/", headers),
        (DEV, "/token", headers[:3]),
        ("main", "/api/v1/status", headers[:3]),
    ):
        for header in some:
            scene.ask(f"{what} in a header", "GET", path, port=port, headers={"Authorization": header})
    for path in (
        f"/v2/?access_token={quoted}", f"/token?account={quoted}&password={quoted}", f"/api/v1/status?token={quoted}",
        f"/-/sign-in?password={quoted}", f"/-/sign-in/callback?code={quoted}&state={quoted}",
        f"/metrics?password={quoted}", f"/v2/orchestrator/server/blobs/uploads/?_state={quoted}",
    ):  # fmt: skip
        scene.ask(f"{what} in a query", "GET", path)
    # Who is sent to sign in first has to come back with the code: the answer may say it.
    scene.ask(f"{what} as a code", "GET", f"/-/login?code={quoted}", gives=(secret,))
    scene.ask(f"{what} in Referer", "GET", "/v2/", headers={"Referer": f"http://x.example/?password={quoted}#{quoted}"})
    scene.ask(f"{what} in cookies", "GET", "/-/me", headers={"Cookie": f"pierhead={secret}; pierhead-visit={secret}"})
    for fields in (
        {"grant_type": "password", "username": secret, "password": "x"},
        {"grant_type": "password", "username": "nobody", "password": secret},
        {"grant_type": "refresh_token", "refresh_token": secret},
        {"grant_type": secret},
    ):
        scene.ask(f"{what} in a form", "POST", "/token", urlencode(fields).encode(), FORM, port=DEV)
    for path, document in (
        ("/api/v1/login/token", {"secret": secret}),
        ("/api/v1/account/tokens", {"name": "x", "secret": secret}),
    ):
        scene.ask(f"{what} in a document", "POST", path, json.dumps(document).encode(), JSON,
                  name="svc-deploy", password="deploy-secret-1")  # fmt: skip
    body = json.dumps({"password": secret, "old": secret}).encode()
    scene.ask(f"{what} as old password", "PUT", "/api/v1/accounts/svc-deploy/password", body, JSON,
              name="svc-deploy", password="deploy-secret-1")  # fmt: skip
    scene.heard.append(Heard(f"{what} in an absolute address", absolute(scene, secret)))


def absolute(scene: Scene, secret: str) -> str:
    """A request as to a proxy, with a password in its address (RFC 9112, 3.2.2)."""
    quoted = quote(secret, safe="")
    with socket.create_connection((LOOPBACK, scene.server.port()), 20) as sock:
        sock.sendall(
            f"GET http://anna:{quoted}@{LOOPBACK}/v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
        return b"".join(iter(lambda: sock.recv(65_536), b"")).decode(errors="replace")


def break_inside(scene: Scene) -> None:
    """Faults of the program: a table goes from under it, with every kind of credential on its way in."""
    database = apsw.Connection(str(scene.server.data / "pierhead.db"))
    database.set_busy_timeout(10_000)
    for table in ("access_tokens", "sessions", "refresh_tokens", "tags"):
        database.execute(f"ALTER TABLE {table} RENAME TO gone")
        try:
            for what in (
                "access token of svc-env",
                "bearer token of svc-env",
                "refresh token of svc-env",
                "session of frida",
            ):
                break_with(scene, scene.secrets[what])
        finally:
            database.execute(f"ALTER TABLE gone RENAME TO {table}")
    database.close()


def break_with(scene: Scene, secret: str) -> None:
    for header in (basic("svc-env", secret), f"Bearer {secret}"):
        for port, path in ((DEV, "/v2/orchestrator/server/manifests/1"), (DEV, "/token"), ("main", "/api/v1/account")):
            scene.ask("broken inside", "GET", path, port=port, headers={"Authorization": header})
    scene.ask("broken inside", "GET", "/-/me", headers={"Cookie": f"pierhead={secret}"})
    form = urlencode({"grant_type": "refresh_token", "refresh_token": secret}).encode()
    scene.ask("broken inside", "POST", "/token", form, FORM, port=DEV)
