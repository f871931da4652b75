"""What is never touched by expiry wherever it lies: one statement for each reason, asked where it is removed.

Whoever adds a table that names digests people rely on adds its statement here; it takes the raw digest and says why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

POINTED_AT: Final = """
SELECT r.name || ' holds it now' FROM pointers p JOIN images i ON i.id=p.image_id
JOIN repositories r ON r.id=i.repository_id WHERE p.until IS NULL AND p.digest=? LIMIT 1
"""
PROMOTION_WAITS: Final = """
SELECT 'promotion ' || id || ' to ' || target_stage || ' waits for approval' FROM promotions
WHERE state='waiting' AND digest=? LIMIT 1
"""
RUNS: Final = """
SELECT cluster || ' runs it' || CASE WHEN workload='' THEN '' ELSE ' (' || workload || ')' END FROM running_images
WHERE digest=? LIMIT 1
"""
PROTECTED: Final = (POINTED_AT, PROMOTION_WAITS, RUNS)


def why_protected(execute: Callable[..., Any], manifest: int) -> str:
    """The first reason that is found; "" if there is none."""
    raw = execute("SELECT digest FROM manifests WHERE id=?", (manifest,)).get
    for statement in PROTECTED:
        found = execute(statement, (raw,)).get
        if isinstance(found, str):
            return found
    return ""
