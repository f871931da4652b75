"""Vault's API as far as a job needs it: log in with a JWT, read one secret, give the token back. OpenBao has the same.

Nothing is followed, nothing is kept, and no message holds a token or a password. What Vault's refusals mean is in
``vault_words.py``.
"""

from __future__ import annotations

import http.client
import json
import signal
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import quote, urlsplit

from pierhead.cli.client import Fault
from pierhead.cli.id_token import IdToken
from pierhead.cli.tables import clean

Json = dict[str, Any]

_SECONDS_DEFAULT: Final = 30
"""For logging in and reading together, unless VAULT_CLIENT_TIMEOUT says otherwise."""
_SECONDS_MAX: Final = 300
_REVOKE_SECONDS_MAX: Final = 5.0
_ANSWER_BYTES_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """Which login and which secret: ``auth_path`` is where JWT logins are mounted, ``path`` is as in the API."""

    role: str
    path: str
    auth_path: str = "jwt"


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """Whom a registry is told that this is."""

    username: str
    password: str


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """One answer of Vault; ``body`` is {} where there is none."""

    status: int
    body: Json

    @property
    def errors(self) -> str:
        """What Vault says is wrong, on one line."""
        found = self.body.get("errors")
        return clean(" ".join(" ".join(str(one) for one in found).split())) if isinstance(found, list) else ""


class Vault:
    """One server. ``monotonic`` tells seconds; time counts from now on, and everything but giving tokens back has to be
    done in VAULT_CLIENT_TIMEOUT."""

    def __init__(self, environment: Mapping[str, str], monotonic: Callable[[], float]) -> None:
        """Reads VAULT_ADDR, VAULT_CACERT, VAULT_NAMESPACE and VAULT_CLIENT_TIMEOUT.

        Raises Fault for what is missing or of no use.
        """
        address = environment.get("VAULT_ADDR", "").strip()
        if not address:
            raise Fault("VAULT_ADDR is not set: it is the address of Vault, such as https://vault.example.org:8200.")
        self._host, self._port, self._tls, self._prefix = _parsed(address)
        shown = f"[{self._host}]" if ":" in self._host else self._host
        self.name = f"{'https' if self._tls else 'http'}://{shown}" + (f":{self._port}" if self._port else "")
        self._context = _trust(environment.get("VAULT_CACERT", "").strip()) if self._tls else None
        self._headers = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "pierhead"}
        namespace = environment.get("VAULT_NAMESPACE", "").strip()
        if namespace:
            if not namespace.isascii() or not namespace.isprintable():
                raise Fault("VAULT_NAMESPACE holds characters that no namespace has.")
            self._headers["X-Vault-Namespace"] = namespace
        self._monotonic = monotonic
        self._seconds = _patience(environment.get("VAULT_CLIENT_TIMEOUT", "").strip())
        self._deadline = monotonic() + self._seconds

    @property
    def remarks(self) -> list[str]:
        """What is to be said of how it is asked."""
        if self._tls or self._host == "localhost" or self._host.endswith(".localhost"):
            return []
        try:
            if ip_address(self._host).is_loopback:
                return []
        except ValueError:
            pass
        return [f"{self.name} is asked in plain HTTP: whoever is on the way reads the id_token and the password."]

    def login(self, token: IdToken, place: Place) -> Login:
        """Logs in, reads, and gives Vault's token back whatever happened. Raises Fault."""
        from pierhead.cli.vault_words import login_refused, secret_of

        answer = self.ask("POST", f"auth/{place.auth_path}/login", {"role": place.role, "jwt": token.text})
        if answer.status != 200:
            raise Fault(login_refused(self, answer, token, place))
        auth = answer.body.get("auth")
        own = auth.get("client_token") if isinstance(auth, dict) else None
        if isinstance(auth, dict) and auth.get("mfa_requirement"):
            raise Fault(f"{self.name} wants a second factor for role {place.role}, which no job can give.")
        if not isinstance(own, str) or not own or not own.isascii() or not own.isprintable():
            raise Fault(f"{self.name} does not answer like Vault: its login gives no token.")
        with self._giving_back(own):
            return secret_of(self, self.ask("GET", place.path, token=own), place)

    @contextmanager
    def _giving_back(self, token: str) -> Iterator[None]:
        """Revokes the token in the end: after success, after a failure, and when the job is cancelled (SIGTERM)."""
        main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number)) if main else None
        try:
            yield
        finally:
            if main:
                signal.signal(signal.SIGTERM, before)
            self._deadline = self._monotonic() + _REVOKE_SECONDS_MAX
            try:
                gone = self.ask("POST", "auth/token/revoke-self", {}, token=token).status in (200, 204)
            except Fault:
                gone = False
            if not gone:
                print(
                    f"{self.name} did not take its own token back; it ends by itself, as role and mount say.",
                    file=sys.stderr,
                )

    def ask(self, method: str, path: str, body: Json | None = None, *, token: str = "") -> Answer:
        """One request to /v1/``path``. Raises Fault if there is no answer of Vault's in time."""
        headers = {**self._headers, "X-Vault-Token": token} if token else self._headers
        target = f"{self._prefix}/v1/{quote(path, safe='/')}"
        sent = json.dumps(body).encode() if body is not None else None
        status, found, where = self._in_time(lambda seconds: self._exchange(method, target, sent, headers, seconds))
        if 300 <= status < 400:
            raise Fault(self._sent_on(_place_of(where), path))
        try:
            document = json.loads(found) if found.strip() else {}
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise Fault(f"{self.name} does not answer like Vault (status {status}, no JSON): look at VAULT_ADDR.")
        return Answer(status, document)

    def _sent_on(self, where: str, path: str) -> str:
        if path != "sys/health" and self.ask("GET", "sys/health").body.get("standby") is True:
            return (
                f"{self.name} is a standby that does not reach its active node, {where}: try again, or set VAULT_ADDR "
                "to an address that leads to the active node."
            )
        return (
            f"{self.name} sends on to {where}, where no token is sent unasked: "
            "set VAULT_ADDR to the address that answers by itself."
        )

    def _in_time(self, work: Callable[[float], tuple[int, bytes, str]]) -> tuple[int, bytes, str]:
        """Time-outs of sockets begin anew with each byte, and looking up a name has none: a thread can be left."""
        seconds = max(self._deadline - self._monotonic(), 0.0)
        done: list[tuple[int, bytes, str]] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                done.append(work(max(seconds, 0.001)))
            except BaseException as error:  # it is raised below, in the thread that waits
                failed.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(seconds)
        if done:
            return done[0]
        error = failed[0] if failed else TimeoutError()
        raise self._unreachable(error) from None

    def _exchange(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str], seconds: float
    ) -> tuple[int, bytes, str]:
        connection = (
            http.client.HTTPSConnection(self._host, self._port, timeout=seconds, context=self._context)
            if self._tls
            else http.client.HTTPConnection(self._host, self._port, timeout=seconds)
        )
        try:
            connection.request(method, target, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.read(_ANSWER_BYTES_MAX), response.headers.get("Location") or ""
        finally:
            connection.close()

    def _unreachable(self, error: BaseException) -> Fault:
        if isinstance(error, ssl.SSLCertVerificationError):
            return Fault(
                f"The certificate of {self.name} is not trusted ({error.verify_message}): "
                "name the file of its authority in VAULT_CACERT."
            )
        if isinstance(error, TimeoutError):
            return Fault(f"{self.name} is too slow: it had {self._seconds} s. Try again, or look at Vault.")
        if isinstance(error, ssl.SSLError):
            return Fault(f"{self.name} does not speak TLS as it should ({error.reason}): look at VAULT_ADDR.")
        if isinstance(error, OSError):
            why = error.strerror or type(error).__name__
            return Fault(f"{self.name} cannot be reached ({why}): look at VAULT_ADDR, and whether Vault runs.")
        return Fault(f"{self.name} does not answer like Vault ({type(error).__name__}): look at VAULT_ADDR.")


def _parsed(address: str) -> tuple[str, int | None, bool, str]:
    """Host, port, whether with TLS, and what stands before /v1. The text itself may be a secret in the wrong variable,
    and is not shown."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host, plain = parts.hostname or "", address.isascii() and address.isprintable() and " " not in address
    if parts.scheme not in ("http", "https") or not host or not plain or "@" in address or parts.query or port == 0:
        raise Fault("VAULT_ADDR is no address of a server: it looks like https://vault.example.org:8200.")
    return host, port, parts.scheme == "https", quote(parts.path.rstrip("/"), safe="/%")


def _patience(text: str) -> int:
    if not text:
        return _SECONDS_DEFAULT
    digits = text.removesuffix("s")
    if not digits.isascii() or not digits.isdigit() or not 1 <= int(digits[:9]) <= _SECONDS_MAX:
        raise Fault(f"VAULT_CLIENT_TIMEOUT is no number of seconds from 1 to {_SECONDS_MAX}: it looks like 30s.")
    return int(digits)


def _place_of(location: str) -> str:
    try:
        parts = urlsplit(location)
        return (
            f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
            if parts.hostname
            else ("another path of its own")
        )
    except ValueError:
        return "nowhere that could be read"


def _trust(authority: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authority or None)
    except OSError as error:
        why = "no certificate in it can be read" if isinstance(error, ssl.SSLError) else error.strerror
        raise Fault(f"VAULT_CACERT names {clean(authority)}: {why}.") from None
