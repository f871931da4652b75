"""Shows an id_token to the registry before anything is written: its sentence is worth more than a push that fails."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import ssl
from typing import Final

from pierhead.cli.ci_ways import OIDC_USER
from pierhead.cli.client import Fault
from pierhead.cli.id_token import IdToken
from pierhead.cli.tables import clean

_SECONDS_MAX: Final = 15.0
_ANSWER_BYTES_MAX: Final = 1 << 16
_SENTENCE_MAX: Final = 300


def prove(registry: str, token: IdToken) -> list[str]:
    """Asks `/v2/` of ``registry`` with the token as the password of `oidc`. Returns a remark if it could not be asked.

    Raises Fault if the registry refuses it.
    """
    try:
        status, body = _asked(registry, token)
    except ssl.SSLCertVerificationError as error:
        why = f"its certificate is not trusted here, {error.verify_message}; SSL_CERT_FILE names authorities"
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
    else:
        if status == 200:
            return []
        if status in (401, 403):
            raise Fault(
                f"{registry} refuses the id_token in {token.variable}{_sentence(body, token)} "
                f"It is for {token.claim('aud')}, from {token.claim('iss')}, of project {token.claim('project_path')}: "
                "these have to be what the registry is configured to take."
            )
        why = f"it answers {status}"
    return [f"Whether {registry} takes the id_token is not known: it could not be asked ({why})."]


def _asked(registry: str, token: IdToken) -> tuple[int, bytes]:
    host, _, port = registry.rpartition(":") if registry.rpartition(":")[2].isdigit() else (registry, "", "")
    number = int(port) if port else None
    connection = (
        http.client.HTTPConnection(host, number, timeout=_SECONDS_MAX)
        if _loopback(host)
        else http.client.HTTPSConnection(host, number, timeout=_SECONDS_MAX, context=ssl.create_default_context())
    )
    try:
        basic = base64.b64encode(f"{OIDC_USER}:{token.text}".encode()).decode()
        connection.request("GET", "/v2/", headers={"Authorization": f"Basic {basic}", "User-Agent": "pierhead"})
        response = connection.getresponse()
        return response.status, response.read(_ANSWER_BYTES_MAX)
    finally:
        connection.close()


def _loopback(host: str) -> bool:
    """Whom Docker speaks plain HTTP with unasked."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _sentence(body: bytes, token: IdToken) -> str:
    """The registry's own, unless it is none or repeats the token."""
    try:
        said = json.loads(body)["errors"][0]["message"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return "."
    if not isinstance(said, str) or not said or token.text in said:
        return "."
    return f": {clean(said)[:_SENTENCE_MAX].rstrip('.')}."
