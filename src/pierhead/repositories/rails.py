"""What a promotion needs to know besides the database: the stages, who checks signatures, and who has which role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from pierhead.commits.promotion_plan import resolve
from pierhead.commits.promotion_values import End, Move, OnDone, RolesOf, nobody
from pierhead.domain.access import Principal, Right
from pierhead.domain.digest import Digest
from pierhead.domain.gates import Signed
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.naming import Judgement, Naming
from pierhead.domain.promotion import Kind, Train
from pierhead.domain.refusals_names import NameRefused
from pierhead.ports.metadata.store import Store
from pierhead.ports.metadata.values import RepositoryId
from pierhead.ports.signatures import NoSignatures, Signatures, Subject


def _nothing(account: str) -> tuple[str, ...]:
    return ()


class Rails(Struct, frozen=True):
    """``ids`` are the hosted repositories of the configuration. ``on_done`` is told of each promotion within its
    transaction, and may add manifests to it. ``naming`` holds for what is promoted as it does for pushes."""

    train: Train = field(default_factory=Train)
    ids: Mapping[RepositoryName, RepositoryId] = field(default_factory=dict)
    signatures: Signatures = field(default_factory=NoSignatures)
    roles_of: RolesOf = _nothing
    on_done: OnDone = nobody
    naming: Naming = field(default_factory=Naming)

    def end(self, name: RepositoryName) -> End:
        """One end of a promotion. Raises KeyError for what is no hosted repository of the configuration."""
        stage = next((one for one in self.train.stages if one.repository == name), None)
        return End(self.ids[name], name, stage)

    def before(self, target: End) -> End | None:
        """The stage before a stage; None for the first, and for a repository that is none."""
        stage = None if target.stage is None else self.train.before(target.stage)
        return None if stage is None else self.end(stage.repository)

    def move(
        self,
        image: ImageName,
        source: RepositoryName,
        target: RepositoryName,
        account: str,
        kind: Kind = Kind.PROMOTION,
        *,
        follow: bool = False,
    ) -> Move:
        """A promotion with all that the configuration says about it; what is asked for is put in by the caller."""
        end = self.end(target)
        begin = end if kind is Kind.BACK else self.end(source)
        return Move(
            image=image,
            source=begin,
            target=end,
            account=account,
            roles_of=self.roles_of,
            before=self.before(end),
            behind=self.before(begin),
            kind=kind,
            follow=follow or (end.stage is not None and end.stage.follow),
            wait=self.train.wait * 1_000_000,
            pointer=self.train.pointer,
            on_done=self.on_done,
        )

    def judge_name(self, who: Principal, target: RepositoryName, image: ImageName) -> Judgement | None:
        """What the rules for names of ``target`` say of an image that is promoted there, under the name that it has;
        what is only warned about. The right name is told to an account that may bring it there.

        Raises NameRefused.
        """
        found = self.naming.judge(target, image)
        if found is None:
            return None
        found = found.told_to(who, target, Right.PROMOTE, Right.PUSH)
        if found.refuses:
            stage = next((one.name for one in self.train.stages if one.repository == target), target)
            told = f"{image} does not go to {stage}, where it would keep its name. {found.sentence}"
            raise NameRefused(target, image, found.rule, told, found.right or "")
        return found

    def signed_gates(self, target: End) -> Sequence[Signed]:
        """Those of the target's gates that are about signatures."""
        gates = () if target.stage is None else target.stage.gates
        return [gate for gate in gates if isinstance(gate, Signed)]

    async def vouched(self, move: Move, digest: Digest) -> Move:
        """With what is wrong with the signatures on ``digest`` in the source, for each gate that asks; as it was where
        none does. Raises Unavailable."""
        gates = self.signed_gates(move.target)
        if not gates:
            return move
        subject = Subject(move.source.id, move.source.name, move.image, digest)
        wrong = {gate: await self.signatures.wrong(subject, gate.keys) for gate in gates}
        return replace(move, pinned=digest, vouched=wrong)

    async def looked_at(self, store: Store, move: Move) -> Move:
        """The same for the digest that ``move`` comes to now: signatures are checked before the transaction, and a tag
        that moves in between is refused in it. Raises Unavailable, and what ``commits.promotion_plan`` raises."""
        if not self.signed_gates(move.target):
            return move
        found = await store.write(lambda tx: resolve(tx, move), durable=False)
        return await self.vouched(move, found.digest)
