"""`services` of the configuration: the catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from pierhead.boot import config_values as values
from pierhead.boot.config_faults import Faults, Path, Wrong
from pierhead.boot.config_fit import fit, fit_value
from pierhead.boot.config_shape import ServiceShape, TopShape
from pierhead.domain.catalogue import Catalogue, Service


def services_of(top: TopShape, faults: Faults, lines: Mapping[Path, int]) -> Catalogue:
    """The catalogue. An image and a project belong to one service each."""
    made: dict[str, Service] = {}
    owners: dict[tuple[str, str], str] = {}
    for text, value in top.services.items():
        path: Path = ("services", text)
        name = fit_value(_service_name, text, path, faults)
        shape = fit(ServiceShape, value, path, faults, lines)
        if name is None or shape is None:
            continue
        made[name] = one = Service(
            name=name,
            image=shape.image,
            project_id=shape.project_id,
            repository_id=shape.repository_id,
            owner=shape.owner,
            description=shape.description,
        )
        for key in ("image", "project_id", "repository_id"):
            said = str(getattr(one, key))
            if said and (other := owners.setdefault((key, said), name)) != name:
                faults.add((*path, key), f"is already that of the service `{other}`.", said)
    return Catalogue(made.values())


def _service_name(value: str) -> str:
    try:
        return values.stage_name(value)
    except Wrong:
        raise Wrong("cannot be a service: lower-case letters and digits, with . _ or - between them.") from None
