"""What a server costs: processor time and memory of a process and its children, as the kernel counts them."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE_KIB = 1024


def family(pid: int) -> list[int]:
    """A process and its descendants that are running now."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, its threads and its children, those that ended included."""
    total = 0.0
    for one in family(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(fields[at]) for at in (11, 12, 13, 14)) / _TICK
    return total


def memory_mib(pid: int) -> float:
    """Resident memory of a process and its children; shared pages count once in each."""
    total = 0
    for one in family(pid):
        try:
            found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{one}/status").read_text())
        except OSError:
            continue
        total += int(found[1]) if found else 0
    return total / _PAGE_KIB


@dataclass(frozen=True)
class Run:
    """One load: how many requests, how long, and what they cost the server. Times in seconds."""

    requests: int
    seconds: float
    cpu: float

    @property
    def each(self) -> float:
        """Processor time of the server for one request, in microseconds."""
        return self.cpu / max(self.requests, 1) * 1e6

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds if self.seconds else 0.0


def wrk(pid: int, url: str, seconds: float, headers: Sequence[str] = (), script: str = "", clients: int = 4) -> Run:
    """Loads ``url`` with wrk from a process of its own. Raises RuntimeError if anything but 2xx was answered."""
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:.0f}s", "--timeout", "30s"]
    for header in headers:
        command += ["-H", header]
    if script:
        command += ["-s", script]
    before, began = cpu_seconds(pid), time.monotonic()
    told = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    took, after = time.monotonic() - began, cpu_seconds(pid)
    counted = re.search(r"(\d+) requests in", told)
    if counted is None or "Non-2xx" in told or int(counted[1]) == 0:
        raise RuntimeError(f"{url} was not served:\n{told}")
    return Run(int(counted[1]), took, after - before)
