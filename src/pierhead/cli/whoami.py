"""``pierhead whoami``: the account that signs in from here, and what it may."""

from __future__ import annotations

import click

from pierhead.cli.tables import clean
from pierhead.cli.talk import Talk, talks


@click.command()
@talks
def whoami(talk: Talk) -> None:
    """Show who you are for the server, and what you may."""
    found = talk.client.get("account")
    if talk.as_json:
        talk.print_json(found)
        return
    through = found["through"]
    how = through.get("how", "password")
    ways = {"access token": f"the access token {through.get('token')}"}
    ways["id_token"] = f"an id_token of {through.get('issuer')}"
    print(f"{found['name']} at {talk.client.server}, signed in with {clean(ways.get(how, f'a {how}'))}.")
    for role in found["rules"]:
        print(f"{role['role']}: {'; '.join(map(clean, role['may']))}")
    if found["limit"] is not None:
        print(f"Of that, this token leaves: {'; '.join(map(clean, found['limit'])) or 'nothing'}")
