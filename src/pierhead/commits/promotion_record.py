"""The record of a promotion, attached to the image that it brought, in the transaction of the promotion."""

from __future__ import annotations

from pierhead.commits.audit import record as tell
from pierhead.commits.promotion_values import Done, OnDone
from pierhead.domain.digest import Descriptor, Digest
from pierhead.domain.dsse import BUNDLE
from pierhead.domain.manifest import OCI_MANIFEST
from pierhead.domain.promotion_record import (
    EMPTY,
    Approval,
    End,
    Promoted,
    envelope,
    manifest,
    message,
    payload,
)
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import BlobId, BlobState, NewManifest
from pierhead.ports.record_keys import RecordSigner


def recording(signer: RecordSigner) -> OnDone:
    """Told of a promotion, it attaches a record that ``signer`` signs."""

    def on_done(tx: Tx, done: Done) -> None:
        attach(tx, done, signer)

    return on_done


def attach(tx: Tx, done: Done, signer: RecordSigner) -> Digest:
    """Writes the record as a referrer of what was promoted; its manifest's digest. Raises OSError without a key."""
    statement = payload(promoted_of(tx, done))
    key_id, signature = signer.sign(message(statement))
    record = envelope(statement, signature, key_id)
    blobs = (_blob(tx, done, EMPTY), _blob(tx, done, record))
    sizes = tx.manifests.sizes([done.manifest])
    subject = Descriptor(done.row.digest, sizes[done.row.digest], done.members[0].media_type)
    body = manifest(subject, record, tx.now)
    digest = Digest.of(body)
    made = tx.manifests.put(NewManifest(digest, OCI_MANIFEST, BUNDLE, body, subject.digest, blobs, ()))
    tx.manifests.link(done.target, [made])
    tx.manifests.refer(done.target, subject.digest, BUNDLE, made)
    row = done.row
    what = {
        "repository": row.target_repository,
        "image": row.image,
        "digest": row.digest,
        "promotion": row.id,
        "record": digest,
        "key": key_id,
    }
    tell(tx, "promotion recorded", row.account, what, done.move.circumstances, done.target)
    return digest


def promoted_of(tx: Tx, done: Done) -> Promoted:
    """What the record tells."""
    row = done.row
    gates = row.told.get("gates")
    comment = row.told.get("comment")
    return Promoted(
        number=row.id,
        kind=row.kind,
        image=row.image,
        digest=row.digest,
        tags=row.tags,
        source=End(row.source_repository, row.source_stage),
        target=End(row.target_repository, row.target_stage),
        account=row.account,
        requested=row.requested,
        done=tx.now,
        comment=comment if isinstance(comment, str) else "",
        before=row.before,
        gates=[one for one in gates if isinstance(one, dict)] if isinstance(gates, list) else (),
        approvals=[Approval(one.account, one.at, one.comment) for one in done.votes if one.approved],
    )


def _blob(tx: Tx, done: Done, content: bytes) -> BlobId:
    """Small enough to lie in its row; one that is here already becomes the image's as well."""
    digest = Digest.of(content)
    row = tx.blobs.rows([digest]).get(digest)
    if row is not None and row.state in (BlobState.LIVE, BlobState.CONDEMNED):
        blob = row.id
        tx.blobs.lease(done.target, [blob], tx.now)  # a condemned one is live again
    else:
        blob = tx.blobs.land(digest, len(content), "", content)[0]
    tx.blobs.link(done.target, [blob])
    return blob
