"""Signatures as cosign publishes that it makes them. Neither cosign itself nor another program that signs so can be had
where the tests run (Debian's skopeo, podman and buildah are built without it), so they are made with `cryptography`
after cosign's SIGNATURE_SPEC and BUNDLE_SPEC.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from tests.peers.images import OCI_CONFIG, OCI_EMPTY, OCI_MANIFEST, Blob, Image, Index, json_blob, sha256

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIGN = "https://sigstore.dev/cosign/sign/v1"

Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Signer:
    """A pair of keys."""

    private: Private

    @classmethod
    def ecdsa(cls) -> Signer:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def ed25519(cls) -> Signer:
        return cls(ed25519.Ed25519PrivateKey.generate())

    @classmethod
    def rsa(cls) -> Signer:
        return cls(rsa.generate_private_key(65537, 2048))

    def sign(self, message: bytes) -> bytes:
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return self.private.sign(message, ec.ECDSA(hashes.SHA256()))
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return self.private.sign(message)

    @property
    def public(self) -> bytes:
        """`cosign.pub`."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def payload(digest: str, **more: object) -> bytes:
    """What cosign signs in its older form."""
    critical = {
        "identity": {"docker-reference": "example.org/signed"},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    return json.dumps({"critical": {**critical, **more}, "optional": None}).encode()


def simple(
    signer: Signer, signed: bytes, subject: Image | Index | None = None, *, shown: bytes | None = None,
    signature: str | None = None,
) -> Image:  # fmt: skip
    """The manifest that cosign pushes under sha256-….sig; with a subject it is a referrer (OCI 1.1). ``shown`` is a
    payload that is there in place of the signed one, ``signature`` a text in place of the right one."""
    blob = Blob(signed if shown is None else shown, SIMPLE_SIGNING)
    text = _b64(signer.sign(signed)) if signature is None else signature
    config = Blob(b'{"architecture":"","os":"","config":{},"rootfs":{"type":"layers","diff_ids":[]}}', OCI_CONFIG)
    content: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.descriptor(),
        "layers": [blob.descriptor(annotations={"dev.cosignproject.cosign/signature": text})],
    }
    if subject is not None:
        content |= {"artifactType": ARTIFACT, "subject": subject.manifest.descriptor()}
    return Image(json_blob(content, OCI_MANIFEST), config, (blob,))


def statement(digest: str, predicate_type: str = SIGN) -> bytes:
    """An in-toto statement about one digest."""
    subject = {"name": "", "digest": {"sha256": digest.removeprefix("sha256:")}}
    return json.dumps(
        {"_type": "https://in-toto.io/Statement/v1", "subject": [subject], "predicateType": predicate_type,
         "predicate": {}}
    ).encode()  # fmt: skip


def envelope(signer: Signer, signed: bytes, kind: str = "application/vnd.in-toto+json") -> dict[str, object]:
    """DSSE."""
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(signed), signed)
    return {"payload": _b64(signed), "payloadType": kind, "signatures": [{"sig": _b64(signer.sign(message))}]}


def bundle(subject: Image | Index, **content: object) -> Image:
    """The referrer that cosign pushes since its third version; ``content`` is dsseEnvelope or messageSignature."""
    document = {"mediaType": BUNDLE, "verificationMaterial": {"publicKey": {"hint": "x"}}, **content}
    return raw_bundle(subject, json.dumps(document).encode())


def raw_bundle(subject: Image | Index, data: bytes, annotations: Mapping[str, str] | None = None) -> Image:
    """With any bytes as the bundle."""
    blob, empty = Blob(data, BUNDLE), Blob(b"{}", OCI_EMPTY)
    content = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": BUNDLE,
        "config": empty.descriptor(),
        "layers": [blob.descriptor()],
        "subject": subject.manifest.descriptor(),
        **({"annotations": dict(annotations)} if annotations else {}),
    }
    return Image(json_blob(content, OCI_MANIFEST), empty, (blob,))


def message_signature(signer: Signer, message: bytes, said: bytes | None = None) -> dict[str, object]:
    """Of the bytes of a manifest; ``said`` are others whose digest is named."""
    digest = bytes.fromhex(sha256(message if said is None else said)[7:])
    return {
        "messageDigest": {"algorithm": "SHA2_256", "digest": _b64(digest)},
        "signature": _b64(signer.sign(message)),
    }


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
