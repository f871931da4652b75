"""GET and HEAD of a manifest."""

from __future__ import annotations

from pierhead.domain.access import Principal
from pierhead.domain.names import ImageName, Reference
from pierhead.domain.refusals import ManifestUnknown
from pierhead.repositories.kind import MISSING, Found, Head, Missing
from pierhead.repositories.table import Entry, Table


async def pull_manifest(
    table: Table, entry: Entry, who: Principal, image: ImageName, reference: Reference, *, head: bool
) -> Found | Head:
    """The first member that has it answers. Raises ManifestUnknown, ScopeMissing, Unavailable, UpstreamLimited."""
    found: Found | Head | Missing = MISSING
    if entry.shows(who, image):
        found = await entry.repository.manifest(who, image, reference, head=head)
    if isinstance(found, Found):
        table.pulls.note(found.member, image, found.manifest.digest, reference)
    elif isinstance(found, Missing):
        raise ManifestUnknown(image, reference, entry.name, table.pull_hint(entry, who, image, reference))
    return found
