"""``pierhead serve``: the server."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file; a built-in one without it.")
@click.option("--data", type=click.Path(path_type=Path), help="The data folder; overrides the file's.")
@click.option("--listen", help="host:port of the main port; overrides the file's.")
def serve(config: Path | None, data: Path | None, listen: str | None) -> None:
    """Serve images: pushes on one port, pulls on another, everything by path on the main port."""
    import uvloop

    from pierhead.boot import serve as boot
    from pierhead.boot.config import load
    from pierhead.boot.config_faults import ConfigFaults
    from pierhead.boot.default import default_settings
    from pierhead.boot.settings import Settings
    from pierhead.boot.wire import House

    def read() -> Settings:
        if config is None:
            return default_settings(data=data, listen=listen)
        return load(config, data=data, listen=listen)

    def ready(house: House) -> None:
        print("ready", flush=True)

    try:
        code = uvloop.run(boot.serve(read, ready))
    except ConfigFaults as faults:
        for line in faults.lines:
            print(line, file=sys.stderr)
        sys.exit(2)
    sys.exit(code)
