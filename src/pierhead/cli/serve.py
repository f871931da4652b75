"""``pierhead serve``: the server."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import click


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file; a built-in one without it.")
@click.option("--data", type=click.Path(path_type=Path), help="The data folder; overrides the file's.")
@click.option("--listen", help="host:port of the main port; overrides the file's.")
@click.option("--workers", type=click.IntRange(1, 64), help="How many processes serve; overrides the file's.")
def serve(config: Path | None, data: Path | None, listen: str | None, workers: int | None) -> None:
    """Serve images: pushes on one port, pulls on another, everything by path on the main port."""
    gc.disable()  # until the server is ready, see boot/memory.py
    from pierhead.boot.early import without_authorities

    with without_authorities():
        from pierhead.boot import start

    code, lines = start.run(start.Command(config, data, listen, workers), lambda text: print(text, flush=True))
    for line in lines:
        print(line, file=sys.stderr)
    sys.exit(code)
