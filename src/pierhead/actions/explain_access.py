"""Why an account may or may not pull, push or promote something. Looks things up as the request itself would, changes
nothing, and asks no upstream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from pierhead.commits.promotion_plan import plan, refusal_of
from pierhead.domain import explain
from pierhead.domain.access import Principal, Right, require, require_tags
from pierhead.domain.digest import Digest
from pierhead.domain.explain import Explanation, Member, Step, Subject, Verdict, Written
from pierhead.domain.gates import State
from pierhead.domain.lookup import Reserve
from pierhead.domain.names import ImageName, Reference, RepositoryName, Tag
from pierhead.domain.policy import WritePolicy
from pierhead.domain.refusals import (
    Denied,
    ManifestUnknown,
    NotAuthenticated,
    Refusal,
    RepositoryReadOnly,
    StageFilledByPromotion,
    TagDenied,
)
from pierhead.domain.refusals_names import NameRefused
from pierhead.domain.refusals_tags import TagWrittenOnce
from pierhead.domain.trust import fitting, trusted_by
from pierhead.ports.metadata.store import Store
from pierhead.repositories.directory import Account, Directory
from pierhead.repositories.group import Group
from pierhead.repositories.hosted import Hosted
from pierhead.repositories.kind import Caching, Local
from pierhead.repositories.proxy import Proxy
from pierhead.repositories.table import Entry, Table

_INTERVALS: Final = 100


class Question(Struct, frozen=True):
    """``who`` is the account as it is signed in, or would be. ``tells`` if the asker may know what the account may not
    see. ``account`` is None for a job, which has none."""

    account: Account | None
    who: Principal
    entry: Entry
    image: ImageName
    reference: Reference | None
    tells: bool = False

    @property
    def disabled(self) -> bool:
        """A job is not: it has no account to be disabled."""
        return self.account is not None and self.account.disabled


class Explainer:
    """What is needed to look things up."""

    def __init__(self, table: Table, directory: Directory, store: Store) -> None:
        self._table = table
        self._directory = directory
        self._store = store

    # --- pull --------------------------------------------------------------------------------------------------------

    async def pull(self, question: Question) -> Explanation:
        """Each member in the order of asking, and who answers."""
        entry, image, reference = question.entry, question.image, question.reference
        subject, first = self._subject(question)
        if question.disabled:
            return _disabled(question, first)
        hint = "" if reference is None else self._table.pull_hint(entry, question.who, image, reference)
        facts = explain.PullFacts(
            entry.name,
            image,
            str(reference or ""),
            [await self._member(question, *one) for one in _members(entry)],
            ManifestUnknown(image, str(reference or "any tag"), entry.name, hint),
            group=entry.kind == "group",
            by_digest=isinstance(reference, Digest),
            tells=question.tells,
        )
        found = explain.explain_pull(subject, facts, first)
        if found.refusal is None or any(who_may(subject, one) for one in facts.members):
            return found
        given = self._given(question, Right.PULL, facts.members[0].name, facts.members[0].image)
        return replace(found, steps=(*found.steps, *given))

    async def _member(self, question: Question, member: Local | Caching, reserves: Sequence[Reserve]) -> Member:
        image = member.judged(question.image)
        told = question.tells or question.who.may_ask(Right.PULL, member.name, image)
        held = await self._held(member, image, question) if told else None
        if not isinstance(member, Proxy):
            return Member(member.name, "hosted", image, held)
        reserved: tuple[str, ...] = ()
        if any(reserve.holds(question.image) for reserve in reserves):
            reserved = tuple(self._reserving(question.entry, question.image))
        checked = await self._checked(member, image, question) if held is not None else ""
        return Member(member.name, "proxy", image, held, member.upstream.host, checked, reserved)

    def _reserving(self, entry: Entry, image: ImageName) -> Iterator[str]:
        if entry.kind == "group" and entry.reserve.holds(image):
            yield entry.name
        for name in entry.members:
            yield from self._reserving(self._table.entries[name], image)

    async def _held(self, member: Local | Caching, image: ImageName, question: Question) -> str | None:
        """The digest under the reference, as far as it is kept here."""
        lookups, reference = self._store.lookups, question.reference
        if reference is None:
            return None
        if isinstance(reference, Digest):
            return reference if await lookups.manifest((member.row_id,), image, reference) else None
        hits = await lookups.tag((member.row_id,), image, reference)
        return (await lookups.stored(hits[0].manifest)).digest if hits else None

    async def _checked(self, member: Caching, image: ImageName, question: Question) -> str:
        if not isinstance(question.reference, Tag):
            return ""
        entry = await self._store.lookups.cached(member.row_id, image, question.reference)
        return "" if entry is None else f" at {_minute(entry.checked)}"

    # --- push and promote --------------------------------------------------------------------------------------------

    async def push(self, question: Question) -> Explanation:
        """By the very steps that a push takes, up to its bytes."""
        entry, image, reference, who = question.entry, question.image, question.reference, question.who
        subject, first = self._subject(question)
        if question.disabled:
            return _disabled(question, first)
        tag = reference if isinstance(reference, Tag) else None
        steps, target = list(first), entry
        try:
            port = None if entry.external is None else int(entry.external.rpartition(":")[2])
            target = self._table.hosted_for_push(entry, who, image, port)
            if target is not entry:
                steps.append(Step(entry.name, f"A push to {entry.name} goes to {target.name}, its `writable`."))
            if target.stage:
                steps.append(Step(target.name, f"{target.name} is the stage {target.stage}, filled by promotion."))
            steps.append(explain.right_step(subject, Right.PUSH, target.name, image))
            _, grant = self._table.for_push(entry, who, image, str(reference or "TAG"), port)
            steps += self._named(who, target, image)
            if tag is not None:
                steps.append(explain.tag_step(subject, target.name, image, tag))
                require_tags(grant, [tag])
            steps.append(await self._writable(target, image, tag))
        except NameRefused as refusal:
            steps.append(explain.name_step(self._table.naming, image, refusal))
            return explain.explain_write("push", subject, None, str(image), Written(tuple(steps), refusal))
        except Refusal as refusal:
            steps += self._end(question, Right.PUSH, target, image, refusal)
            return explain.explain_write("push", subject, None, str(image), Written(tuple(steps), refusal))
        return explain.explain_write("push", subject, target.name, _shown(image, reference), Written(tuple(steps)))

    def _named(self, who: Principal, target: Entry, image: ImageName) -> list[Step]:
        """What the rules for names say; nothing, if there are none. Raises NameRefused."""
        if not self._table.naming:
            return []
        return [explain.name_step(self._table.naming, image, self._table.judge_name(who, target, image))]

    async def promote(self, question: Question, source: Entry) -> Explanation:
        """From ``source`` to the repository of the question, which is the stage behind it as a rule."""
        target, image, reference, who = question.entry, question.image, question.reference, question.who
        subject, first = self._subject(question)
        if question.disabled:
            return _disabled(question, first)
        steps = [*first]
        right, where = Right.PULL, source
        try:
            steps.append(explain.right_step(subject, Right.PULL, source.name, image))
            require(who, Right.PULL, source.name, image)
            if reference is not None:
                steps.append(await self._source(question, source))
            right, where = Right.PROMOTE, target
            steps.append(explain.right_step(subject, Right.PROMOTE, target.name, image))
            require(who, Right.PROMOTE, target.name, image)
            if self._table.naming:
                judged = self._table.rails.judge_name(who, target.name, image)
                steps.append(explain.name_step(self._table.naming, image, judged))
            tag = reference if isinstance(reference, Tag) else None
            steps.append(await self._writable(target, image, tag, plans=True))
            if reference is not None:
                gates, shut = await self._gates(question, source)
                steps += gates
                if shut is not None:
                    return explain.explain_write("promote", subject, None, str(image), Written(tuple(steps), shut))
        except NameRefused as refusal:
            steps.append(explain.name_step(self._table.naming, image, refusal))
            return explain.explain_write("promote", subject, None, str(image), Written(tuple(steps), refusal))
        except Refusal as refusal:
            steps += self._end(question, right, where, image, refusal)
            return explain.explain_write("promote", subject, None, str(image), Written(tuple(steps), refusal))
        told = f"{_shown(image, reference)} from {source.name}"
        return explain.explain_write("promote", subject, target.name, told, Written(tuple(steps)))

    async def _gates(self, question: Question, source: Entry) -> tuple[list[Step], Refusal | None]:
        """What each gate says, as a dry run of the promotion would, and the refusal that it would end with. One that
        lacks nothing but approvals would be taken, and wait. Raises what a plan raises."""
        rails, reference = self._table.rails, question.reference
        move = rails.move(question.image, source.name, question.entry.name, question.who.name)
        tag = reference if isinstance(reference, Tag) else None
        digest = reference if isinstance(reference, Digest) else None
        asked = await rails.looked_at(self._store, replace(move, reference=tag, digest=digest))
        found = await self._store.write(lambda tx: plan(tx, asked), durable=False)
        if found.repeated is not None:
            told = f"Promotion {found.repeated.id} is the same: it is {found.repeated.state}."
            return [Step(question.entry.name, told)], None
        steps = [
            Step(
                f"gate {one.kind}",
                f"{one.name}: {one.evidence}. {one.opens}".rstrip(),
                Verdict.NO if one.state is State.REFUSES else Verdict.ON,
            )
            for one in found.verdicts
        ]
        if found.state is not State.REFUSES:
            return steps, None
        return steps, refusal_of(_shown(question.image, reference), asked.target.said, found.verdicts)

    async def _source(self, question: Question, source: Entry) -> Step:
        """Raises ManifestUnknown."""
        assert isinstance(source.repository, Hosted)
        assert question.reference is not None
        held = await self._held(source.repository, question.image, question)
        if held is None:
            raise ManifestUnknown(question.image, str(question.reference), source.name)
        return Step(source.name, f"{source.name} has {_shown(question.image, question.reference)}: {held}.")

    async def _writable(self, target: Entry, image: ImageName, tag: Tag | None, *, plans: bool = False) -> Step:
        """Raises RepositoryReadOnly, TagWrittenOnce: for a tag that is there, only the same bytes are taken. With
        ``plans`` the tag is told of alone, since a plan judges it."""
        rows, intervals = await self._store.report(
            lambda reports: (
                reports.repositories(),
                () if tag is None else reports.history(target.name, image, tag, _INTERVALS),
            )
        )
        writing = rows[target.name].writing
        if writing.policy is WritePolicy.DENY:
            raise RepositoryReadOnly(target.name)
        found = next((one for one in intervals if one.until is None or one.once), None)
        if found is not None and plans:
            policy = f"The write policy of {target.name} is {writing.policy.value}"
            verb = "is" if found.until is None else "was"
            return Step(target.name, f"{policy}: the tag {tag} {verb} {found.digest} there.")
        if found is not None and tag is not None and writing.is_once(tag):
            rule = writing.rule_of(tag)
            where = "" if rule is None else rule.where
            since, gone = _minute(found.since), found.until is not None
            raise TagWrittenOnce(target.name, image, tag, found.digest, since, found.by, where, gone=gone)
        return explain.policy_step(target.name, writing, tag, None if found is None else found.digest)

    # --- what they have in common ------------------------------------------------------------------------------------

    def _subject(self, question: Question) -> tuple[Subject, list[Step]]:
        account, entry, who = question.account, question.entry, question.who
        if account is None:
            told = f"{who.name} is a job, known by its id_token. Rules that fit it: {', '.join(fitting(who))}."
            roles = [(trusted_by(who), who.rules)]
        else:
            named = ", ".join(account.roles) or "none"
            told = f"{account.name} is {account.origin.said}. Its roles: {named}."
            roles = [(f"role {role}", rules) for role, rules in self._directory.rules_by_role(account)]
        steps = [Step(who.name, told)]
        port = "" if entry.external is None else f"{entry.external} and "
        order = f", whose members are asked in this order: {', '.join(entry.members)}" if entry.members else ""
        where = f"{port}{self._table.main}/{entry.name}"
        steps.append(Step(entry.name, f"{entry.name}, at {where}, is a {entry.kind} repository{order}."))
        return Subject(question.who, roles), steps

    def _end(self, question: Question, right: Right, where: Entry, image: ImageName, refusal: Refusal) -> list[Step]:
        """The refusal, unless the step before has said it."""
        if isinstance(refusal, TagDenied):
            return []
        if isinstance(refusal, Denied | StageFilledByPromotion):
            return [*self._given(question, right, where.name, image)]
        return [Step(where.name, refusal.message, Verdict.NO)]

    def _given(self, question: Question, right: Right, repository: RepositoryName, image: ImageName) -> Sequence[Step]:
        """Who has it instead; for those alone who may see accounts."""
        if not question.tells:
            return ()
        roles = {name: rules for name, (_, rules) in self._directory.roles.items()}
        holders: dict[str, list[str]] = {}
        for _, account in sorted(self._directory.accounts.items()):
            for role in account.roles:
                holders.setdefault(role, []).append(account.name)
        found = explain.given_by(right, repository, image, roles, holders)
        return () if found is None else (found,)


def _members(entry: Entry) -> Sequence[tuple[Local | Caching, Sequence[Reserve]]]:
    """Who may be asked, with what keeps names from each, as the group itself has it."""
    repository = entry.repository
    if isinstance(repository, Group):
        return list(repository.flat())
    assert isinstance(repository, Local | Caching)
    return [(repository, ())]


def who_may(subject: Subject, member: Member) -> bool:
    """Whether the account may see the image there."""
    return subject.who.may_ask(Right.PULL, member.name, member.image)


def _disabled(question: Question, steps: Sequence[Step]) -> Explanation:
    told = f"{question.who.name} is disabled, so whatever it asks is refused."
    return Explanation(f"No: {told}", (*steps, Step(question.who.name, told, Verdict.NO)), NotAuthenticated(told))


def _shown(image: ImageName, reference: Reference | None) -> str:
    return image if reference is None else f"{image}{'@' if ':' in reference else ':'}{reference}"


def _minute(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
