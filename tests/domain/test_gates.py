"""Each gate, what it says of each side of its mark, and that whatever is shut says how it opens."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from pierhead.domain.gates import (
    Age,
    Approval,
    Approvals,
    Attached,
    Facts,
    Frozen,
    Gate,
    People,
    Signed,
    StageBefore,
    State,
    TagForm,
    Who,
    Window,
    judge,
    span,
)
from pierhead.domain.names import RepositoryName, Tag
from pierhead.domain.patterns import Patterns, TagPatterns
from pierhead.domain.promotion import Stage, Train, with_own_gate


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


# A Tuesday.
NOW = at("2026-03-03T12:00:00")
HOUR = 3600 * 1_000_000
FACTS = Facts(
    name="orchestrator/server:1.4.1",
    stage="prod",
    now=NOW,
    account="anna",
    roles=("promoter",),
    tags=(Tag("1.4.1"),),
    before="uat",
    arrived=NOW - 24 * HOUR,
    attached=frozenset({"application/spdx+json"}),
)
MANAGERS = People(("manager",), Patterns(["gitlab:*"]))
KEY = Signed(("/etc/keys/release.pub",))
WORKDAYS = Window((0, 1, 2, 3), 8 * 60, 14 * 60)


def approved(*people: Approval) -> Facts:
    return replace(FACTS, approvals=people)


@pytest.mark.parametrize(
    ("gate", "facts", "state"),
    [
        (StageBefore(), FACTS, State.PASSES),
        (StageBefore(), replace(FACTS, arrived=None), State.REFUSES),
        (StageBefore(), replace(FACTS, arrived=None, stood=NOW - 9 * HOUR), State.PASSES),
        (StageBefore(), replace(FACTS, before="", arrived=None), State.PASSES),
        (Who(People(("promoter",))), FACTS, State.PASSES),
        (Who(MANAGERS), FACTS, State.REFUSES),
        (Who(MANAGERS), replace(FACTS, account="gitlab:5/main", roles=()), State.PASSES),
        (Approvals(1), FACTS, State.WAITS),
        (Approvals(1), approved(Approval("ben")), State.PASSES),
        (Approvals(1), approved(Approval("anna", ("manager",))), State.WAITS),
        (Approvals(2), approved(Approval("ben"), Approval("ben")), State.WAITS),
        (Approvals(2), approved(Approval("ben"), Approval("chidi")), State.PASSES),
        (Approvals(1, MANAGERS), approved(Approval("ben", ("promoter",))), State.WAITS),
        (Approvals(1, MANAGERS), approved(Approval("ben", ("promoter", "manager"))), State.PASSES),
        (TagForm(TagPatterns(["{version}"])), FACTS, State.PASSES),
        (TagForm(TagPatterns(["{version}"])), replace(FACTS, tags=(Tag("1.4.1"), Tag("latest"))), State.REFUSES),
        (TagForm(TagPatterns(["*"])), replace(FACTS, tags=()), State.REFUSES),
        (KEY, FACTS, State.REFUSES),
        (KEY, replace(FACTS, vouched={KEY: "it has no signature"}), State.REFUSES),
        (KEY, replace(FACTS, vouched={KEY: None}), State.PASSES),
        (KEY, replace(FACTS, vouched={Signed(("/other.pub",)): None}), State.REFUSES),
        (Attached(("application/spdx+json",)), FACTS, State.PASSES),
        (Attached(("application/*",)), FACTS, State.PASSES),
        (Attached(("application/spdx+json", "application/sarif+json")), FACTS, State.REFUSES),
        (Age(24 * 3600), FACTS, State.PASSES),
        (Age(24 * 3600 + 1), FACTS, State.REFUSES),
        (Age(1), replace(FACTS, arrived=None), State.REFUSES),
        (Age(24 * 3600), replace(FACTS, arrived=None, stood=NOW - HOUR), State.PASSES),
        (Frozen(NOW, NOW + HOUR), FACTS, State.REFUSES),
        (Frozen(NOW - HOUR, NOW), FACTS, State.PASSES),
        (Frozen(NOW + 1, NOW + HOUR), FACTS, State.PASSES),
        (WORKDAYS, FACTS, State.PASSES),
        (WORKDAYS, replace(FACTS, now=at("2026-03-03T14:00:00")), State.REFUSES),
        (WORKDAYS, replace(FACTS, now=at("2026-03-03T08:00:00")), State.PASSES),
        (WORKDAYS, replace(FACTS, now=at("2026-03-06T12:00:00")), State.REFUSES),
    ],
)
def test_a_gate_says_so_and_how_it_opens(gate: Gate, facts: Facts, state: State) -> None:
    (verdict,) = judge([gate], facts)
    assert verdict.state is state
    assert verdict.evidence
    assert bool(verdict.opens) is (state is not State.PASSES)
    assert verdict.document["state"] == state.value


@pytest.mark.parametrize(
    ("gate", "facts", "says"),
    [
        (Age(48 * 3600), FACTS, "It opens at 2026-03-04 12:00 UTC."),
        (WORKDAYS, replace(FACTS, now=at("2026-03-05T14:00:00")), "It opens on Mon, 2026-03-09 08:00 UTC."),
        (WORKDAYS, replace(FACTS, now=at("2026-03-03T07:59:00")), "It opens on Tue, 2026-03-03 08:00 UTC."),
        (Frozen(NOW, NOW + HOUR, "year's end"), FACTS, "It opens at 2026-03-03 13:00 UTC."),
        (StageBefore(), replace(FACTS, arrived=None), "pierhead promote orchestrator/server:1.4.1 --to uat."),
        (Approvals(1, MANAGERS), replace(FACTS, number=418), "pierhead approve 418."),
        (KEY, FACTS, "with the key of release.pub"),
    ],
)
def test_how_it_opens_names_the_time_the_command_or_the_people(gate: Gate, facts: Facts, says: str) -> None:
    (verdict,) = judge([gate], facts)
    assert says in verdict.opens
    assert "/etc/keys" not in verdict.sentence


def test_spans_are_told_in_words() -> None:
    told = [span(seconds) for seconds in (1, 90, 120, 3600, 5400, 7200, 86_400, 100_000, 200_000)]
    assert told == [
        "1 second", "90 seconds", "2 minutes", "1 hour", "90 minutes", "2 hours", "1 day", "27 hours", "2 days",
    ]  # fmt: skip


def test_every_stage_behind_the_first_asks_for_the_one_before_unless_it_says_otherwise() -> None:
    assert with_own_gate((), first=True) == ()
    assert with_own_gate((Age(1),), first=False) == (StageBefore(), Age(1))
    assert with_own_gate((Age(1), StageBefore(False)), first=False) == (Age(1),)
    assert with_own_gate((StageBefore(),), first=True) == (StageBefore(),)


def test_a_suffix_means_a_stage_and_needs_something_before_it() -> None:
    dev, uat = (Stage(name, RepositoryName(f"r-{name}")) for name in ("dev", "uat"))
    train = Train((dev, uat), suffixes={"-uat": "uat"})
    assert train.suffix_of(Tag("1.0.0-uat")) == ("1.0.0", uat)
    assert train.suffix_of(Tag("1.0.0")) is None
    assert train.suffix_of(Tag("_-uat")) == ("_", uat)
    assert (train.before(uat), train.before(dev)) == (dev, None)
    assert (train.later(uat.repository), train.later(dev.repository)) == (uat, None)
