"""What was found, and its three forms: a table, JSON, and GitLab's report of code quality."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]

WRONG_NAME: Final = "wrong-name"
WRONG_PORT: Final = "wrong-port"
DOCKER_HUB: Final = "docker-hub"
PLAIN_PASSWORD: Final = "plain-password"
UNREADABLE: Final = "unreadable"

ERROR: Final = "error"
WARNING: Final = "warning"
_GITLAB_SEVERITY: Final = {PLAIN_PASSWORD: "critical", WARNING: "minor", ERROR: "major"}


@dataclass(frozen=True, slots=True)
class Finding:
    """``file`` is empty for what stands on the command line, ``line`` counts from 1. ``correction`` is what to write
    instead, empty if there is none to copy; ``rule`` is the one for names that decided. No secret stands in here."""

    check: str
    message: str
    file: str = ""
    line: int = 0
    correction: str = ""
    severity: str = ERROR
    rule: str = ""

    @property
    def place(self) -> str:
        """``FILE:LINE``."""
        return f"{self.file}:{self.line}" if self.file else ""


def once_each(found: Iterable[Finding]) -> Sequence[Finding]:
    """In the order of the files' lines, each only once."""
    return sorted(dict.fromkeys(found), key=lambda one: (one.file, one.line))


def document(found: Sequence[Finding]) -> Json:
    """For programs."""
    items = [
        {
            "check": one.check,
            "severity": one.severity,
            "file": one.file or None,
            "line": one.line or None,
            "message": one.message,
            "correction": one.correction or None,
            "rule": one.rule or None,
        }
        for one in found
    ]
    return {"items": items, "next": None}


def code_quality(found: Sequence[Finding]) -> list[Json]:
    """As GitLab reads it from the artifact ``reports:codequality`` ("Code Quality report format"), which is about files
    alone. Fingerprints stay when a line moves, and differ for equal findings of one file."""
    seen: dict[str, int] = {}
    report: list[Json] = []
    for one in found:
        if not one.file:
            continue
        key = "\0".join((one.file, one.check, one.message, one.correction))
        seen[key] = seen.get(key, 0) + 1
        report.append(
            {
                "description": one.message,
                "check_name": f"pierhead/{one.check}",
                "fingerprint": hashlib.sha256(f"{key}\0{seen[key]}".encode()).hexdigest(),
                "severity": _GITLAB_SEVERITY.get(one.check, _GITLAB_SEVERITY[one.severity]),
                "location": {"path": one.file, "lines": {"begin": max(one.line, 1)}},
            }
        )
    return report
