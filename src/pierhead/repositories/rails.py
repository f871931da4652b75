"""What a promotion needs to know besides the database: the stages, who checks signatures, and who has which role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pierhead.commits.promotion_values import End, OnDone, RolesOf, nobody
from pierhead.domain.digest import Digest
from pierhead.domain.gates import Signed
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.promotion import Train
from pierhead.ports.metadata.values import RepositoryId
from pierhead.ports.signatures import NoSignatures, Signatures, Subject


def _nothing(account: str) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Rails:
    """``ids`` are the hosted repositories of the configuration. ``on_done`` is told of each promotion within its
    transaction, and may add manifests to it."""

    train: Train = field(default_factory=Train)
    ids: Mapping[RepositoryName, RepositoryId] = field(default_factory=dict)
    signatures: Signatures = field(default_factory=NoSignatures)
    roles_of: RolesOf = _nothing
    on_done: OnDone = nobody

    def end(self, name: RepositoryName) -> End:
        """One end of a promotion. Raises KeyError for what is no hosted repository of the configuration."""
        stage = next((one for one in self.train.stages if one.repository == name), None)
        return End(self.ids[name], name, stage)

    def before(self, target: End) -> End | None:
        """The stage before a stage; None for the first, and for a repository that is none."""
        stage = None if target.stage is None else self.train.before(target.stage)
        return None if stage is None else self.end(stage.repository)

    def signed_gates(self, target: End) -> Sequence[Signed]:
        """Those of the target's gates that are about signatures."""
        gates = () if target.stage is None else target.stage.gates
        return [gate for gate in gates if isinstance(gate, Signed)]

    async def vouched(self, source: End, target: End, image: ImageName, digest: Digest) -> Mapping[Signed, str | None]:
        """What is wrong with the signatures on ``digest`` in the source, for each gate. Raises Unavailable."""
        subject = Subject(source.id, source.name, image, digest)
        return {gate: await self.signatures.wrong(subject, gate.keys) for gate in self.signed_gates(target)}
