"""A group: several repositories under one name, asked in their order.

- Local members that stand next to each other are one look-up. The order decides which of several hits counts.
- A definite no leads on to the next member. That a member cannot be asked ends the look-up: if it went on, whoever
  can break one upstream could make another answer in its place.
- A digest is answered by any member that keeps it, before an upstream is asked: the bytes are the same.
- No proxy below is asked for, or answers from its cache with, names that ``reserve`` holds.
- An account sees the members in which it may pull the image; the group itself needs no right. A bearer token has to
  cover all of these: with one that was asked for some of them only, another member would answer than without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import or_
from typing import Final, TypeVar

from msgspec import Struct

from pierhead.domain.access import Principal, Right
from pierhead.domain.digest import Digest
from pierhead.domain.lookup import Reserve
from pierhead.domain.names import ImageName, Reference, RepositoryName, Tag
from pierhead.domain.refusals import ScopeMissing, Unavailable, UpstreamLimited
from pierhead.ports.metadata.store import Members
from pierhead.ports.metadata.values import RepositoryId, TagHit
from pierhead.repositories.hosted import referrers_page, stored_blob
from pierhead.repositories.kind import (
    MISSING,
    Caching,
    ComingBlob,
    Found,
    Head,
    ImageList,
    Local,
    Missing,
    ReferrerList,
    Repository,
    StoredBlob,
    TagList,
)
from pierhead.repositories.parts import Parts

Name = TypeVar("Name", Tag, ImageName)

_PLANS_MAX: Final = 256
_IMAGE_PLANS_MAX: Final = 2_048


class _Run(Struct, frozen=True):
    """Local members next to each other. ``rank`` is the place of each in the order."""

    ids: Members
    rank: dict[RepositoryId, int]

    def first(self, hits: Sequence[TagHit]) -> TagHit:
        """The hit of the foremost member."""
        return hits[0] if len(hits) == 1 else min(hits, key=lambda hit: self.rank[hit.repository])


class _Remote(Struct, frozen=True):
    """A proxy, with the reserves of every group through which it is reached here."""

    proxy: Caching
    reserves: tuple[Reserve, ...]

    def held(self, image: ImageName) -> bool:
        """Whether the name is none of this proxy's business."""
        return any(reserve.holds(image) for reserve in self.reserves)


class _Plan(Struct, frozen=True):
    """Who is asked for an account, in order, and all the local ones together."""

    steps: tuple[_Run | _Remote, ...]
    local: _Run
    remotes: tuple[_Remote, ...]

    def asked(self, image: ImageName) -> list[Caching]:
        """The proxies that may be asked for ``image``."""
        return [remote.proxy for remote in self.remotes if not remote.held(image)]


class Group:
    """Implements ``repositories.kind.Repository``. A member that is reached twice counts where it is met first."""

    kind = "group"

    def __init__(self, name: RepositoryName, members: Sequence[Repository], reserve: Reserve, parts: Parts) -> None:
        self.name = name
        self.reserve = reserve
        self.members = tuple(members)
        self._blobs = parts.blobs
        self._lookups = parts.store.lookups
        self._flat = _flattened(self)
        self._names = {member.row_id: member.name for member, _ in self._flat}
        # By the identity of a principal, which is kept in the value so that no other object gets it. None where it
        # depends on the image.
        self._plans: dict[int, tuple[Principal, _Plan | None]] = {}
        # Likewise, for those whose plan depends on the image: a job asks for the same few images again and again.
        self._of_images: dict[tuple[int, ImageName], tuple[Principal, _Plan]] = {}
        self._by_members: dict[tuple[bool, ...], _Plan] = {}

    # --- one thing ---------------------------------------------------------------------------------------------------

    async def manifest(
        self, who: Principal, image: ImageName, reference: Reference, *, head: bool
    ) -> Found | Head | Missing:
        """The first member that has it. Raises Unavailable, UpstreamLimited."""
        plan = self._plan(who, image)
        if isinstance(reference, Digest):
            return await self._by_digest(plan, who, image, reference, head=head)
        lookups = self._lookups
        for step in plan.steps:
            if isinstance(step, _Run):
                hits = await lookups.tag(step.ids, image, reference)
                if hits:
                    hit = step.first(hits)
                    return Found(self._names[hit.repository], await lookups.stored(hit.manifest))
            elif not step.held(image):
                found = await step.proxy.manifest(who, image, reference, head=head)
                if not isinstance(found, Missing):
                    return found
        return MISSING

    async def _by_digest(
        self, plan: _Plan, who: Principal, image: ImageName, digest: Digest, *, head: bool
    ) -> Found | Head | Missing:
        lookups = self._lookups
        if plan.local.ids and (hits := await lookups.manifest(plan.local.ids, image, digest)):
            hit = plan.local.first(hits)
            return Found(self._names[hit.repository], await lookups.stored(hit.manifest))
        proxies = plan.asked(image)
        for proxy in proxies:
            kept = await proxy.kept_manifest(image, digest)
            if isinstance(kept, Found):
                return kept
        for proxy in await _likeliest_first(proxies, image, digest):
            found = await proxy.manifest(who, image, digest, head=head)
            if not isinstance(found, Missing):
                return found
        return MISSING

    async def blob(
        self, who: Principal, image: ImageName, digest: Digest, *, head: bool
    ) -> StoredBlob | ComingBlob | Missing:
        """From any member that keeps it, else through the proxy whose image it belongs to. Raises as ``manifest``."""
        plan = self._plan(who, image)
        if plan.local.ids:
            hit = await self._lookups.blob(plan.local.ids, image, digest)
            if hit is not None:
                return stored_blob(self._names[hit[0]], hit[1], self._blobs)
        proxies = plan.asked(image)
        for proxy in proxies:
            kept = await proxy.kept_blob(image, digest)
            if isinstance(kept, StoredBlob):
                return kept
        for proxy in await _likeliest_first(proxies, image, digest):
            found = await proxy.blob(who, image, digest, head=head)
            if not isinstance(found, Missing):
                return found
        return MISSING

    # --- lists -------------------------------------------------------------------------------------------------------

    async def tags(self, who: Principal, image: ImageName, last: str, limit: int) -> TagList | Missing:
        """The tags of all members. A member that cannot be asked is left out, unless no other knows the image."""
        plan = self._plan(who, image)
        pages: list[TagList] = []
        if plan.local.ids:
            local = await self._lookups.tags(plan.local.ids, image, last, limit + 1)
            if local is not None:
                pages.append(TagList(local[:limit], len(local) > limit))
        left_out: list[str] = []
        failure: Unavailable | UpstreamLimited | None = None
        for proxy in plan.asked(image):
            try:
                page = await proxy.tags(who, image, last, limit)
            except (Unavailable, UpstreamLimited) as raised:
                failure = raised
                left_out.append(f"{proxy.name} is left out. {raised.message}")
                continue
            if isinstance(page, TagList):
                pages.append(page)
                left_out += page.left_out
        if not pages:
            if failure is not None:
                raise failure
            return MISSING
        tags = _merged([page.tags for page in pages])
        return TagList(tags[:limit], len(tags) > limit or any(page.more for page in pages), left_out)

    async def images(self, who: Principal, last: str, limit: int) -> ImageList:
        """What members keep. No upstream is asked: none lists all that it has."""
        whole: list[RepositoryId] = []
        found: list[Sequence[ImageName]] = []
        for member, reserves in self._flat:
            if not who.may_somewhere(Right.PULL, member.name):
                continue
            if isinstance(member, Caching):
                found.append(await _unreserved(_Remote(member, reserves), who, last, limit + 1))
            elif who.may_everywhere(Right.PULL, member.name):
                whole.append(member.row_id)
            else:
                found.append((await member.images(who, last, limit + 1)).images)
        if whole:
            found.append(await self._lookups.images(tuple(whole), last, limit + 1))
        images = _merged(found)
        return ImageList(images[:limit], len(images) > limit)

    async def referrers(
        self, who: Principal, image: ImageName, subject: Digest, artifact_type: str | None, after: int = 0
    ) -> ReferrerList:
        """If a local member holds the subject, what local members list; else what proxies list as well.

        So no upstream is asked about what was pushed here, and a signature that was pushed for an upstream's image
        stands beside the upstream's own.
        """
        plan = self._plan(who, image)
        page = ReferrerList([])
        if plan.local.ids:
            page = await referrers_page(self._lookups, plan.local.ids, image, subject, artifact_type, after)
            if after or await self._lookups.manifest(plan.local.ids, image, subject):
                return page
        if after:
            return page
        listed: dict[object, dict[str, object]] = {entry["digest"]: entry for entry in page.listed}
        left_out: list[str] = []
        for proxy in await _likeliest_first(plan.asked(image), image, subject):
            found = await proxy.referrers(who, image, subject, artifact_type)
            left_out += found.left_out
            for entry in found.listed:
                listed.setdefault(entry["digest"], entry)
            if found.listed:
                break
        return ReferrerList(list(listed.values()), left_out, page.after)

    # --- who is asked ------------------------------------------------------------------------------------------------

    def flat(self) -> Iterator[tuple[Local | Caching, tuple[Reserve, ...]]]:
        """Members without groups in between, each once, with the reserves that hold for it."""
        return iter(self._flat)

    def _plan(self, who: Principal, image: ImageName) -> _Plan:
        """Who is asked for the image. Raises ScopeMissing."""
        found = self._plans.get(id(who))
        if found is None:
            if len(self._plans) >= _PLANS_MAX:
                self._plans.clear()
            found = self._plans[id(who)] = (who, self._everywhere(who))
        if found[1] is not None:
            return found[1]
        known = self._of_images.get((id(who), image))
        if known is None:
            known = (who, self._for_image(who, image))
            if len(self._of_images) >= _IMAGE_PLANS_MAX:
                self._of_images.clear()
            self._of_images[id(who), image] = known
        return known[1]

    def _everywhere(self, who: Principal) -> _Plan | None:
        """The plan for all images alike; None if there is none."""
        seen = [who.may_everywhere(Right.PULL, member.name) for member, _ in self._flat]
        unseen = [not who.may_somewhere(Right.PULL, member.name) for member, _ in self._flat]
        if who.asked is not None or not all(map(or_, seen, unseen)):
            return None
        return self._with(tuple(seen))

    def _for_image(self, who: Principal, image: ImageName) -> _Plan:
        seen: list[bool] = []
        for member, _ in self._flat:
            name = member.judged(image)
            if who.lacks_scope(Right.PULL, member.name, name):
                raise ScopeMissing(Right.PULL.value)
            seen.append(who.may(Right.PULL, member.name, name))
        return self._with(tuple(seen))

    def _with(self, seen: tuple[bool, ...]) -> _Plan:
        """The plan that asks the members which are marked."""
        plan = self._by_members.get(seen)
        if plan is None:
            if len(self._by_members) >= _PLANS_MAX:
                self._by_members.clear()
            plan = _plan([one for one, marked in zip(self._flat, seen, strict=True) if marked])
            self._by_members[seen] = plan
        return plan


def _flattened(group: Group) -> list[tuple[Local | Caching, tuple[Reserve, ...]]]:
    order: dict[RepositoryName, Local | Caching] = {}
    reserves: dict[RepositoryName, tuple[Reserve, ...]] = {}
    for member in group.members:
        inner: list[tuple[Local | Caching, tuple[Reserve, ...]]]
        if isinstance(member, Group):
            inner = list(member.flat())
        elif isinstance(member, Caching | Local):
            inner = [(member, ())]
        else:
            raise TypeError(f"{member.name} is a {member.kind} repository, which a group cannot hold")
        for one, held in inner:
            order.setdefault(one.name, one)
            # Reached on two ways, it is held back by what either reserves.
            reserves[one.name] = (*reserves.get(one.name, ()), *held)
    own = (group.reserve,) if group.reserve else ()
    return [(one, (*reserves[name], *own)) for name, one in order.items()]


def _plan(members: Sequence[tuple[Local | Caching, tuple[Reserve, ...]]]) -> _Plan:
    steps: list[_Run | _Remote] = []
    run: list[RepositoryId] = []
    local: list[RepositoryId] = []
    for member, reserves in members:
        if isinstance(member, Caching):
            if run:
                steps.append(_run(run))
                run = []
            steps.append(_Remote(member, reserves))
        else:
            run.append(member.row_id)
            local.append(member.row_id)
    if run:
        steps.append(_run(run))
    return _Plan(tuple(steps), _run(local), tuple(step for step in steps if isinstance(step, _Remote)))


def _run(ids: Sequence[RepositoryId]) -> _Run:
    return _Run(tuple(ids), {one: rank for rank, one in enumerate(ids)})


async def _likeliest_first(proxies: Sequence[Caching], image: ImageName, digest: Digest) -> Sequence[Caching]:
    """Those that keep a manifest of the image which names the digest, then the others, else in their order."""
    if len(proxies) < 2:
        return proxies
    naming = [proxy for proxy in proxies if await proxy.names(image, digest)]
    return [*naming, *(proxy for proxy in proxies if proxy not in naming)]


async def _unreserved(remote: _Remote, who: Principal, last: str, limit: int) -> Sequence[ImageName]:
    """Up to ``limit`` names of a proxy that this group does not hold back."""
    found: list[ImageName] = []
    while len(found) < limit:
        page = await remote.proxy.images(who, last, limit)
        found += [name for name in page.images if not remote.held(name)]
        if not page.more or not page.images:
            break
        last = page.images[-1]
    return found[:limit]


def _merged(lists: Sequence[Sequence[Name]]) -> Sequence[Name]:
    if len(lists) == 1:
        return lists[0]
    return sorted({name for one in lists for name in one})
