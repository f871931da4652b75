"""Tokens that somebody makes who has no key of the issuer, or bends what the issuer signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives import serialization
from joserfc import jws

from tests.peers.gitlab import Claims, GitLab, spoiled

_SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


def part(value: object) -> str:
    """JSON, or bytes as they are, in the encoding of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(signer: GitLab, header: dict[str, Any], claims: Claims | bytes) -> str:
    """Any header and any content, truly signed with the issuer's key (RS256)."""
    model = jws.JWSRegistry.algorithms["RS256"]
    text = f"{part(header)}.{part(claims)}"
    return f"{text}.{part(model.sign(text.encode(), signer._key))}"


def hmac_signed(header: dict[str, Any], claims: Claims, secret: bytes) -> str:
    text = f"{part(header)}.{part(claims)}"
    return f"{text}.{part(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def none_algorithms(signer: GitLab, audience: str) -> Iterator[tuple[str, str]]:
    """Row 83."""
    claims = signer.claims(aud=audience)
    for name in ("none", "None", "nOnE", "NONE", ""):
        header = {"alg": name, "typ": "JWT", "kid": signer.kid}
        yield f"alg {name!r} unsigned", f"{part(header)}.{part(claims)}."
        yield f"alg {name!r} with the true signature", signed(signer, header, claims)
    yield "HS256 with an empty key", hmac_signed({"alg": "HS256", "typ": "JWT", "kid": signer.kid}, claims, b"")
    yield "no alg", signed(signer, {"typ": "JWT", "kid": signer.kid}, claims)
    yield "alg is a list", signed(signer, {"alg": ["RS256"], "typ": "JWT", "kid": signer.kid}, claims)


def public_key_as_secret(signer: GitLab, audience: str) -> Iterator[tuple[str, str]]:
    """Row 84: the issuer's public key, in every form that it is published in, as the secret of an HMAC."""
    key = signer._key.public_key
    pem = key.public_bytes(serialization.Encoding.PEM, _SPKI)
    jwk = json.dumps(signer.jwks()["keys"][0]).encode()
    secrets = {
        "PEM": pem,
        "PEM without its last line break": pem.strip(),
        "PEM with CRLF": pem.replace(b"\n", b"\r\n"),
        "PEM with spaces": b"  " + pem + b"\n\n",
        "PKCS1 PEM": key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1),
        "DER": key.public_bytes(serialization.Encoding.DER, _SPKI),
        "JWK": jwk,
        "JWKS": json.dumps(signer.jwks()).encode(),
        "modulus": key.public_numbers().n.to_bytes(256, "big"),
    }
    for name, secret in secrets.items():
        yield (
            f"HS256 with {name}",
            hmac_signed({"alg": "HS256", "kid": signer.kid}, signer.claims(aud=audience), secret),
        )
        yield (
            f"RS256 with {name}",
            hmac_signed({"alg": "RS256", "kid": signer.kid}, signer.claims(aud=audience), secret),
        )


def own_keys(signer: GitLab, audience: str, address: str) -> Iterator[tuple[str, str]]:
    """Row 85: `address` is where the sender would like the key to be fetched from."""
    mine = GitLab(signer.url, "mine")
    jwk = mine.jwks()["keys"][0]
    brought: dict[str, object] = {"jwk": jwk, "jku": address, "x5u": address, "x5c": ["MIIB"]}
    for name, value in brought.items():
        for kid in (signer.kid, mine.kid):
            yield (
                f"{name}, kid {kid}",
                signed(mine, {"alg": "RS256", "kid": kid, name: value}, mine.claims(aud=audience)),
            )
        yield (
            f"{name} beside the true signature",
            signed(signer, {"alg": "RS256", "kid": signer.kid, name: value}, signer.claims(aud=audience)),
        )


def key_ids(signer: GitLab, audience: str) -> Iterator[tuple[str, str]]:
    """Row 86, but for the thousands of them."""
    mine = GitLab(signer.url, "mine")
    for kid in ("../../dev/null", "' OR 1=1 --", "k" * 2_000, "\0", "\ud800", "", 7, None, ["first"], {"a": 1}):
        yield f"kid {str(kid)[:20]!r}", signed(mine, {"alg": "RS256", "kid": kid}, mine.claims(aud=audience))
    yield "no kid", signed(signer, {"alg": "RS256"}, signer.claims(aud=audience))
    yield "the kid of another key", signed(mine, {"alg": "RS256", "kid": signer.kid}, mine.claims(aud=audience))


def extensions(signer: GitLab, audience: str) -> Iterator[tuple[str, str]]:
    """Row 87."""
    base = {"alg": "RS256", "typ": "JWT", "kid": signer.kid}
    bent: dict[str, dict[str, object]] = {
        "crit": {"crit": ["exp2"], "exp2": 1},
        "crit empty": {"crit": []},
        "crit text": {"crit": "b64"},
        "b64": {"crit": ["b64"], "b64": False},
        "b64 alone": {"b64": False},
        "typ": {"typ": "at+jwt"},
        "typ number": {"typ": 1},
        "cty": {"cty": "JWT"},
    }
    for name, more in bent.items():
        yield name, signed(signer, {**base, **more}, signer.claims(aud=audience))


def wrong_parties(signer: GitLab, audience: str) -> Iterator[tuple[str, str]]:
    """Rows 88 and 97: `audience` is the right one."""
    audiences: list[object] = [
        None, "", [], {}, 7, True, audience + "/", audience.upper(), audience[:-1], audience + ".evil", [[audience]],
        [audience, 7], "https://vault.example.com", signer.url, f"x {audience}", ["x", "y"],
    ]  # fmt: skip
    for aud in audiences:
        yield f"aud {aud!r}", signer.id_token(aud=aud)
    issuers: list[object] = [
        None, "", signer.url + "/", signer.url[:-1], signer.url.upper(), signer.url + ".evil", [signer.url], 7, {},
        "https://elsewhere.example.com",
    ]  # fmt: skip
    for iss in issuers:
        yield f"iss {iss!r}", signer.id_token(aud=audience, iss=iss)


def wrong_times(signer: GitLab, audience: str) -> Iterator[tuple[str, str]]:
    """Row 89; with a leeway of 60 seconds."""
    now = int(time.time())
    cases: dict[str, list[object]] = {
        "exp": [None, str(now + 600), now + 600.5, 10**30, -1, True, now - 65, 0, [now + 600], {}],
        "iat": [None, str(now), now + 0.5, 10**30, -1, False, now + 90],
        "nbf": [str(now), now + 0.5, 10**30, -1, True, now + 90],
    }
    for name, values in cases.items():
        for value in values:
            yield f"{name} {value!r}", signer.sign(_changed(signer.claims(aud=audience), name, value))
    for text in ("1e999", "NaN", "Infinity", "1" * 5_000):
        claims = json.dumps(signer.claims(aud=audience, exp="END")).replace('"END"', text)
        yield f"exp {text[:9]}", signed(signer, {"alg": "RS256", "kid": signer.kid}, claims.encode())


def _changed(claims: Claims, name: str, value: object) -> Claims:
    """None takes the claim out."""
    return {key: said for key, said in {**claims, name: value}.items() if said is not None}


def monsters(signer: GitLab, audience: str) -> Iterator[tuple[str, str]]:
    """Row 90, as far as they fit into a request's head; and whatever else is no token."""
    body = part(signer.claims(aud=audience))
    deep = b'{"alg": "RS256", "a": ' + b"[" * 2_000 + b"]" * 2_000 + b"}"
    yield "a deep header", f"{part(deep)}.{body}.AAAA"
    yield "deep claims", signed(signer, {"alg": "RS256", "kid": signer.kid}, deep)
    head = part({"alg": "RS256", "kid": signer.kid})
    yield "claims are a list", signed(signer, {"alg": "RS256", "kid": signer.kid}, b"[]")
    yield "a claim twice", signed(signer, {"alg": "RS256", "kid": signer.kid}, b'{"iss": "a", "iss": "b"}')
    yield from {
        "dots": "..",
        "no JSON": "a.b.c",
        "one letter": f"{head}.A.AAAA",
        "not signed": f"{head}.{body}.",
    }.items()
    good = signer.id_token(aud=audience)
    yield "changed", spoiled(good)
    yield "cut", good[:-4]
    yield "a signature of zeros", good.rpartition(".")[0] + "." + part(bytes(256))
    yield "of another key", GitLab(signer.url, signer.kid).id_token(aud=audience)


def weak_key() -> dict[str, str]:
    """An RSA key of 1024 bits, which no set should hold."""
    return {"kty": "RSA", "kid": "first", "use": "sig", "alg": "RS256", "n": part(b"\xc1" * 128), "e": "AQAB"}
