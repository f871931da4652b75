"""Routes of what tags were, of undo, and of expiry."""

from __future__ import annotations

from typing import Final

from pierhead.faces.rest import expiry, undo
from pierhead.faces.rest.route import LIMIT, PAGE, Need, Parameter, Route

_IMAGE: Final = "/repositories/{repository}/images/{image}/-"
_ROLLBACK: Final = (
    Parameter("to", "a digest that the tag stood for"),
    Parameter("steps", "in place of `to`: how many changes back; 1 without it"),
    Parameter("seen", "what the tag stands for as one saw it: if it moved meanwhile, nothing is done"),
)

ROUTES: Final = (
    Route(
        "GET",
        "/repositories/{repository}/deleted",
        Need.PULL,
        undo.deleted,
        "What was deleted or overwritten and can be brought back, the latest first.",
        PAGE[1:],
        pages=True,
    ),
    Route("GET", f"{_IMAGE}/deleted", Need.PULL, undo.deleted_of_image, "The same of one image.", PAGE[1:], pages=True),
    Route(
        "POST",
        f"{_IMAGE}/tags/{{tag}}/rollback",
        Need.PUSH,
        undo.rollback,
        "Puts the tag back to what it stood for before. A tag that is written once stays.",
        body=_ROLLBACK,
    ),
    Route(
        "POST",
        f"{_IMAGE}/tags/{{tag}}/restore",
        Need.PUSH,
        undo.restore_tag,
        "Brings a deleted tag back.",
        body=(Parameter("digest", "one that the tag stood for; without it the last"),),
    ),
    Route(
        "POST",
        f"{_IMAGE}/manifests/{{digest}}/restore",
        Need.PUSH,
        undo.restore_manifest,
        "Brings a deleted image back, with its tags.",
    ),
    Route(
        "DELETE",
        f"{_IMAGE}/deleted/{{digest}}",
        Need.DELETE,
        undo.purge,
        "Gives a deleted image up for good: its space need not wait.",
    ),
    Route(
        "GET",
        "/expiry",
        Need.OPERATE,
        expiry.preview,
        "What rules would take away, what it frees, and which pulls it would have broken. Changes nothing.",
        (LIMIT,),
    ),
    Route("POST", "/expiry", Need.OPERATE, expiry.run, "Carries the rules out now, in small transactions.", (LIMIT,)),
)
