"""Refusals about the board and what clusters report, which belong to the closed set of ``domain/refusals.py``."""

from __future__ import annotations

from pierhead.domain.refusals import Refusal, shown


class ClusterUnknown(Refusal):
    def __init__(self, cluster: str) -> None:
        super().__init__(
            f"No cluster has reported as `{shown(cluster)}`. `pierhead running clusters` lists those that did.",
            cluster=shown(cluster),
        )


class StageEmpty(Refusal):
    def __init__(self, service: str, stage: str) -> None:
        super().__init__(
            f"Nothing of {shown(service)} stands in {shown(stage)}, or nothing that you may pull. "
            "`pierhead board` shows what does.",
            service=shown(service),
            stage=shown(stage),
        )
