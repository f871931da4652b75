"""Records of promotions that are attached to an image, judged here with public keys."""

from __future__ import annotations

from dataclasses import dataclass

from pierhead.cli.carry.cargo import Cargo, Source
from pierhead.cli.client import Json
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.dsse import BUNDLE, Envelope, Unusable, read_bundle, read_statement
from pierhead.domain.promotion_record import PREDICATE
from pierhead.domain.signatures import Verify, layers_of, too_large


@dataclass(frozen=True, slots=True)
class Record:
    """One record, by the digest of the manifest that holds it. ``told`` is the predicate, believed only where ``wrong``
    is None; otherwise that is a clause."""

    manifest: Digest
    told: Json
    wrong: str | None


def records_of(source: Source, cargo: Cargo, subject: Digest, verify: Verify) -> list[Record]:
    """All that say that they are records of promotions of ``subject``. Raises Fault."""
    found: list[Record] = []
    for item in cargo.items:
        if item.subject != subject or item.artifact_type != BUNDLE:
            continue
        body = source.manifest(item.digest, item.media_type)
        for layer in layers_of(b"" if body is None else body.data):
            if too_large(layer) is not None:
                continue  # ours are small
            content = b"".join(source.pieces(layer.content.digest, 0, layer.content.size))
            record = _judge(item.digest, content, subject, verify)
            if record is not None:
                found.append(record)
        if len(found) >= limits.SIGNATURES_LOOKED_AT_MAX:
            break
    return sorted(found, key=lambda one: str(one.told.get("done") or ""))


def _judge(manifest: Digest, content: bytes, subject: Digest, verify: Verify) -> Record | None:
    """None for a bundle of another kind."""
    try:
        envelope = read_bundle(content)
        if not isinstance(envelope, Envelope):
            return None
        statement = read_statement(envelope)
    except Unusable:
        return None
    if statement.predicate_type != PREDICATE:
        return None
    wrong = None
    if not any(verify(envelope.message, signature) for signature in envelope.signatures):
        wrong = "it is not signed with the key"
    elif subject not in statement.subjects:
        wrong = "it tells of another image"
    return Record(manifest, dict(statement.predicate), wrong)
