"""Gates of a stage as data, and their judge: facts in, a verdict of each gate out, with what it looked at and how it is
opened. Nothing is looked up in here. Instants are microseconds since 1970, UTC."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct, field

from pierhead.domain.names import Tag
from pierhead.domain.patterns import Patterns, TagPatterns

_SECOND: Final = 1_000_000
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


# --- what the configuration says -------------------------------------------------------------------------------------


class StageBefore(Struct, frozen=True):
    """The image is in the stage before. ``wanted`` False takes this gate away from a stage."""

    wanted: bool = True


class People(Struct, frozen=True):
    """Accounts by name, with ``*`` for any characters, and whoever has one of the roles; all if both are empty."""

    roles: tuple[str, ...] = ()
    accounts: Patterns = field(default_factory=lambda: Patterns(()))

    def hold(self, account: str, roles: Sequence[str]) -> bool:
        """Whether the account, which has these roles, is one of them."""
        anybody = not self.roles and not self.accounts
        return anybody or self.accounts.meets(account) or any(role in self.roles for role in roles)

    @property
    def told(self) -> tuple[str, ...]:
        """In words."""
        return (*(f"role {role}" for role in self.roles), *self.accounts.texts)


class Who(Struct, frozen=True):
    """Only these may promote there."""

    people: People


class Approvals(Struct, frozen=True):
    """So many of these people agree, and who asked is none of them."""

    count: int
    people: People = field(default_factory=People)


class TagForm(Struct, frozen=True):
    """The tag has one of these forms."""

    patterns: TagPatterns


class Signed(Struct, frozen=True):
    """A signature on the digest is good under one of these public keys; each is the path of a file."""

    keys: tuple[str, ...]


class Attached(Struct, frozen=True):
    """Something of each of these types is attached to the image; ``*`` stands for any characters."""

    types: tuple[str, ...]


class Age(Struct, frozen=True):
    """It has been in the stage before for so many seconds."""

    seconds: int


class Frozen(Struct, frozen=True):
    """Nothing is promoted in this time."""

    since: int
    until: int
    why: str = ""


class Window(Struct, frozen=True):
    """Promotions are done on these days (0 is Monday), between these minutes of the day, in UTC."""

    days: tuple[int, ...]
    opens: int
    closes: int


Gate = StageBefore | Who | Approvals | TagForm | Signed | Attached | Age | Frozen | Window


# --- what is so ------------------------------------------------------------------------------------------------------


class Approval(Struct, frozen=True):
    """Who agreed, with the roles that they have now."""

    account: str
    roles: tuple[str, ...] = ()


class Facts(Struct, frozen=True):
    """``name`` is the image with its tag as people write it. ``before`` is the stage before, empty if there is none;
    ``arrived`` since when it has the image, None if it does not. ``stood`` is since when the stage itself held it, for
    one that goes back. ``vouched`` says for each gate what is wrong with the signatures, None if one is good.
    ``number`` is the promotion's, 0 before it has one."""

    name: str
    stage: str
    now: int
    account: str
    roles: tuple[str, ...] = ()
    tags: tuple[Tag, ...] = ()
    before: str = ""
    arrived: int | None = None
    stood: int | None = None
    approvals: tuple[Approval, ...] = ()
    attached: frozenset[str] = frozenset()
    vouched: Mapping[Signed, str | None] = field(default_factory=dict)
    number: int = 0


class State(enum.Enum):
    """``WAITS`` for other people; ``REFUSES`` until something is changed."""

    PASSES = "passes"
    WAITS = "waits"
    REFUSES = "refuses"


class Verdict(Struct, frozen=True):
    """``kind`` is the gate's key in the configuration, ``name`` says what it wants, ``evidence`` what was looked at,
    ``opens`` what opens it (empty if it passes), ``who`` can do that."""

    kind: str
    name: str
    state: State
    evidence: str
    opens: str = ""
    who: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """``stood in uat for 24 hours: for 3 hours. It opens at …``."""
        return f"{self.name}: {self.evidence}. {self.opens}"

    @property
    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "gate": self.kind,
            "name": self.name,
            "state": self.state.value,
            "evidence": self.evidence,
            "opens": self.opens or None,
            "who": list(self.who),
        }


def judge(gates: Sequence[Gate], facts: Facts) -> tuple[Verdict, ...]:
    """One verdict a gate, in their order."""
    return tuple(_JUDGES[type(gate)](gate, facts) for gate in gates)


def shut(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Those that do not pass."""
    return tuple(one for one in verdicts if one.state is not State.PASSES)


# --- the judges ------------------------------------------------------------------------------------------------------


def _verdict(kind: str, name: str, passes: bool, evidence: str, opens: str, who: Sequence[str] = ()) -> Verdict:
    if passes:
        return Verdict(kind, name, State.PASSES, evidence)
    return Verdict(kind, name, State.REFUSES, evidence, opens, tuple(who))


def _stage_before(gate: StageBefore, facts: Facts) -> Verdict:
    name = f"came from {facts.before}" if facts.before else "came from the stage before"
    if facts.stood is not None:
        return _verdict("stage_before", name, True, f"{facts.stage} held it since {instant(facts.stood)} before", "")
    if not facts.before:
        return _verdict("stage_before", name, True, f"{facts.stage} is the first stage", "")
    if facts.arrived is None:
        opens = f"Promote it to {facts.before} first: pierhead promote {facts.name} --to {facts.before}."
        return _verdict("stage_before", name, False, f"{facts.before} does not hold it", opens)
    return _verdict("stage_before", name, True, f"there since {instant(facts.arrived)}", "")


def _who(gate: Who, facts: Facts) -> Verdict:
    allowed = gate.people.told
    listed = _listed(allowed)
    if gate.people.hold(facts.account, facts.roles):
        return _verdict("who", f"asked by {listed}", True, f"{facts.account} asks", "")
    has = f"{facts.account} has {_listed([f'role {role}' for role in facts.roles]) or 'no role'}"
    return _verdict("who", f"asked by {listed}", False, has, f"Let {listed} ask for it.", allowed)


def _approvals(gate: Approvals, facts: Facts) -> Verdict:
    given = [
        one.account
        for one in facts.approvals
        if one.account != facts.account and gate.people.hold(one.account, one.roles)
    ]
    count = len(dict.fromkeys(given))
    noun = "approval" if gate.count == 1 else "approvals"
    name = f"{gate.count} {noun}, not by {facts.account}"
    told = f"{count} of {gate.count}" + (f" ({', '.join(given)})" if given else "")
    if count >= gate.count:
        return Verdict("approvals", name, State.PASSES, told)
    people = _listed(gate.people.told) or "anybody who may promote there"
    how = f"pierhead approve {facts.number}" if facts.number else "pierhead approve ID, once it is asked for"
    opens = f"{people[0].upper()}{people[1:]}, but not {facts.account}, can approve: {how}."
    return Verdict("approvals", name, State.WAITS, told, opens, gate.people.told)


def _tags(gate: TagForm, facts: Facts) -> Verdict:
    wrong = [tag for tag in facts.tags if not gate.patterns.meets(tag)]
    forms = _listed(gate.patterns.texts)
    name = f"tag of the form {forms}"
    if not facts.tags:
        return _verdict("tags", name, False, "it has no tag", "Name it by a tag, or give it one with --as.")
    opens = f"Promote it under another tag, with --as: allowed is {forms}."
    return _verdict("tags", name, not wrong, ", ".join(wrong or facts.tags), opens)


def _signed(gate: Signed, facts: Facts) -> Verdict:
    keys = [path.rpartition("/")[2] for path in gate.keys]
    why = facts.vouched.get(gate, "its signatures were not looked at")
    opens = f"Sign it in {facts.before or facts.stage} with the key of {_listed(keys)}: cosign sign."
    return _verdict("signed", f"signed with the key of {_listed(keys)}", why is None, why or "a good signature", opens)


def _attached(gate: Attached, facts: Facts) -> Verdict:
    missing = [one for one in gate.types if not any(Patterns([one]).meets(found) for found in facts.attached)]
    told = f"missing: {', '.join(missing)}" if missing else "all there"
    opens = f"Attach it to the image in {facts.before or facts.stage}, with oras attach or cosign attest."
    return _verdict("attached", f"attached: {', '.join(gate.types)}", not missing, told, opens)


def _age(gate: Age, facts: Facts) -> Verdict:
    before = facts.before or "the stage before"
    name = f"stood in {before} for {span(gate.seconds)}"
    if facts.stood is not None:
        return _verdict("age", name, True, f"{facts.stage} held it since {instant(facts.stood)} before", "")
    if facts.arrived is None:
        return _verdict("age", name, False, f"{before} does not hold it", f"Promote it to {before} first.")
    age = max(facts.now - facts.arrived, 0) // _SECOND
    due = facts.arrived + gate.seconds * _SECOND
    return _verdict("age", name, facts.now >= due, f"for {span(age)}", f"It opens at {instant(due)}. Ask again then.")


def _frozen(gate: Frozen, facts: Facts) -> Verdict:
    name = f"no freeze from {instant(gate.since)} until {instant(gate.until)}"
    inside = gate.since <= facts.now < gate.until
    told = "frozen now" + (f": {gate.why}" if gate.why else "") if inside else "no freeze now"
    return _verdict("frozen", name, not inside, told, f"It opens at {instant(gate.until)}. Ask again then.")


def _window(gate: Window, facts: Facts) -> Verdict:
    days = ", ".join(DAYS[day].capitalize() for day in gate.days)
    name = f"open on {days} from {_clock(gate.opens)} to {_clock(gate.closes)} UTC"
    now = datetime.fromtimestamp(facts.now / _SECOND, UTC)
    minute = now.hour * 60 + now.minute
    inside = now.weekday() in gate.days and gate.opens <= minute < gate.closes
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    opening = next(
        at
        for at in (midnight + timedelta(days=more, minutes=gate.opens) for more in range(9))
        if at > now and at.weekday() in gate.days
    )
    told = f"it is {DAYS[now.weekday()].capitalize()} {_clock(minute)}"
    opens = f"It opens on {DAYS[opening.weekday()].capitalize()}, {opening:%Y-%m-%d %H:%M} UTC. Ask again then."
    return _verdict("window", name, inside, told, opens)


_JUDGES: Final[Mapping[type[Gate], Callable[..., Verdict]]] = {
    StageBefore: _stage_before,
    Who: _who,
    Approvals: _approvals,
    TagForm: _tags,
    Signed: _signed,
    Attached: _attached,
    Age: _age,
    Frozen: _frozen,
    Window: _window,
}


# --- in words --------------------------------------------------------------------------------------------------------


def instant(micros: int) -> str:
    """``2026-03-03 12:00 UTC``."""
    return datetime.fromtimestamp(micros / _SECOND, UTC).strftime("%Y-%m-%d %H:%M UTC")


def span(seconds: int) -> str:
    """``3 hours``: in the largest unit of which there are two at least, rounded down."""
    for length, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * length or (seconds == length):
            return f"{seconds // length} {unit}{'' if seconds == length else 's'}"
    return "1 second" if seconds == 1 else f"{seconds} seconds"


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _listed(words: Sequence[str]) -> str:
    return "".join(words) if len(words) < 2 else f"{', '.join(words[:-1])} or {words[-1]}"
