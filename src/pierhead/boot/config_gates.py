"""Gates of stages, and how images go from one stage to the next, as the configuration file writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final

from pydantic import PlainValidator

from pierhead.boot import config_values as values
from pierhead.boot import config_values_gates as gate_values
from pierhead.boot.config_faults import Faults, Path, did_you_mean
from pierhead.boot.config_fit import fit, fit_value
from pierhead.boot.config_shape import PresentFile, PromotionShape, Shape, StageShape, Switch, Text
from pierhead.boot.settings import PromotionSettings
from pierhead.domain import gates
from pierhead.domain.access import BUILT_IN_ROLES
from pierhead.domain.gates import Gate, People
from pierhead.domain.names import Tag
from pierhead.domain.patterns import Patterns, TagPatterns
from pierhead.domain.promotion import Stage

_Roles = tuple[Annotated[str, PlainValidator(values.role_name)], ...]
_Accounts = tuple[Annotated[str, PlainValidator(gate_values.accounts)], ...]
_Moment = Annotated[int, PlainValidator(gate_values.moment)]
_Time = Annotated[int, PlainValidator(gate_values.time_of_day)]


class PeopleShape(Shape):
    roles: _Roles = ()
    accounts: _Accounts = ()


class ApprovalsShape(Shape):
    count: Annotated[int, PlainValidator(values.count(1, 20))] = 1
    roles: _Roles = ()
    accounts: _Accounts = ()


class SignedShape(Shape):
    key: PresentFile | None = None
    keys: tuple[PresentFile, ...] = ()


class FrozenShape(Shape):
    since: _Moment
    until: _Moment
    why: Text | None = None


class WindowShape(Shape):
    days: tuple[Annotated[int, PlainValidator(gate_values.day)], ...] = tuple(range(7))
    opens: _Time = 0
    closes: _Time = 24 * 60


class GateShape(Shape):
    """One gate: exactly one of these keys."""

    stage_before: Switch | None = None
    who: PeopleShape | None = None
    approvals: ApprovalsShape | None = None
    tags: tuple[Annotated[str, PlainValidator(values.tag_pattern)], ...] | None = None
    signed: SignedShape | None = None
    attached: tuple[Annotated[str, PlainValidator(gate_values.attached)], ...] | None = None
    age: Annotated[int, PlainValidator(values.duration("1s", "3650d"))] | None = None
    frozen: FrozenShape | None = None
    window: WindowShape | None = None


GATE_SHAPES: Final[tuple[type[Shape], ...]] = (
    GateShape,
    PeopleShape,
    ApprovalsShape,
    SignedShape,
    FrozenShape,
    WindowShape,
)


def stage_gates(
    stage: StageShape, path: Path, roles: Iterable[str], faults: Faults, lines: Mapping[Path, int]
) -> tuple[Gate, ...]:
    """The gates of one stage, in their order; faults go to ``faults``. ``roles`` are those of the file."""
    found: list[Gate] = []
    for at, value in enumerate(stage.gates):
        place: Path = (*path, "gates", at)
        if not isinstance(value, dict) or len(value) != 1:
            faults.add(place, f"must be one key with its value. Known: {', '.join(GateShape.model_fields)}.", value)
            continue
        written = dict(value)
        if isinstance(written.get("approvals"), int) and not isinstance(written["approvals"], bool):
            written["approvals"] = {"count": written["approvals"]}
        shape = fit(GateShape, written, place, faults, lines)
        gate = None if shape is None else _gate(shape, place, [*BUILT_IN_ROLES, *roles], faults)
        if gate is not None:
            found.append(gate)
    return tuple(found)


def promotion_of(shape: PromotionShape, stages: Sequence[Stage], faults: Faults) -> PromotionSettings:
    """Faults go to ``faults``."""
    path: Path = ("promotion", "suffixes")
    later = [stage.name for stage in stages[1:]]
    for text, name in shape.suffixes.items():
        fit_value(gate_values.suffix, text, (*path, text), faults)
        if name not in later:
            hint = did_you_mean(name, later) or (f" Known: {', '.join(later)}." if later else "")
            faults.add((*path, text), f"is no stage behind the first.{hint}", name)
    pointer = Tag(shape.pointer) if shape.pointer else None
    return PromotionSettings(pointer=pointer, suffixes=dict(shape.suffixes), wait_seconds=shape.wait)


def _gate(shape: GateShape, place: Path, roles: Sequence[str], faults: Faults) -> Gate | None:
    """The one that is set."""
    if shape.stage_before is not None:
        return gates.StageBefore(shape.stage_before)
    if shape.who is not None:
        people = _people(shape.who, (*place, "who"), roles, faults)
        if not people.told:
            faults.add((*place, "who"), "names nobody. Give roles, accounts or both.")
        return gates.Who(people)
    if shape.approvals is not None:
        return gates.Approvals(shape.approvals.count, _people(shape.approvals, (*place, "approvals"), roles, faults))
    if shape.tags is not None:
        return gates.TagForm(TagPatterns(_some(shape.tags, (*place, "tags"), faults)))
    if shape.signed is not None:
        keys = tuple(map(str, (*([shape.signed.key] if shape.signed.key else []), *shape.signed.keys)))
        return gates.Signed(tuple(_some(keys, (*place, "signed"), faults)))
    if shape.attached is not None:
        return gates.Attached(tuple(_some(shape.attached, (*place, "attached"), faults)))
    if shape.age is not None:
        return gates.Age(shape.age)
    if shape.frozen is not None:
        if shape.frozen.until <= shape.frozen.since:
            faults.add((*place, "frozen", "until"), "must be later than `since`.")
        return gates.Frozen(shape.frozen.since, shape.frozen.until, shape.frozen.why or "")
    if shape.window is not None:
        if shape.window.closes <= shape.window.opens or not shape.window.days:
            faults.add((*place, "window"), "is never open: `closes` must be later than `opens`, on one day at least.")
        return gates.Window(tuple(sorted(set(shape.window.days))), shape.window.opens, shape.window.closes)
    return None


def _people(shape: PeopleShape | ApprovalsShape, place: Path, known: Sequence[str], faults: Faults) -> People:
    for at, role in enumerate(shape.roles):
        if role not in known:
            hint = did_you_mean(role, known) or f" Known: {', '.join(known)}."
            faults.add((*place, "roles", at), f"is unknown.{hint}", role)
    return People(shape.roles, Patterns(shape.accounts))


def _some(found: Sequence[str], place: Path, faults: Faults) -> Sequence[str]:
    if not found:
        faults.add(place, "is empty. Give at least one.")
    return found
