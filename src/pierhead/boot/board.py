"""What the configuration says of the board."""

from __future__ import annotations

from pierhead.boot.settings import HostedSettings, Settings
from pierhead.domain.board import BoardPlan, BoardRules, BoardStage


def plan_of(settings: Settings) -> BoardPlan:
    """Without stages, hosted repositories stand side by side, in the order of the file."""
    stages = [BoardStage(one.name, one.repository) for one in settings.stages]
    side_by_side = [
        BoardStage(name, name) for name, one in settings.repositories.items() if isinstance(one, HostedSettings)
    ]
    pointer = [settings.promotion.pointer] if settings.promotion.pointer else []  # moves with what the stage holds
    rules = BoardRules(settings.tags.moving, (*settings.board.skip, *pointer))
    return BoardPlan(
        tuple(stages or side_by_side),
        tuple(settings.services.values()),
        rules,
        staged=bool(stages),
        stale_seconds=settings.board.stale_seconds,
    )
