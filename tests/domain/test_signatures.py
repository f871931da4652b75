"""A signature counts when it is good under the key and over this image; each forged one is refused, with the reason."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from pierhead.adapters.public_keys import keys_in
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.dsse import BUNDLE, Envelope, pae, read_bundle, read_statement
from pierhead.domain.signatures import clause, layers_of, tag_of, too_large, wrong_with
from tests.peers import cosign
from tests.peers.cosign import Signer
from tests.peers.images import Image, image

IMAGE, OTHER = image(seed=1), image(seed=2)
SUBJECT = Digest.parse(IMAGE.digest)
KEYS = {"ECDSA": Signer.ecdsa(), "Ed25519": Signer.ed25519(), "RSA": Signer.rsa()}
ECDSA = KEYS["ECDSA"]
NOT_GOOD, ANOTHER = "it is not good under the key", "it signs another image"


def found(attached: Image, signer: Signer = ECDSA) -> str | None:
    """What is wrong with the one signature in ``attached``, under the key of ``signer``."""
    (layer,) = layers_of(attached.manifest.data)
    (key,) = keys_in(signer.public)
    content = next(one.data for one in attached.blobs if one.digest == layer.content.digest)
    return too_large(layer) or wrong_with(layer, content, SUBJECT, IMAGE.manifest.data, key.verifies)


Make = Callable[[Signer], Image]
FORMS: dict[str, Make] = {
    "under a tag": lambda key: cosign.simple(key, cosign.payload(SUBJECT)),
    "as a referrer": lambda key: cosign.simple(key, cosign.payload(SUBJECT), IMAGE),
    "as a bundle with an envelope": lambda key: cosign.bundle(
        IMAGE, dsseEnvelope=cosign.envelope(key, cosign.statement(SUBJECT))
    ),
    "as a bundle with a signature of the manifest": lambda key: cosign.bundle(
        IMAGE, messageSignature=cosign.message_signature(key, IMAGE.manifest.data)
    ),
}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("form", FORMS)
def test_a_good_signature_counts_in_every_form_and_with_every_kind_of_key(form: str, kind: str) -> None:
    assert found(FORMS[form](KEYS[kind]), KEYS[kind]) is None


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("form", FORMS)
def test_a_signature_by_another_key_does_not_count(form: str, kind: str) -> None:
    for other in (Signer.ecdsa(), Signer.ed25519()):
        assert found(FORMS[form](other), KEYS[kind]) == NOT_GOOD


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def envelope(**changed: object) -> Image:
    """A good one with something changed in it."""
    made = cosign.envelope(ECDSA, cosign.statement(SUBJECT)) | changed
    return cosign.bundle(IMAGE, dsseEnvelope=made)


def message(**changed: object) -> Image:
    return cosign.bundle(IMAGE, messageSignature=cosign.message_signature(ECDSA, IMAGE.manifest.data) | changed)


GOOD = cosign.payload(SUBJECT)
FORGED: dict[str, tuple[Image, str]] = {
    "payload of another image": (cosign.simple(ECDSA, cosign.payload(OTHER.digest)), ANOTHER),
    "payload exchanged for a right one": (cosign.simple(ECDSA, cosign.payload(OTHER.digest), shown=GOOD), NOT_GOOD),
    "payload with a byte more": (cosign.simple(ECDSA, GOOD, shown=GOOD + b" "), NOT_GOOD),
    "digest in capitals": (cosign.simple(ECDSA, cosign.payload(SUBJECT.upper())), ANOTHER),
    "digest by another hash": (cosign.simple(ECDSA, cosign.payload("sha512:" + "0" * 128)), ANOTHER),
    "another kind of payload": (cosign.simple(ECDSA, cosign.payload(SUBJECT, type="atomic container signature")),
                                "its payload is no signature of an image"),
    "payload without an image": (cosign.simple(ECDSA, cosign.payload(SUBJECT, image=None)), ANOTHER),
    "payload that is a list": (cosign.simple(ECDSA, b"[]"), "its payload is refused as JSON: it is not a JSON object"),
    "payload with a key twice": (cosign.simple(ECDSA, b'{"critical":1,"critical":{}}'),
                                 "its payload is refused as JSON: the key `critical` is given twice in one object"),
    "payload that is deep": (cosign.simple(ECDSA, b'{"a":' + b"[" * 500 + b"]" * 500 + b"}"), "nested deeper"),
    "payload that is huge": (cosign.simple(ECDSA, GOOD + b" " * limits.SIGNATURE_PAYLOAD_BYTES_MAX), "at most"),
    "no signature": (cosign.simple(ECDSA, GOOD, signature=""), "there is no signature beside its payload"),
    "signature that is no base64": (cosign.simple(ECDSA, GOOD, signature="***"), "no base64"),
    "signature that is no text": (cosign.simple(ECDSA, GOOD, signature="ü"), "no base64"),
    "signature that is huge": (cosign.simple(ECDSA, GOOD, signature=b64(bytes(1 << 20))), "more than 4096 bytes"),
    "signature that is garbage": (cosign.simple(ECDSA, GOOD, signature=b64(b"garbage")), NOT_GOOD),
    "signature of nothing": (cosign.simple(ECDSA, GOOD, signature=b64(ECDSA.sign(b""))), NOT_GOOD),
    "signature of the digest": (cosign.simple(ECDSA, GOOD, signature=b64(ECDSA.sign(SUBJECT.encode()))), NOT_GOOD),
    "statement about another image": (envelope(**cosign.envelope(ECDSA, cosign.statement(OTHER.digest))), ANOTHER),
    "statement exchanged": (envelope(payload=b64(cosign.statement(OTHER.digest))), NOT_GOOD),
    "statement that is no signature": (envelope(**cosign.envelope(ECDSA, cosign.statement(SUBJECT, "https://slsa.dev/x"))),
                                       "it is a statement about the image and no signature of it"),
    "type of payload exchanged": (envelope(payloadType="text/plain"), NOT_GOOD),
    "another type of payload": (envelope(**cosign.envelope(ECDSA, cosign.statement(SUBJECT), "text/plain")),
                                "it is no in-toto statement"),
    "payload signed without its type": (
        envelope(signatures=[{"sig": b64(ECDSA.sign(cosign.statement(SUBJECT)))}]), NOT_GOOD),
    "envelope without signatures": (envelope(signatures=[]), "none or more than 64 signatures"),
    "envelope with many signatures": (envelope(signatures=[{"sig": ""}] * 65), "none or more than 64 signatures"),
    "envelope with odd signatures": (envelope(signatures=["x"]), "no base64"),
    "message of another image": (
        cosign.bundle(IMAGE, messageSignature=cosign.message_signature(ECDSA, OTHER.manifest.data)), ANOTHER),
    "message with another digest": (
        cosign.bundle(
            IMAGE, messageSignature=cosign.message_signature(ECDSA, OTHER.manifest.data, IMAGE.manifest.data)
        ), NOT_GOOD),
    "message by a weak hash": (message(messageDigest={"algorithm": "SHA1", "digest": b64(bytes(20))}), "SHA-256"),
    "message with a short digest": (message(messageDigest={"algorithm": "SHA2_256", "digest": b64(b"x")}), "too long"),
    "bundle with both": (
        cosign.bundle(IMAGE, dsseEnvelope=cosign.envelope(ECDSA, cosign.statement(SUBJECT)),
                      messageSignature=cosign.message_signature(ECDSA, IMAGE.manifest.data)), "neither one envelope"),
    "bundle with neither": (cosign.bundle(IMAGE), "neither one envelope"),
    "bundle of another kind": (cosign.raw_bundle(IMAGE, b'{"mediaType":"text/plain"}'), "Sigstore bundle"),
    "bundle that is garbage": (cosign.raw_bundle(IMAGE, b"\xff\x00garbage"), "as JSON it is refused"),
    "bundle that is huge": (cosign.raw_bundle(IMAGE, b" " * (limits.BUNDLE_BYTES_MAX + 1)), "at most"),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_signature_does_not_count_and_the_reason_is_told(what: str) -> None:
    attached, said = FORGED[what]
    wrong = found(attached)
    assert wrong is not None
    assert said in wrong


def test_content_with_another_hash_than_its_layer_says_does_not_count() -> None:
    (layer,) = layers_of(cosign.simple(ECDSA, GOOD).manifest.data)
    (key,) = keys_in(ECDSA.public)
    for content in (GOOD[:-1] + b" ", GOOD + b" ", b""):
        wrong = wrong_with(layer, content, SUBJECT, IMAGE.manifest.data, key.verifies)
        assert wrong == "its bytes are not those that its digest names"


def test_one_good_signature_among_others_is_enough_in_an_envelope() -> None:
    good = cosign.envelope(ECDSA, cosign.statement(SUBJECT))["signatures"]
    assert isinstance(good, list)
    assert found(envelope(signatures=[{"sig": b64(b"other")}, *good])) is None


def test_manifests_that_hold_no_signature_give_none() -> None:
    for body in (IMAGE.manifest.data, b"{}", b"[]", b"", b'{"layers": 3}', b'{"layers": [3, {}]}',
                 json.dumps({"layers": [{"mediaType": BUNDLE, "digest": "x", "size": "y"}]}).encode()):  # fmt: skip
        assert layers_of(body) == []
    many = {"layers": [{"mediaType": BUNDLE, "digest": SUBJECT, "size": 1}] * 5_000}
    assert len(layers_of(json.dumps(many).encode())) == limits.SIGNATURES_PER_ENVELOPE_MAX


def test_the_tag_of_signatures_is_cosigns() -> None:
    assert tag_of(SUBJECT) == f"sha256-{SUBJECT.hex}.sig"
    assert tag_of(Digest.of(b"", "sha512")) is None


def test_why_an_image_is_not_signed_is_said_in_one_clause() -> None:
    assert clause([]) == "it has no signature"
    assert clause([NOT_GOOD]) == "it has a signature that does not count: it is not good under the key"
    assert clause([NOT_GOOD, ANOTHER, NOT_GOOD], ["x.pub cannot be read (no such file)"]) == (
        "it has 3 signatures of which none counts: it is not good under the key; it signs another image; "
        "x.pub cannot be read (no such file)"
    )


def test_the_encoding_before_signing_is_that_of_the_specification() -> None:
    """The example of DSSE's protocol.md."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    read = read_bundle(
        cosign.bundle(IMAGE, dsseEnvelope=cosign.envelope(ECDSA, cosign.statement(SUBJECT))).layers[0].data
    )
    assert isinstance(read, Envelope)
    assert read_statement(read).subjects == (SUBJECT,)


def test_a_bundle_that_the_sigstore_project_made_is_read_and_counts() -> None:
    """Made once by @sigstore/sign 4.1.1 (DSSEBundleBuilder, its own key, no witness), for an image of this digest."""
    signed = Digest.parse("sha256:5d1395884e5ef41924d7d0a98743f67dde40aa79c0699da02cc49cd605083264")
    signature = "MEUCIDDS0DKVxksGUCyipv9NtDOGxNK471H/wgS5BqLxT02/AiEAm44aU2+eYz5qE5/lOvTxmyXyqoHPDFu3eXX5ksoOdXw="
    key = (
        "-----BEGIN PUBLIC KEY-----\n"
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE+uGeAOC0CXCG7hlMkQU72d+t96NQ\n"
        "aE1hkZ3z9/7iLYknDQaGsWyUAI+ui0/kpsFaDMgm9Caph0zVZQNZB5ezIg==\n"
        "-----END PUBLIC KEY-----\n"
    )
    made = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": "x"}, "timestampVerificationData": {}},
        "dsseEnvelope": {
            "payload": b64(
                b'{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"","digest":{"sha256":"'
                + signed.hex.encode()
                + b'"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}'
            ),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [
                {
                    "sig": signature,
                    "keyid": "x",
                }
            ],
        },
    }
    attached = cosign.raw_bundle(IMAGE, json.dumps(made).encode())
    (layer,) = layers_of(attached.manifest.data)
    (public,) = keys_in(key.encode())
    content = attached.layers[0].data
    assert wrong_with(layer, content, signed, b"", public.verifies) is None
    assert wrong_with(layer, content, Digest.of(b""), b"", public.verifies) == ANOTHER
    assert wrong_with(layer, content, signed, b"", keys_in(ECDSA.public)[0].verifies) == NOT_GOOD
