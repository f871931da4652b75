"""``python -m bench``: everything, about ten minutes. ``--small``: the same with little, to see that it runs."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path

from bench import growth, promotions, report, rows, servers, tokens


def main() -> None:
    """Prints the table; with ``--write FOLDER`` keeps it and the picture there."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pierhead-bench-") as folder:
        Path(folder).chmod(0o755)  # nginx reads as another user
        text, picture = measure(Path(folder), small=asked.small)
    print(text)
    if asked.write is not None:
        (asked.write / "performance-run.md").write_text(text)
        (asked.write / "performance.svg").write_text(picture)


def measure(folder: Path, *, small: bool) -> tuple[str, str]:
    """The servers take turns, never two at once; returns the table and the picture."""
    sizes = {"1 KB": 1_000} if small else servers.SIZES
    seconds = 1 if small else 3
    large = (1 << 20) if small else 100 << 20
    content = servers.blobs(sizes)
    rounds = 1 if small else 3
    with contextlib.ExitStack() as running:
        ours = running.enter_context(servers.pierhead(folder / "pierhead", content))
        theirs = running.enter_context(servers.docker_registry(folder / "docker-registry", content))
        secure = running.enter_context(servers.pierhead_with_tls(folder / "tls", content))
        files = running.enter_context(servers.nginx(folder / "nginx", content))
        found = rows.pulls([ours, theirs, secure, files], seconds, rounds)
        found += rows.pushes([ours, theirs], seconds, rounds, large, 1 if small else 5)
        sha256 = rows.hashing(large)
        found += tokens.rows(ours, folder, seconds, rounds)
    goals = [*rows.goals(found, sha256), tokens.goal(found)]
    stored, picked = ((100, 1_000), 100) if small else ((1_000, 1_000_000), 1_000)
    grown = growth.growth(folder, stored, picked, seconds, rounds)
    found += grown
    goals += growth.goals(grown, stored, picked)
    promoted = promotions.promotions(folder / "promotions", 10 if small else 100, 1 if small else 10)
    found += promoted
    goals += promotions.goals(promoted)
    rest, most = growth.memory(
        folder / "memory", (8 << 20) if small else (1 << 30), 4 if small else 50, 1 if small else 20
    )
    goals += growth.memory_goals(rest, most)
    size = "8 MiB" if small else "1 GiB"
    note = (
        f"SHA-256 of the large blob alone: {sha256 / 1000:.1f} ms. Memory: {rest:.0f} MiB at rest with three ports, "
        f"{most:.0f} MiB at most while clients push and pull blobs of {size}."
    )
    return report.table(found, goals, [growth.note(grown, stored, picked), "", note]), report.picture(found)


if __name__ == "__main__":
    main()
