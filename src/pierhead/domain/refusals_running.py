"""Refusals about what clusters report, which belong to the closed set of ``domain/refusals.py``."""

from __future__ import annotations

from pierhead.domain.refusals import Refusal, shown


class ClusterUnknown(Refusal):
    def __init__(self, cluster: str) -> None:
        super().__init__(
            f"No cluster has reported as `{shown(cluster)}`. `pierhead running clusters` lists those that did.",
            cluster=shown(cluster),
        )
