"""The contract of public keys in files, kept by the adapter that reads PEM."""

from __future__ import annotations

from pathlib import Path

import pytest

from pierhead.adapters.public_keys import PemKeys, keys_in
from tests.peers.cosign import Signer

KEYS = {"ECDSA": Signer.ecdsa(), "Ed25519": Signer.ed25519(), "RSA": Signer.rsa()}
ECDSA = KEYS["ECDSA"]


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_verifies_what_it_signed_and_nothing_else(kind: str) -> None:
    (key,) = keys_in(KEYS[kind].public)
    good = KEYS[kind].sign(b"message")
    assert key.verifies(b"message", good)
    for message, signature in (
        (b"message ", good), (b"", good), (b"message", b""), (b"message", good[:-1]), (b"message", good + b"x"),
        (b"message", bytes(len(good))), (b"message", b"garbage" * 100),
        *((b"message", other.sign(b"message")) for name, other in KEYS.items() if name != kind),
    ):  # fmt: skip
        assert not key.verifies(message, signature)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "holds no public key"),
        (b"garbage", "holds no public key"),
        (b"x" * 100_000, "has more than"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "damaged"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "holds a private key"),
        (
            b"-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\nAA\n-----END ENCRYPTED COSIGN PRIVATE KEY-----",
            "a private key",
        ),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds a certificate"),
    ],
)
def test_a_file_that_holds_no_public_key_is_said_to_hold_none(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "cosign.pub").write_bytes(data)
    files = PemKeys().read([str(tmp_path / "cosign.pub"), str(tmp_path / "missing.pub")])
    assert not files.keys
    assert files.faults[0].startswith("cosign.pub ")
    assert said in files.faults[0]
    assert files.faults[1] == "missing.pub cannot be read (no such file or directory)"
    assert not files.verifies(b"", b"")


def test_keys_of_other_curves_and_short_ones_are_not_taken() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    for private, said in (
        (ec.generate_private_key(ec.SECP384R1()), "secp384r1"),
        (rsa.generate_private_key(65537, 1024), "1024 bits"),
    ):
        with pytest.raises(ValueError, match=said):
            keys_in(Signer(private).public)


def test_a_file_may_hold_two_keys_while_one_is_exchanged(tmp_path: Path) -> None:
    new = Signer.ed25519()
    (tmp_path / "both.pub").write_bytes(ECDSA.public + b"# the next one\n" + new.public)
    files = PemKeys().read([str(tmp_path / "both.pub")])
    assert len(files.keys) == 2
    assert files.verifies(b"x", ECDSA.sign(b"x"))
    assert files.verifies(b"x", new.sign(b"x"))
