"""What a promotion leaves with the image: a statement of who took it from where to where, under which gates.

The statement is of in-toto's form with a predicate of our own. It stays small enough to lie in a row of the database,
so that it is written in the very transaction that it tells of; what is too long for that is left out, and said to be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct, field

from pierhead.domain import limits
from pierhead.domain.digest import Descriptor, Digest
from pierhead.domain.dsse import BUNDLE, IN_TOTO, bundle, pae, statement
from pierhead.domain.manifest import OCI_MANIFEST

PREDICATE: Final = "urn:pierhead:promotion:v1"
PREDICATE_NOTE: Final = "dev.sigstore.bundle.predicateType"
EMPTY: Final = b"{}"
EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
_CONTENT_NOTE: Final = "dev.sigstore.bundle.content"
_SHORT_ENTRIES_MAX: Final = 12
_CREATED_NOTE: Final = "org.opencontainers.image.created"


class End(Struct, frozen=True):
    """One end of the way. ``stage`` is empty for a repository that is none."""

    repository: str
    stage: str

    @property
    def document(self) -> dict[str, object]:
        """As JSON."""
        return {"repository": self.repository, "stage": self.stage or None}


class Approval(Struct, frozen=True):
    """``at`` in microseconds since 1970."""

    account: str
    at: int
    comment: str


class Promoted(Struct, frozen=True):
    """Instants in microseconds since 1970. ``before`` is what the target held, None if that was nothing; ``gates`` are
    verdicts as JSON objects."""

    number: int
    kind: str
    image: str
    digest: Digest
    tags: Sequence[str]
    source: End
    target: End
    account: str
    requested: int
    done: int
    comment: str = ""
    before: Digest | None = None
    gates: Sequence[Mapping[str, object]] = ()
    approvals: Sequence[Approval] = field(default=())


def predicate(told: Promoted, *, short: bool = False) -> dict[str, object]:
    """As JSON; ``short`` leaves the words of people and of gates out."""
    gates, approvals = [dict(one) for one in told.gates], list(told.approvals)
    if short:
        gates = [{key: one[key] for key in ("gate", "state") if key in one} for one in gates[:_SHORT_ENTRIES_MAX]]
        approvals = approvals[:_SHORT_ENTRIES_MAX]
    document: dict[str, object] = {
        "promotion": told.number,
        "kind": told.kind,
        "image": told.image,
        "tags": list(told.tags),
        "from": told.source.document,
        "to": told.target.document,
        "by": told.account,
        "requested": instant(told.requested),
        "done": instant(told.done),
        "comment": "" if short else told.comment,
        "before": told.before,
        "gates": gates,
        "approvals": [
            {"by": one.account, "at": instant(one.at), "comment": "" if short else one.comment} for one in approvals
        ],
    }
    return {**document, "shortened": True} if short else document


def payload(told: Promoted) -> bytes:
    """The statement, at most RECORD_PAYLOAD_BYTES_MAX bytes of it."""
    name = f"{told.target.repository}/{told.image}"
    whole = statement(told.digest, name, PREDICATE, predicate(told))
    if len(whole) <= limits.RECORD_PAYLOAD_BYTES_MAX:
        return whole
    return statement(told.digest, name, PREDICATE, predicate(told, short=True))


def message(statement: bytes) -> bytes:
    """What the signature is over."""
    return pae(IN_TOTO, statement)


def envelope(statement: bytes, signature: bytes, key_id: str) -> bytes:
    """The record as it is kept."""
    return bundle(statement, signature, key_id)


def manifest(subject: Descriptor, record: bytes, done: int) -> bytes:
    """The manifest that attaches a record to what was promoted."""
    content = Digest.of(record)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": BUNDLE,
        "config": {"mediaType": EMPTY_TYPE, "digest": Digest.of(EMPTY), "size": len(EMPTY)},
        "layers": [{"mediaType": BUNDLE, "digest": content, "size": len(record)}],
        "subject": {"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size},
        "annotations": {
            _CONTENT_NOTE: "dsse-envelope",
            PREDICATE_NOTE: PREDICATE,
            _CREATED_NOTE: instant(done),
        },
    }
    return json.dumps(document, separators=(",", ":")).encode()


def instant(micros: int) -> str:
    """RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(micros // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
