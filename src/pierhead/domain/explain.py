"""Why somebody may or may not do something, and why content comes from where it does: facts in, sentences out.

Each step says what was looked at and what came of it, in the order in which a request is decided.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from pierhead.domain.access import Principal, Right, Rule, Rules
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.naming import Judgement, Naming
from pierhead.domain.policy import Writing
from pierhead.domain.refusals import Refusal
from pierhead.domain.refusals_names import NameRefused
from pierhead.domain.roles import in_words


class Verdict(enum.Enum):
    """What a step came to: it lets the request go on, ends it well, ends it badly, or does not matter to it."""

    ON = "goes on"
    YES = "yes"
    NO = "no"
    PASSED = "passed over"


class Step(Struct, frozen=True):
    """``what`` is the repository, role or tag that was looked at; ``says`` is a sentence about it."""

    what: str
    says: str
    verdict: Verdict = Verdict.ON


class Explanation(Struct, frozen=True):
    """``refusal`` is what a request would be answered with, None if it would be done. ``member`` is who answers a pull,
    or takes a push. ``upstream`` if another registry has the last word, which is not asked for this."""

    answer: str
    steps: tuple[Step, ...]
    refusal: Refusal | None = None
    member: RepositoryName | None = None
    upstream: bool = False


class Subject(Struct, frozen=True):
    """Somebody, with the rules of each role by what sentences call it, such as `role team`; for a job, what the rules
    of its issuer gave, which are called by their key of the configuration."""

    who: Principal
    roles: Sequence[tuple[str, Rules]]


class Member(Struct, frozen=True):
    """A repository that a pull may reach. ``image`` is the name on which rights are judged there. ``held`` is the
    digest that it has under the reference, None if it has none, or if that is not told. ``checked`` is when a proxy's
    upstream said so, with the word before it. ``reserved`` names the groups that keep the name from it."""

    name: RepositoryName
    kind: str
    image: ImageName
    held: str | None = None
    upstream: str = ""
    checked: str = ""
    reserved: tuple[str, ...] = ()


def right_step(subject: Subject, right: Right, repository: RepositoryName, image: ImageName) -> Step:
    """Which rule of which role gives the right, or why none does."""
    who = subject.who
    what = f"{repository}/{image}"
    if not who.may_ask(right, repository, image):
        return Step(repository, _refused(subject, right, repository, image), Verdict.NO)
    role, rule = next(
        (role, rule) for role, rules in subject.roles for rule in rules if rule.gives(right, repository, image)
    )
    return Step(repository, f"{who.name} may {right.value} {what}: {role} gives {in_words(rule)}.")


def _refused(subject: Subject, right: Right, repository: RepositoryName, image: ImageName) -> str:
    who = subject.who
    head = f"{who.name} may not {right.value} {repository}/{image}: "
    if any(rule.gives(right, repository, image) for rule in who.rules):
        narrowed = "; ".join(in_words(rule) for rule in who.limit or ()) or "nothing"
        return f"{head}the access token is narrowed to {narrowed}."
    near = [(role, rule) for role, rules in subject.roles for rule in rules if right in rule.rights]
    if near:
        return head + "; ".join(f"{role} gives {in_words(rule)}" for role, rule in near[:3]) + "."
    if not subject.roles:
        return f"{head}it has no role."
    told = "; ".join(f"{role} gives {_all_of(rules)}" for role, rules in subject.roles[:3])
    return f"{head}{told}, and nothing else."


def _all_of(rules: Rules) -> str:
    return ", and ".join(in_words(rule) for rule in rules) or "nothing, since there is no such role any more"


def given_by(
    right: Right,
    repository: RepositoryName,
    image: ImageName,
    roles: Mapping[str, Rules],
    holders: Mapping[str, Sequence[str]],
) -> Step | None:
    """Which roles would give the right there, and who has them; None if no role does."""
    found = [role for role, rules in roles.items() if any(rule.gives(right, repository, image) for rule in rules)]
    if not found:
        return None
    told = ", ".join(f"role {role} ({', '.join(holders.get(role, ())) or 'nobody has it'})" for role in found)
    return Step("roles", f"{right.value.capitalize()} there is given by: {told}.", Verdict.PASSED)


# --- a pull ----------------------------------------------------------------------------------------------------------


class PullFacts(Struct, frozen=True):
    """``members`` are in the order of asking; ``group`` if they are a group's, else there is one. ``by_digest`` if what
    they keep is looked at before any upstream is asked. ``reference`` is empty where only the image is asked about.
    ``tells`` if what the account may not see may be told."""

    name: RepositoryName
    image: ImageName
    reference: str
    members: Sequence[Member]
    absent: Refusal
    group: bool = False
    by_digest: bool = False
    tells: bool = False


def explain_pull(subject: Subject, facts: PullFacts, first: Sequence[Step]) -> Explanation:
    """Which member answers. What an account may not pull is answered like what is not there."""
    steps = list(first)
    name = f"{facts.image}{'@' if ':' in facts.reference else ':' if facts.reference else ''}{facts.reference}"
    winner: Member | None = None
    for member in _in_order(facts):
        step, answers = _member_step(subject, facts, member, winner)
        steps.append(step)
        winner = winner or (member if answers else None)
    who = subject.who.name
    if winner is None:
        seen = any(subject.who.may_ask(Right.PULL, one.name, one.image) for one in facts.members)
        why = "it is not there" if seen else f"{who} may not pull it, so it is answered like what is not there"
        return Explanation(f"No: {why}.", tuple(steps), facts.absent)
    if winner.kind == "proxy" and winner.held is None:
        told = f"Yes, if {winner.upstream} has it: {who} gets {name} through {winner.name}, and nobody before has it."
        return Explanation(told, tuple(steps), member=winner.name, upstream=True)
    if not facts.reference:
        return Explanation(f"Yes: {who} may pull {name} from {winner.name}.", tuple(steps), member=winner.name)
    told = f"Yes: {who} gets {name} from {winner.name}."
    asks = winner.kind == "proxy" and not facts.by_digest
    return Explanation(told, tuple(steps), member=winner.name, upstream=asks)


def _in_order(facts: PullFacts) -> Sequence[Member]:
    """By digest, whoever keeps it is asked before an upstream is: the bytes are the same."""
    if not facts.by_digest:
        return facts.members
    return sorted(facts.members, key=lambda one: (one.kind == "proxy", one.kind == "proxy" and one.held is None))


def _member_step(subject: Subject, facts: PullFacts, member: Member, winner: Member | None) -> tuple[Step, bool]:
    right = right_step(subject, Right.PULL, member.name, member.image)
    if right.verdict is Verdict.NO:
        has = f" It has it: {member.held}." if facts.tells and member.held is not None else ""
        over = " It is passed over." if facts.group else ""
        return Step(member.name, right.says + has + over, Verdict.PASSED if facts.group else Verdict.NO), False
    if member.reserved:
        told = f"{member.name} is not asked: the name is reserved in {', '.join(member.reserved)}."
        return Step(member.name, told, Verdict.PASSED), False
    if winner is not None:
        has = f" It has {'the same' if member.held == winner.held else 'other bytes'}." if member.held else ""
        told = f"{member.name} would be asked next; {winner.name} comes before it.{has}"
        return Step(member.name, told, Verdict.PASSED), False
    if member.kind == "proxy":
        if member.held is None:
            told = f"It keeps no copy, and asks {member.upstream}."
        elif facts.by_digest:
            told = f"It keeps {member.held}."
        else:
            told = (
                f"It keeps {member.held}, as {member.upstream} said{member.checked}, and asks again when that is old."
            )
        return Step(member.name, f"{right.says} {told}", Verdict.YES), True
    if facts.reference and member.held is None:
        return Step(member.name, f"{right.says} It does not have it."), False
    has = f" It has it: {member.held}." if member.held is not None else ""
    return Step(member.name, f"{right.says}{has}", Verdict.YES), True


# --- a push, and a promotion -----------------------------------------------------------------------------------------


def tag_step(subject: Subject, repository: RepositoryName, image: ImageName, tag: Tag) -> Step:
    """Whether a rule that gives the push names the tag."""
    who = subject.who
    if tag.is_fallback or who.may_tag(repository, image, tag):
        return Step(tag, f"{who.name} may push the tag {tag}.")
    rules: list[tuple[str, Rule]] = [
        (role, rule) for role, rules in subject.roles for rule in rules if rule.gives(Right.PUSH, repository, image)
    ]
    told = "; ".join(f"{role} gives {in_words(rule)}" for role, rule in rules)
    return Step(tag, f"{who.name} may not push the tag {tag}: {told}.", Verdict.NO)


def name_step(naming: Naming, image: ImageName, found: Judgement | NameRefused | None) -> Step:
    """Which rule for names decided; ``found`` is what it warns of or refuses."""
    if isinstance(found, NameRefused):
        return Step(found.rule, f"The rule {found.rule} for names refuses it: {found.message}", Verdict.NO)
    if found is not None:
        return Step(found.rule, f"The rule {found.rule} for names warns: {found.sentence}")
    service = naming.catalogue.of_image(image)
    if service is not None:
        return Step("naming", f"{image} is the image of the service {service.name}, and so rightly called.")
    return Step("naming", f"No rule for names refuses {image}, or warns of it.")


def policy_step(repository: RepositoryName, writing: Writing, tag: Tag | None, held: str | None) -> Step:
    """What policy and rules make of the tag, which holds the digest ``held``; for what they do not refuse."""
    told = f"The write policy of {repository} is {writing.policy.value}"
    if tag is None or tag.is_fallback:
        return Step(repository, f"{told}.")
    if held is not None:
        return Step(repository, f"{told}: the tag {tag} moves from {held}.")
    rule = writing.rule_of(tag)
    once = "" if rule is None else f", and {rule.where} has it written once"
    return Step(repository, f"{told}: the tag {tag} is new there{once}.")


class Written(Struct, frozen=True):
    """How a push or a promotion ends: the steps in order, and the refusal that ended them."""

    steps: tuple[Step, ...] = field(default_factory=tuple)
    refusal: Refusal | None = None


def explain_write(verb: str, subject: Subject, target: RepositoryName | None, name: str, done: Written) -> Explanation:
    """``verb`` is ``push`` or ``promote``."""
    if done.refusal is not None:
        return Explanation(f"No: {done.refusal.message}", done.steps, done.refusal, target)
    return Explanation(f"Yes: {subject.who.name} may {verb} {name} to {target}.", done.steps, member=target)
