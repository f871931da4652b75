"""The measurements. Each returns rows for the table; ``real`` runs are long enough to trust, small ones only run."""

from __future__ import annotations

import hashlib
import mmap
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bench.processes import Run, wrk
from bench.servers import NAME, Subject


@dataclass(frozen=True)
class Row:
    """One line: what was done, by whom, processor time for each in microseconds; ``rate`` per second."""

    what: str
    who: str
    each: float
    rate: float


@dataclass(frozen=True)
class Goal:
    """``ratio`` was measured, ``bound`` was wanted; ``least`` tells whether more is better."""

    what: str
    ratio: float
    bound: float
    least: bool

    @property
    def met(self) -> bool:
        """Whether the ratio is on the right side."""
        return self.ratio >= self.bound if self.least else self.ratio <= self.bound


def pulls(subjects: Sequence[Subject], seconds: float, rounds: int) -> list[Row]:
    """Manifest by tag, and blobs of each size. The servers take turns and the best round of each counts: a shared
    machine is slow for a while and then fast again, and a ratio must not depend on whose turn that was."""
    found = _turns(
        "manifest by tag", [s for s in subjects if s.name != "nginx"], rounds, partial(_manifest, seconds=seconds)
    )
    for size in subjects[0].digests:
        found += _turns(f"blob of {size}", subjects, rounds, partial(_blob, size=size, seconds=seconds))
    return found


def pushes(subjects: Sequence[Subject], seconds: float, rounds: int, large: int, count: int) -> list[Row]:
    """``count`` large blobs one after another, and small images from 16 clients, in turns as above."""
    found: list[Row] = []
    runs: dict[str, list[Run]] = {subject.name: [] for subject in subjects}
    for _ in range(rounds):
        for subject in subjects:
            warm(count * large * 2)
            runs[subject.name].append(subject.pushed(str(large), count, 1))
    found += [best("push of a large blob", name, done) for name, done in runs.items()]
    return found + _turns(
        "push of a small image, 16 clients", subjects, rounds, lambda subject: subject.pushed("small", seconds, 16)
    )


def _manifest(subject: Subject, seconds: float) -> Run:
    return wrk(subject.pid, subject.url(f"/v2/{NAME}/manifests/1.0.0"), seconds, subject.headers)


def _blob(subject: Subject, size: str, seconds: float) -> Run:
    digest = subject.digests[size]
    path = f"/{digest.partition(':')[2]}" if subject.name == "nginx" else f"/v2/{NAME}/blobs/{digest}"
    return wrk(subject.pid, subject.url(path), seconds, subject.headers)


def _turns(what: str, subjects: Sequence[Subject], rounds: int, run: Callable[[Subject], Run]) -> list[Row]:
    runs: dict[str, list[Run]] = {subject.name: [] for subject in subjects}
    for _ in range(rounds):
        for subject in subjects:
            runs[subject.name].append(run(subject))
    return [best(what, name, done) for name, done in runs.items()]


def best(what: str, who: str, runs: Sequence[Run]) -> Row:
    """The best of several runs."""
    return Row(what, who, min(run.each for run in runs), max(run.rate for run in runs))


def warm(size: int) -> None:
    """Touches memory and gives it back: a page that a virtual machine meets for the first time costs its host far more
    than the copy into it, which would be counted as the server's."""
    with mmap.mmap(-1, size) as memory:
        for at in range(0, size, 4096):
            memory[at] = 1


def hashing(size: int) -> float:
    """Microseconds of processor time that SHA-256 alone takes for ``size`` bytes here and now: of such bytes as clients
    push, since the kernel keeps a page of zeros once for all and it never leaves the processor's cache."""
    data = os.urandom(1 << 20) * (size >> 20)
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        hashlib.sha256(data).digest()
        best = min(best, time.process_time() - began)
    return best * 1e6


def goals(rows: list[Row], sha256: float) -> list[Goal]:
    """What the project set out to reach, against what this run says."""
    each = {(row.what, row.who): row.each for row in rows}
    rate = {(row.what, row.who): row.rate for row in rows}

    def against(what: str, other: str) -> float:
        return each[what, other] / each[what, "pierhead"]

    found = [
        Goal(
            "manifest by tag: docker-registry takes times as long",
            against("manifest by tag", "docker-registry"),
            10,
            True,
        ),
        Goal("blob of 1 KB: docker-registry takes times as long", against("blob of 1 KB", "docker-registry"), 25, True),
    ]
    if ("blob of 1 MB", "pierhead") in each:
        found.append(
            Goal(
                "blob of 1 MB: docker-registry takes times as long", against("blob of 1 MB", "docker-registry"), 8, True
            )
        )
        found.append(Goal("blob of 1 MB: times what nginx takes", 1 / against("blob of 1 MB", "nginx"), 2, False))
    if ("blob of 100 MB", "pierhead") in each:
        found.append(
            Goal(
                "blob of 100 MB: docker-registry takes times as long",
                against("blob of 100 MB", "docker-registry"),
                1.5,
                True,
            )
        )
        found.append(Goal("blob of 100 MB: times what nginx takes", 1 / against("blob of 100 MB", "nginx"), 2, False))
    push = "push of a large blob"
    found.append(Goal("push of a large blob: times SHA-256 alone", each[push, "pierhead"] / sha256, 2.5, False))
    small = "push of a small image, 16 clients"
    found.append(
        Goal(
            "small images per second, 16 clients: times docker-registry's",
            rate[small, "pierhead"] / rate[small, "docker-registry"],
            5,
            True,
        )
    )
    return found
