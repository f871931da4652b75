"""``pierhead health``: for the health check of a container or an orchestrator."""

from __future__ import annotations

import click

from pierhead.cli.talk import Talk, talks


@click.command()
@talks
def health(talk: Talk) -> None:
    """End with 0 if the server is ready, else with 1 and the reason. Needs no account."""
    said = talk.client.health()
    if talk.as_json:
        talk.print_json({"ready": True, "said": said})
    else:
        print(said)
