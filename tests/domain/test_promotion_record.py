"""What a record of a promotion says, and that it is always small enough to lie in a row."""

from __future__ import annotations

import json

from msgspec.structs import replace

from pierhead.domain import limits
from pierhead.domain.digest import Descriptor, Digest
from pierhead.domain.dsse import Envelope, read_bundle, read_statement
from pierhead.domain.manifest import OCI_MANIFEST, Manifest, parse
from pierhead.domain.promotion_record import PREDICATE, Approval, End, Promoted, envelope, manifest, message, payload

SUBJECT = Digest.of(b"image")
TOLD = Promoted(
    number=418, kind="promotion", image="orchestrator/server", digest=SUBJECT, tags=["1.4.1"],
    source=End("docker-hosted-uat", "uat"), target=End("docker-hosted-prod", ""), account="anna",
    requested=1_700_000_000_000_000, done=1_700_000_060_000_000, comment="fixes the login", before=Digest.of(b"old"),
    gates=[{"gate": "age", "state": "passes", "evidence": "for 26 hours"}],
    approvals=[Approval("ben", 1_700_000_050_000_000, "fine")],
)  # fmt: skip


def test_a_record_says_who_what_from_where_to_where_when_and_why_it_was_let_through() -> None:
    found = json.loads(payload(TOLD))
    assert found["subject"] == [{"name": "docker-hosted-prod/orchestrator/server", "digest": {"sha256": SUBJECT.hex}}]
    assert found["predicateType"] == PREDICATE
    assert found["predicate"] == {
        "promotion": 418,
        "kind": "promotion",
        "image": "orchestrator/server",
        "tags": ["1.4.1"],
        "from": {"repository": "docker-hosted-uat", "stage": "uat"},
        "to": {"repository": "docker-hosted-prod", "stage": None},
        "by": "anna",
        "requested": "2023-11-14T22:13:20Z",
        "done": "2023-11-14T22:14:20Z",
        "comment": "fixes the login",
        "before": Digest.of(b"old"),
        "gates": [{"gate": "age", "state": "passes", "evidence": "for 26 hours"}],
        "approvals": [{"by": "ben", "at": "2023-11-14T22:14:10Z", "comment": "fine"}],
    }


def test_it_is_read_back_as_it_was_written() -> None:
    statement = payload(TOLD)
    found = read_bundle(envelope(statement, b"signature", "key"))
    assert isinstance(found, Envelope)
    assert (found.payload, found.message, found.signatures) == (statement, message(statement), (b"signature",))
    assert read_statement(found).subjects == (SUBJECT,)
    record = envelope(statement, b"signature", "key")
    parsed = parse(manifest(Descriptor(SUBJECT, 5, OCI_MANIFEST), record, TOLD.done), None)
    assert isinstance(parsed, Manifest)
    assert parsed.subject == Descriptor(SUBJECT, 5, OCI_MANIFEST)
    assert parsed.layers[0].digest == Digest.of(record)
    assert parsed.annotations["dev.sigstore.bundle.predicateType"] == PREDICATE


def test_a_record_that_would_be_too_long_leaves_words_out_and_says_so() -> None:
    name = "ü" * 255
    huge = replace(
        TOLD, account=name, image="a" * 255, tags=["t" * 128] * 20, comment="ü" * 2_000,
        gates=[{"gate": "approvals", "state": "passes", "evidence": "e" * 3_000, "opens": None, "who": ["w"]}] * 40,
        approvals=[Approval(name, 0, "ü" * 2_000)] * 20,
    )  # fmt: skip
    statement = payload(huge)
    found = json.loads(statement)["predicate"]
    assert found["shortened"]
    assert (found["by"], len(found["tags"]), found["gates"][0]) == (name, 20, {"gate": "approvals", "state": "passes"})
    assert len(envelope(statement, bytes(72), "f" * 64)) <= limits.BLOB_INLINE_BYTES_MAX
    assert "shortened" not in json.loads(payload(TOLD))["predicate"]
