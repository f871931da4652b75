"""Signatures of an image, wherever it is, judged here: nobody is asked whether they are good."""

from __future__ import annotations

from dataclasses import dataclass

from pierhead.cli.carry.cargo import Cargo, Source
from pierhead.cli.client import Fault
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.signatures import NO_SIGNATURE, REFERRER_TYPES, Verify, layers_of, tag_of, too_large, wrong_with


@dataclass(frozen=True, slots=True)
class Judged:
    """One signature, by the digest of the manifest that holds it; ``wrong`` is a clause, None for a good one."""

    manifest: Digest
    form: str
    wrong: str | None


def judge(source: Source, cargo: Cargo, subject: Digest, verify: Verify) -> list[Judged]:
    """All that are attached to ``subject``, as referrers or under cosign's tag. Raises Fault."""
    root = source.manifest(subject, "")
    if root is None:
        raise Fault(f"{subject} is not there.")
    old = cargo.tags.get(tag) if (tag := tag_of(subject)) else None
    found: list[Judged] = []
    for item in cargo.items:
        if item.digest != old and (item.subject != subject or item.artifact_type not in REFERRER_TYPES):
            continue
        body = source.manifest(item.digest, item.media_type)
        for layer in layers_of(b"" if body is None else body.data):
            wrong = too_large(layer)
            if wrong is None:
                pieces = source.pieces(layer.content.digest, 0, layer.content.size)
                wrong = wrong_with(layer, b"".join(pieces), subject, root.data, verify)
            if wrong == NO_SIGNATURE:
                continue
            found.append(Judged(item.digest, layer.content.media_type, wrong))
            if len(found) >= limits.SIGNATURES_LOOKED_AT_MAX:
                return found
    return found
