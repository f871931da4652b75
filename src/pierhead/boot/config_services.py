"""`services` of the configuration: the catalogue, in the file itself or in one of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath

from pierhead.boot import config_values as values
from pierhead.boot.config_faults import ConfigFaults, Faults, Path, Wrong
from pierhead.boot.config_fit import fit, fit_value
from pierhead.boot.config_shape import ServiceShape, TopShape
from pierhead.boot.config_tree import BYTES_MAX, read_tree
from pierhead.domain.catalogue import Catalogue, Service


def services_of(top: TopShape, faults: Faults, lines: Mapping[Path, int]) -> tuple[Catalogue, bytes]:
    """The catalogue, and the content of its file, empty if it has none. An image and a project belong to one service
    each. Blocks, if there is a file."""
    if not isinstance(top.services, FilePath):
        return _read(top.services, ("services",), faults, lines), b""
    source = top.services.name
    try:
        with open(top.services, "rb") as file:
            content = file.read(BYTES_MAX + 1)
        tree = read_tree(content, source)
        inner = Faults(source, tree.lines)
        for line, path, sentence in tree.complaints:
            inner.add(path, sentence, line=line)
        found = _read(tree.root, (), inner, tree.lines)
        inner.raise_if_any()
    except OSError as error:
        faults.add(("services",), f"cannot be read: {(error.strerror or 'unknown error').lower()}.", str(top.services))
    except ConfigFaults as error:
        faults.include(error.lines, ("services",))
    else:
        return found, content
    return Catalogue(), b""


def _read(written: Mapping[str, object], above: Path, faults: Faults, lines: Mapping[Path, int]) -> Catalogue:
    made: dict[str, Service] = {}
    owners: dict[tuple[str, str], str] = {}
    for text, value in written.items():
        path: Path = (*above, text)
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
