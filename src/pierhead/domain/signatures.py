"""Whether something signs an image: what cosign attaches, read and judged, with the cryptography left to the caller.

Sources: cosign's SIGNATURE_SPEC ("Payloads", "OCI Image Manifest V1") and BUNDLE_SPEC, containers-signature(5) for
simple signing. A signature counts when it is good under the key that was given, and what it is over names this very
digest. A certificate, an entry of a log or a time stamp beside it is not looked at: the key is what is trusted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final, cast

from msgspec import Struct

from pierhead.domain import limits
from pierhead.domain.digest import Descriptor, Digest
from pierhead.domain.dsse import (
    BUNDLE,
    Envelope,
    MessageSignature,
    Unusable,
    read_bundle,
    read_statement,
    unbase64,
)
from pierhead.domain.names import Tag
from pierhead.domain.refusals import ManifestInvalid, Refusal
from pierhead.domain.strict_json import decode

SIMPLE_SIGNING: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
ARTIFACT: Final = "application/vnd.dev.cosign.artifact.sig.v1+json"
SIGNATURE: Final = "dev.cosignproject.cosign/signature"
SIGN_PREDICATE: Final = "https://sigstore.dev/cosign/sign/v1"
NO_SIGNATURE: Final = "it is a statement about the image and no signature of it"
"""What is said of attestations, which are attached in the same form: they are no forged signatures."""
REFERRER_TYPES: Final = (BUNDLE, ARTIFACT)
_TYPE: Final = "cosign container image signature"

Verify = Callable[[bytes, bytes], bool]
"""(message, signature) -> whether it is good under the key that is trusted."""


class Layer(Struct, frozen=True):
    """What may hold a signature: its content, and the signature that stands beside it in cosign's older form."""

    content: Descriptor
    signature: str


def tag_of(digest: Digest) -> Tag | None:
    """Under which cosign keeps signatures of a digest in its older way; None for a digest too long for a tag."""
    if digest.algorithm != "sha256":
        return None
    return Tag.parse(f"sha256-{digest.hex}.sig")


def layers_of(body: bytes) -> list[Layer]:
    """Those of an attached manifest that may hold signatures, the first few. ``body`` was parsed before it was stored;
    what is odd in it gives nothing."""
    try:
        document: object = json.loads(body)
    except ValueError:
        return []
    layers = document.get("layers") if isinstance(document, dict) else None
    found: list[Layer] = []
    for one in cast("list[object]", layers) if isinstance(layers, list) else ():
        if not isinstance(one, dict) or one.get("mediaType") not in (SIMPLE_SIGNING, BUNDLE):
            continue
        annotations, size = one.get("annotations"), one.get("size")
        signature = annotations.get(SIGNATURE) if isinstance(annotations, dict) else None
        try:
            content = Descriptor(Digest.parse(str(one.get("digest"))), int(str(size)), str(one["mediaType"]))
        except (Refusal, ValueError):
            continue
        found.append(Layer(content, signature if isinstance(signature, str) else ""))
        if len(found) == limits.SIGNATURES_PER_ENVELOPE_MAX:
            break
    return found


def too_large(layer: Layer) -> str | None:
    """Why its content is not even read."""
    most = limits.BUNDLE_BYTES_MAX if layer.content.media_type == BUNDLE else limits.SIGNATURE_PAYLOAD_BYTES_MAX
    if layer.content.size > most:
        return f"it has {layer.content.size} bytes, and at most {most} are read"
    return None


def wrong_with(layer: Layer, content: bytes, subject: Digest, manifest: bytes, verify: Verify) -> str | None:
    """None if it signs ``subject``, whose bytes are ``manifest``; else a clause that says why it does not."""
    if len(content) != layer.content.size or Digest.of(content, layer.content.digest.algorithm) != layer.content.digest:
        return "its bytes are not those that its digest names"
    try:
        if layer.content.media_type == SIMPLE_SIGNING:
            return _simple(layer, content, subject, verify)
        found = read_bundle(content)
        if isinstance(found, MessageSignature):
            return _message(found, subject, manifest, verify)
        return _envelope(found, subject, verify)
    except Unusable as unusable:
        return unusable.why


def _simple(layer: Layer, payload: bytes, subject: Digest, verify: Verify) -> str | None:
    if not layer.signature:
        return "there is no signature beside its payload"
    if not verify(payload, unbase64(layer.signature, limits.SIGNATURE_BYTES_MAX)):
        return "it is not good under the key"
    try:
        document = decode(payload)
    except ManifestInvalid as refusal:
        return f"its payload is refused as JSON: {refusal.why}"
    critical = document.get("critical")
    image = critical.get("image") if isinstance(critical, dict) else None
    said = image.get("docker-manifest-digest") if isinstance(image, dict) else None
    if not isinstance(critical, dict) or critical.get("type") != _TYPE:
        return "its payload is no signature of an image"
    if said != subject:
        return "it signs another image"
    return None


def _message(found: MessageSignature, subject: Digest, manifest: bytes, verify: Verify) -> str | None:
    if found.digest != subject or Digest.of(manifest, subject.algorithm) != subject:
        return "it signs another image"
    return None if verify(manifest, found.signature) else "it is not good under the key"


def _envelope(found: Envelope, subject: Digest, verify: Verify) -> str | None:
    if _predicate(found) not in (None, SIGN_PREDICATE):
        return NO_SIGNATURE
    if not any(verify(found.message, signature) for signature in found.signatures):
        return "it is not good under the key"
    return None if subject in read_statement(found).subjects else "it signs another image"


def _predicate(found: Envelope) -> str | None:
    """What it says that it states, before that is believed."""
    try:
        return read_statement(found).predicate_type
    except Unusable:
        return None


def clause(reasons: Sequence[str], faults: Sequence[str] = ()) -> str:
    """Why an image does not count as signed: ``reasons`` are those of each signature that it has, ``faults`` those of
    keys that could not be used."""
    reasons = [one for one in reasons if one != NO_SIGNATURE]
    words = "; ".join(dict.fromkeys(reasons))
    if not reasons:
        told = "it has no signature"
    elif len(reasons) == 1:
        told = f"it has a signature that does not count: {words}"
    else:
        told = f"it has {len(reasons)} signatures of which none counts: {words}"
    return "; ".join((told, *faults))
