"""What an attached manifest is, in the words that gates use."""

from __future__ import annotations

import json
from typing import Final

# in-toto attestations say what they state beside their layers: BuildKit ("attestation storage") and cosign attest.
_PREDICATES: Final = ("in-toto.io/predicate-type", "predicateType")


def types_of(artifact_type: str, body: bytes) -> set[str]:
    """The artifact type, the media types of the layers, and the predicates of attestations. ``body`` was parsed before
    it was stored; what is odd in it gives nothing."""
    found = {artifact_type} if artifact_type else set()
    try:
        document = json.loads(body)
    except ValueError:
        return found
    layers = document.get("layers") if isinstance(document, dict) else None
    for layer in layers if isinstance(layers, list) else ():
        if not isinstance(layer, dict):
            continue
        annotations = layer.get("annotations")
        told = annotations if isinstance(annotations, dict) else {}
        words = (layer.get("mediaType"), *(told.get(key) for key in _PREDICATES))
        found.update(word for word in words if isinstance(word, str))
    return found
