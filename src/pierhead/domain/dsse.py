"""Signed statements about an image: DSSE envelopes with in-toto statements in them, inside a Sigstore bundle.

Sources: DSSE 1.0 ("protocol", "envelope"), in-toto attestation framework ("Statement"), Sigstore bundle 0.3
(sigstore_bundle.proto as JSON). What is read here was written by anybody: nothing of it is believed before a signature
over it is good.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Final, cast

from msgspec import Struct

from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.refusals import ManifestInvalid, Refusal
from pierhead.domain.strict_json import Document, decode

BUNDLE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
IN_TOTO: Final = "application/vnd.in-toto+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
_STATEMENTS: Final = frozenset({STATEMENT, "https://in-toto.io/Statement/v0.1"})
_HASHES: Final = {"SHA2_256": "sha256", "SHA2_512": "sha512"}


class Unusable(Exception):
    """It is not what it should be; ``why`` is a clause, such as ``it is no JSON``."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Envelope(Struct, frozen=True):
    """``payload`` is what was signed, of the type ``payload_type``; ``signatures`` are raw."""

    payload_type: str
    payload: bytes
    signatures: tuple[bytes, ...]

    @property
    def message(self) -> bytes:
        """The bytes that signatures are over."""
        return pae(self.payload_type, self.payload)


class MessageSignature(Struct, frozen=True):
    """A signature over the bytes of something with this digest."""

    digest: Digest
    signature: bytes


class Statement(Struct, frozen=True):
    """``subjects`` are digests; ``predicate`` is whatever the type says that it is."""

    predicate_type: str
    subjects: tuple[Digest, ...]
    predicate: Mapping[str, object]


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: type and payload with their lengths, so none can pass for the other."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def statement(subject: Digest, name: str, predicate_type: str, predicate: Mapping[str, object]) -> bytes:
    """An in-toto statement about one digest."""
    document = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {subject.algorithm: subject.hex}}],
        "predicateType": predicate_type,
        "predicate": predicate,
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def bundle(payload: bytes, signature: bytes, key_id: str) -> bytes:
    """A Sigstore bundle of a statement that was signed with a key, which ``key_id`` helps to find."""
    document = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": key_id}},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": IN_TOTO,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": key_id}],
        },
    }
    return json.dumps(document, separators=(",", ":")).encode()


def read_bundle(body: bytes) -> Envelope | MessageSignature:
    """Raises Unusable."""
    document = _document(body)
    kind = document.get("mediaType")
    if not isinstance(kind, str) or not kind.startswith("application/vnd.dev.sigstore.bundle"):
        raise Unusable("it does not say that it is a Sigstore bundle")
    envelope, signature = document.get("dsseEnvelope"), document.get("messageSignature")
    if isinstance(envelope, dict) and signature is None:
        return _envelope(cast(Document, envelope))
    if isinstance(signature, dict) and envelope is None:
        return _signature(cast(Document, signature))
    raise Unusable("it holds neither one envelope nor one signature of a message")


def read_statement(envelope: Envelope) -> Statement:
    """Of an envelope of which a signature is good. Raises Unusable."""
    if envelope.payload_type != IN_TOTO:
        raise Unusable("it is no in-toto statement")
    document = _document(envelope.payload)
    kind, predicate_type = document.get("_type"), document.get("predicateType")
    subjects, predicate = document.get("subject"), document.get("predicate")
    if kind not in _STATEMENTS or not isinstance(predicate_type, str) or not isinstance(subjects, list):
        raise Unusable("it is no in-toto statement")
    found = [digest for one in subjects if isinstance(one, dict) for digest in _digests(one.get("digest"))]
    return Statement(predicate_type, tuple(found), predicate if isinstance(predicate, dict) else {})


def unbase64(text: object, most: int) -> bytes:
    """Standard or URL-safe. Raises Unusable, also for more than ``most`` bytes."""
    if not isinstance(text, str) or not text.isascii():
        raise Unusable("a part of it is no base64")
    if len(text) > most * 4 // 3 + 4:
        raise Unusable(f"a part of it has more than {most} bytes")
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise Unusable("a part of it is no base64") from None


def _envelope(found: Document) -> Envelope:
    kind, signatures = found.get("payloadType"), found.get("signatures")
    if not isinstance(kind, str) or not isinstance(signatures, list):
        raise Unusable("its envelope has no type or no signatures")
    if not 0 < len(signatures) <= limits.SIGNATURES_PER_ENVELOPE_MAX:
        raise Unusable(f"its envelope has none or more than {limits.SIGNATURES_PER_ENVELOPE_MAX} signatures")
    raw = [one.get("sig") if isinstance(one, dict) else None for one in cast(Sequence[object], signatures)]
    payload = unbase64(found.get("payload"), limits.BUNDLE_BYTES_MAX)
    return Envelope(kind, payload, tuple(unbase64(one, limits.SIGNATURE_BYTES_MAX) for one in raw))


def _signature(found: Document) -> MessageSignature:
    said = found.get("messageDigest")
    algorithm = _HASHES.get(str(said.get("algorithm"))) if isinstance(said, dict) else None
    if not isinstance(said, dict) or algorithm is None:
        raise Unusable("it does not say by SHA-256 or SHA-512 what it signs")
    digest = _digests({algorithm: unbase64(said.get("digest"), 64).hex()})
    if not digest:
        raise Unusable("the digest of what it signs is too long or too short")
    return MessageSignature(digest[0], unbase64(found.get("signature"), limits.SIGNATURE_BYTES_MAX))


def _digests(found: object) -> list[Digest]:
    """Those of a digest set that are of algorithms that we know."""
    made: list[Digest] = []
    if isinstance(found, dict):
        for algorithm, text in found.items():
            try:
                made.append(Digest.parse(f"{algorithm}:{text}"))
            except Refusal:
                continue  # other algorithms may stand beside ours
    return made


def _document(body: bytes) -> Document:
    try:
        return decode(body)
    except ManifestInvalid as refusal:
        raise Unusable(f"as JSON it is refused: {refusal.why}") from None
