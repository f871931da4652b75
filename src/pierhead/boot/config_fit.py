"""Puts values of the file into a shape, and turns pydantic's faults into sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from pydantic import ValidationError

from pierhead.boot.config_faults import Faults, Path, Wrong, did_you_mean, dotted
from pierhead.boot.config_shape import REPOSITORY_SHAPES, Shape

S = TypeVar("S", bound=Shape)
V = TypeVar("V")
_ARTICLE: Final = {"hosted": "a hosted repository", "proxy": "a proxy", "group": "a group"}
_MUST_BE: Final = {
    "tuple_type": "must be a list, such as [a, b].",
    "dict_type": "must be a mapping: keys with values below it.",
    "model_type": "must be a mapping: keys with values below it.",
}


def fit(shape: type[S], value: object, path: Path, faults: Faults, lines: Mapping[Path, int]) -> S | None:
    """The mapping at ``path`` in its shape; each fault goes to ``faults``.

    What is at fault is left out, so that the rest can still be checked; None when what remains is not enough.
    """
    if not isinstance(value, dict):
        faults.add(path, _MUST_BE["model_type"], value)
        return None
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        bad: set[str] = set()
        for detail in error.errors(include_url=False):
            where: Path = detail["loc"]
            bad.add(str(where[0]))
            given: object = detail["input"]
            _report(shape, detail["type"], (*path, *where), given, detail.get("ctx", {}), faults, lines, len(path))
    rest = {key: kept for key, kept in value.items() if key not in bad}
    try:
        return shape.model_validate(rest)
    except ValidationError:
        return None


def fit_value(parse: Callable[[str], V], value: str, path: Path, faults: Faults) -> V | None:
    """One value, such as a name that stands as a key, or None and a fault."""
    try:
        return parse(value)
    except Wrong as wrong:
        faults.add(path, wrong.sentence)
        return None


def _report(
    shape: type[Shape],
    kind: str,
    path: Path,
    given: object,
    context: Mapping[str, object],
    faults: Faults,
    lines: Mapping[Path, int],
    depth: int,
) -> None:
    wrong = context.get("error")
    if isinstance(wrong, Wrong):
        faults.add(path, wrong.sentence, given, secret=wrong.secret)
    elif kind == "extra_forbidden":
        faults.add(path, _unknown_key(_shape_at(shape, path[depth:-1]), path, given))
    elif kind == "missing":
        if path not in lines:  # else it stands there, and what is wrong with it was said by the reader
            faults.add(path[:-1], f"lacks `{path[-1]}`.")
    else:
        faults.add(path, _MUST_BE.get(kind, "cannot be read."), given)


def _shape_at(shape: type[Shape], path: Path) -> type[Shape]:
    """The shape of a mapping inside a mapping, such as that of ``tls``."""
    for part in path:
        annotation = shape.model_fields[str(part)].annotation
        inner = [kind for kind in (annotation, *getattr(annotation, "__args__", ())) if isinstance(kind, type)]
        shape = next((kind for kind in inner if issubclass(kind, Shape)), shape)
    return shape


def _unknown_key(shape: type[Shape], path: Path, given: object) -> str:
    key = str(path[-1])
    if key == "client_secret":
        return "must not stand in the file. Use client_secret_env."
    if key == "password":
        return "must not stand in the file. Use password_env, password_file, password_hash or password_vault."
    mine = next((kind for kind, known in REPOSITORY_SHAPES.items() if known is shape), "")
    for kind, other in REPOSITORY_SHAPES.items():
        if mine and key in other.model_fields:
            return f"belongs to {_ARTICLE[kind]}, and {dotted(path[-2:-1])} is {_ARTICLE[mine]}."
    known = list(shape.model_fields)
    return f"is unknown here.{did_you_mean(key, known) or ' Known: ' + ', '.join(known) + '.'}"
