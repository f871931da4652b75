"""Which repositories there are, how people reach them, and the right port for a wrong one.

The table is a value: it is replaced whole when the configuration changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, field

from pierhead.domain.access import ANONYMOUS, Grant, Principal, Right, require
from pierhead.domain.lookup import Reserve
from pierhead.domain.names import ImageName, Reference, RepositoryName
from pierhead.domain.naming import Judgement, Naming
from pierhead.domain.refusals import (
    Denied,
    RepositoryUnknown,
    ScopeMissing,
    StageFilledByPromotion,
    WrongPort,
    shown,
)
from pierhead.domain.refusals_names import NameRefused
from pierhead.domain.tagging import BUILT_IN, Strategy
from pierhead.repositories.hosted import Hosted
from pierhead.repositories.kind import Repository
from pierhead.repositories.proxy import Proxy
from pierhead.repositories.pulls import Pulls
from pierhead.repositories.rails import Rails


class Entry(Struct, frozen=True):
    """One repository as the configuration has it.

    ``external`` is host:port of its own port as people reach it, None without one. ``members`` are a group's.
    ``stage`` is the name of a promotion stage behind the first, "" otherwise.
    """

    repository: Repository
    external: str | None = None
    members: tuple[RepositoryName, ...] = ()
    reserve: Reserve = field(default_factory=lambda: Reserve(()))
    writable: RepositoryName | None = None
    stage: str = ""

    @property
    def name(self) -> RepositoryName:
        """The repository's name."""
        return self.repository.name

    @property
    def kind(self) -> str:
        """``hosted``, ``proxy`` or ``group``."""
        return self.repository.kind

    def readable_by(self, who: Principal) -> bool:
        """Whether the account may see anything of it. A group needs no right of its own: rights are judged on the
        member that answers."""
        return self.kind == "group" or who.may_somewhere(Right.PULL, self.name)

    def shows(self, who: Principal, image: ImageName) -> bool:
        """Whether the account sees the image; one that it does not see is answered like one that is not there. A group
        shows what its members do. Raises ScopeMissing."""
        repository = self.repository
        if isinstance(repository, Proxy | Hosted):
            name = repository.judged(image)
            if who.lacks_scope(Right.PULL, self.name, name):
                raise ScopeMissing(Right.PULL.value)
            return who.may(Right.PULL, self.name, name)
        return True


class Leaf(Struct, frozen=True):
    """A repository with content of its own that is reached through a group, and what the groups above it reserve."""

    entry: Entry
    reserves: tuple[Reserve, ...] = ()

    def kept_as(self, image: ImageName) -> ImageName | None:
        """The name under which it keeps the image, if it has it; None for a proxy that is never asked for it."""
        repository = self.entry.repository
        if not isinstance(repository, Proxy):
            return image
        return None if any(reserve.holds(image) for reserve in self.reserves) else repository.spelled(image)


class Table:
    """All repositories; ``main`` is host:port of the main port as people reach it. ``rails`` are the stages, and what
    promotion needs to know besides; ``stages`` are their names with their repositories, in the order of promotion.
    ``tags`` tells what a tag is; ``naming`` holds for what is pushed."""

    def __init__(
        self,
        entries: Sequence[Entry],
        main: str,
        rails: Rails | None = None,
        tags: Strategy = BUILT_IN,
        naming: Naming | None = None,
    ) -> None:
        self.tags = tags
        self.naming = Naming() if naming is None else naming
        self.rails = Rails() if rails is None else rails
        self.stages = tuple((stage.name, stage.repository) for stage in self.rails.train.stages)
        self.pulls = Pulls()
        """Where what is handed out is counted; the process puts its own here."""
        self.entries: Mapping[RepositoryName, Entry] = {entry.name: entry for entry in entries}
        self.main = main

    def entry(self, name: str) -> Entry:
        """Raises RepositoryUnknown, naming those that there are."""
        found = self.entries.get(RepositoryName(name))
        if found is None:
            raise RepositoryUnknown(name, list(self.entries))
        return found

    def hosted_for_push(self, entry: Entry, who: Principal, image: ImageName, port: int | None) -> Entry:
        """Where a push to ``entry`` goes: itself, or a group's ``writable``.

        Raises WrongPort with the right address; ``port`` is the wrong one, None if the repository was named by path.
        """
        if entry.kind == "hosted":
            return entry
        if entry.writable is not None:
            return self.entries[entry.writable]
        right, why = self._push_address(entry, who, image)
        raise WrongPort(entry.name, port, right, why, nobody=who.name == ANONYMOUS)

    def for_push(
        self, entry: Entry, who: Principal, image: ImageName, reference: str, port: int | None
    ) -> tuple[Entry, Grant]:
        """Where a push to ``entry`` goes, and leave for it. ``port`` as in ``hosted_for_push``; ``reference`` goes into
        a sentence.

        Raises WrongPort, StageFilledByPromotion, Denied, ScopeMissing.
        """
        target = self.hosted_for_push(entry, who, image, port)
        if target.stage and not who.may_ask(Right.PUSH, target.name, image):
            raise StageFilledByPromotion(target.name, image, reference, target.stage)
        try:
            return target, require(who, Right.PUSH, target.name, image)
        except Denied as refusal:
            if not _pushes(who, target):
                raise
            found = self.naming.judge(target.name, image)
            if found is None or not found.refuses or not found.may_be_told(who, target.name, Right.PUSH):
                raise
            raise Denied(who.name, "push to", f"{target.name}/{image}", found.sentence) from refusal

    def judge_name(self, who: Principal, target: Entry, image: ImageName) -> Judgement | None:
        """What the rules for names say of a push that the account may make; what is only warned about. The right name
        is told to an account that may push to it.

        Raises NameRefused.
        """
        found = self.say_of_name(who, target, image)
        if found is not None and found.refuses:
            raise NameRefused(target.name, image, found.rule, found.sentence, found.right or "")
        return found

    def say_of_name(self, who: Principal, target: Entry, image: ImageName) -> Judgement | None:
        """The same for a name that stands there, whoever pushed it."""
        found = self.naming.judge(target.name, image)
        return None if found is None else found.told_to(who, target.name, Right.PUSH)

    def pull_hint(self, entry: Entry, who: Principal, image: ImageName, reference: Reference) -> str:
        """For what a push port does not have: where base images come from, if the account may have them there. No
        upstream is asked for this sentence."""
        naming = self.naming.judge(entry.name, image)
        if entry.kind != "hosted" or (naming is not None and naming.refuses):
            return ""  # a name that the house refuses is one of its own, misspelt
        for group in self.entries.values():
            if group.kind != "group" or group.external is None:
                continue
            below = self._below(group)
            proxies = [member.repository for member in below if isinstance(member.repository, Proxy)]
            if entry not in below or not any(who.may_ask(Right.PULL, p.name, p.judged(image)) for p in proxies):
                continue
            if any(g.reserve.holds(image) for g in (group, *below) if g.kind == "group"):
                continue
            joint = "@" if ":" in reference else ":"
            return f"Docker Hub images come from {group.external}/{image}{joint}{reference}."
        return ""

    def other_port(self, who: Principal, image: ImageName, reference: str, *, pushes: bool) -> str:
        """For an image that was named on the main port without its repository: where it is pushed to, or pulled from.
        ``reference`` may be any text. Empty if no repository has a port of its own for that."""
        if not pushes:
            own = [entry for entry in self.entries.values() if entry.external is not None and entry.readable_by(who)]
            found = next((entry for entry in own if entry.kind == "group"), own[0] if own else None)
            joint = "" if not reference else "@" if ":" in reference else ":"
            return "" if found is None else f"Pull {found.external}/{image}{joint}{shown(reference)}."
        groups = [entry for entry in self.entries.values() if entry.kind == "group"]
        for entry in (*groups, None):
            right, why = self._push_address(entry, who, image)
            if right and not right.startswith(f"{self.main}/"):
                return f"{why} Push to {right}.".lstrip()
        return ""

    def _push_address(self, entry: Entry | None, who: Principal, image: ImageName) -> tuple[str, str]:
        """Where the account may push the image, under its right name, empty for nowhere; and why not under the name
        that was said, if so. Asked of a group, a proxy (of the groups that hold it), or of all that there is (None).
        A group's ``writable`` comes first, then the first that has a port."""
        groups = [] if entry is None else [entry]
        if entry is not None and entry.kind == "proxy":
            groups = [g for g in self.entries.values() if g.kind == "group" and entry in self._below(g)]
        below = [member for group in groups for member in self._below(group)] or list(self.entries.values())
        taking = {group.writable for group in groups if group.writable is not None}
        may = sorted((e for e in below if e.kind == "hosted" and _pushes(who, e)), key=lambda e: e.name not in taking)
        named = [(e, self.naming.meant(e.name, image)) for e in may]
        hosted = [(e, name) for e, name in named if who.may_ask(Right.PUSH, e.name, name)]
        if not hosted:
            return "", ""
        member, name = next((p for p in hosted if p[0].name in taking or p[0].external is not None), hosted[0])
        found = self.naming.judge(member.name, image)
        why = found.why if found is not None and name != image else ""
        return f"{member.external or f'{self.main}/{member.name}'}/{name}", why

    def _below(self, entry: Entry) -> list[Entry]:
        """Members, nested ones too, groups among them, in the order in which they are asked."""
        found: list[Entry] = []
        for name in entry.members:
            member = self.entries[name]
            found += [member, *self._below(member)]
        return found

    def leaves(self, entry: Entry, who: Principal) -> list[Leaf]:
        """The repositories of other kinds that ``entry`` is or holds, in the order in which they are asked; of a group
        only those of which the account may see something. One that is held twice stands there twice."""
        return list(self._leaves(entry, who, ()))

    def keeping(self, entry: Entry, who: Principal, image: ImageName) -> Mapping[RepositoryName, ImageName]:
        """Which of ``leaves`` may hold the image, each once, and under which name, in the order of asking; only those
        in which the account may see it."""
        found: dict[RepositoryName, ImageName] = {}
        for leaf in self._leaves(entry, who, ()):
            name = leaf.kept_as(image)
            if name is not None and who.may(Right.PULL, leaf.entry.name, name):
                found.setdefault(leaf.entry.name, name)
        return found

    def _leaves(self, entry: Entry, who: Principal, reserves: tuple[Reserve, ...]) -> Iterator[Leaf]:
        if entry.kind != "group":
            if not reserves or who.may_somewhere(Right.PULL, entry.name):
                yield Leaf(entry, reserves)
            return
        for name in entry.members:
            yield from self._leaves(self.entries[name], who, (*reserves, entry.reserve))

    def every_leaf(self, entry: Entry, reserves: tuple[Reserve, ...] = ()) -> Iterator[Leaf]:
        """The same for nobody in particular: nothing of what they hold may be told."""
        if entry.kind != "group":
            yield Leaf(entry, reserves)
        for name in entry.members:
            yield from self.every_leaf(self.entries[name], (*reserves, entry.reserve))

    def hosted_below(self, entry: Entry, who: Principal, image: ImageName) -> list[Hosted]:
        """The hosted repositories that a group holds and in which the account may see the image, each once, in their
        order."""
        found = {leaf.entry.name: leaf.entry.repository for leaf in self.leaves(entry, who)}
        return [
            repository
            for repository in found.values()
            if isinstance(repository, Hosted) and who.may(Right.PULL, repository.name, image)
        ]

    def readable_hosted(self, who: Principal, image: ImageName) -> list[Hosted]:
        """Hosted repositories in which the account may see the image."""
        return [
            entry.repository
            for entry in self.entries.values()
            if isinstance(entry.repository, Hosted) and who.may(Right.PULL, entry.name, image)
        ]


def _pushes(who: Principal, entry: Entry) -> bool:
    """Whether a rule may let the account push some image there; what its bearer token was asked for does not count."""
    return any(Right.PUSH in rule.rights and rule.covers(entry.name) for rule in who.rules)
