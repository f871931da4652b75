"""The service catalogue: what belongs to each service, what is kept of it, and images that belong to none."""

from __future__ import annotations

from typing import Final

from pierhead.actions.list_services import ListedService, ServicePlace, State, list_services
from pierhead.domain.refusals import QueryInvalid
from pierhead.faces.rest import shapes
from pierhead.faces.rest.call import Call, cursor_of
from pierhead.faces.rest.route import PAGE, Need, Parameter, Route
from pierhead.faces.rest.shapes import Json

_IMAGE: Final = "/"
_KNOWN: Final = tuple(state.value for state in State)


async def services(call: Call) -> Json:
    """Services in the order of the catalogue, then images without one, by name."""
    found, following = await list_services(
        call.parts.store, call.table, call.who, _wanted(call), _place(call.cursor()), call.limit()
    )
    cursor = None if following is None else cursor_of(following.service or _IMAGE + following.image)
    return shapes.page([_shape(one) for one in found], cursor)


_STATE: Final = Parameter("state", "only what is `pushed`, `missing` (never pushed) or `unlisted` (in no catalogue)")
ROUTE: Final = Route(
    "GET",
    "/services",
    Need.SEEN,
    services,
    "The services of the catalogue with what is kept of each, then images that belong to none.",
    (_STATE, *PAGE[1:]),
    pages=True,
)


def _wanted(call: Call) -> State | None:
    text = call.query.get("state")
    if text is None:
        return None
    if text not in _KNOWN:
        raise QueryInvalid("state", f"it is one of {', '.join(_KNOWN)}")
    return State(text)


def _place(cursor: str) -> ServicePlace:
    """No service's name begins with a slash, so that one tells the two kinds apart."""
    if cursor.startswith(_IMAGE):
        return ServicePlace(image=cursor.removeprefix(_IMAGE))
    return ServicePlace(service=cursor)


def _shape(found: ListedService) -> Json:
    service, judged = found.service, found.judged
    changes = [row.pushed for row in found.kept if row.pushed is not None]
    return {
        "service": None if service is None else service.name,
        "image": found.image,
        "state": found.state.value,
        "project_id": None if service is None else service.project_id or None,
        "repository_id": None if service is None else service.repository_id or None,
        "owner": None if service is None else service.owner or None,
        "description": None if service is None else service.description or None,
        "changed": shapes.instant(max(changes, default=None)),
        "repositories": [
            {"name": row.repository, "tags": row.tags, "changed": shapes.instant(row.pushed)} for row in found.kept
        ],
        "naming": None
        if judged is None
        else {
            "rule": judged.rule,
            "action": "refuse" if judged.refuses else "warn",
            "message": judged.sentence,
            "suggestion": judged.right,
        },
    }
