"""Tags that are written once, asked for before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping

from pierhead.cli.carry.registry import Registry
from pierhead.cli.client import Client, Fault
from pierhead.domain.digest import Digest
from pierhead.domain.names import Tag


def refuse_taken(
    client: Client, registry: Registry, repository: str, image: str, tags: Mapping[Tag, Digest], another: str
) -> None:
    """A tag that is written once and holds other bytes would be refused at the very end; ``another`` says how to name
    one. The server decides all the same, in the transaction that sets the tag. Raises Fault."""
    known = next((one for one in client.items("repositories") if one["name"] == repository), None)
    if known is None or known.get("write_policy") != "ALLOW_ONCE":
        return
    for tag, digest in tags.items():
        held = None if tag.is_fallback else registry.tagged(f"{repository}/{image}", tag)
        if held is not None and held != digest:
            raise Fault(
                f"{image}:{tag} cannot be overwritten: tags in {repository} are written once, and this one holds "
                f"{held}. Use another one: {another}. Nothing was sent."
            )
