"""Lists: tags, referrers, and the catalogue of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from msgspec.structs import replace

from pierhead.domain.access import Principal
from pierhead.domain.digest import Digest
from pierhead.domain.manifest import OCI_INDEX
from pierhead.domain.ranges import Page, parse_page
from pierhead.domain.refusals import ImageUnknown, QueryInvalid, ScopeMissing
from pierhead.faces.door.ask import Answer, Ask
from pierhead.faces.door.connectors import Connector
from pierhead.faces.door.wire_json import encode
from pierhead.faces.v2.asked import Asked, parameters_of
from pierhead.faces.v2.errors import JSON, VERSION, quoted
from pierhead.repositories.kind import MISSING, Missing, ReferrerList, TagList
from pierhead.repositories.table import Table

_CURSOR_DIGITS_MAX: Final = 18
_INDEX: Final = ("Content-Type", OCI_INDEX)


async def tags(asked: Asked) -> Answer:
    """One page, sorted; ``Link`` leads to the next (OCI distribution specification, "Listing Tags")."""
    page = _page(asked.parameters())
    found: TagList | Missing = MISSING
    if asked.entry.shows(asked.who, asked.image):
        found = await asked.entry.repository.tags(asked.who, asked.image, page.last, page.n)
    if isinstance(found, Missing):
        raise ImageUnknown(asked.image, asked.entry.name)
    body = encode({"name": _shown(asked), "tags": list(found.tags)})
    headers = [VERSION, JSON, *_warnings(found.left_out)]
    if found.more and found.tags:
        headers.append(_link(f"{asked.path}/tags/list", page.n, found.tags[-1]))
    return Answer(200, headers, body)


async def referrers(asked: Asked) -> Answer:
    """An index of what refers to the digest; empty, never 404, since clients would fall back to tags for good."""
    subject = Digest.parse(asked.item)
    artifact_type = asked.parameter("artifactType")
    after = _cursor(asked.parameter("last"))
    found = ReferrerList([])
    if asked.entry.shows(asked.who, asked.image):
        found = await asked.entry.repository.referrers(asked.who, asked.image, subject, artifact_type, after)
    body = encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(found.listed)})
    headers = [VERSION, _INDEX, *_warnings(found.left_out)]
    if artifact_type is not None:
        headers.append(("OCI-Filters-Applied", "artifactType"))
    if found.after:
        typed = "" if artifact_type is None else f"artifactType={quote(artifact_type, safe='')}&"
        headers.append(("Link", f'<{asked.path}/referrers/{subject}?{typed}last={found.after}>; rel="next"'))
    return Answer(200, headers, body)


async def catalog(table: Table, connector: Connector, ask: Ask, who: Principal) -> Answer:
    """Images of the port's repository; on the main port of all but groups, named by path."""
    page = _page(parameters_of(ask))
    if not who.catalog:
        raise ScopeMissing("list images")
    who = replace(who, asked=None)
    if connector.repository is not None:
        entry = table.entry(connector.repository)
        found = await entry.repository.images(who, page.last, page.n) if entry.readable_by(who) else None
        names: Sequence[str] = () if found is None else found.images
        more = found is not None and found.more
        left_out: Sequence[str] = () if found is None else found.left_out
    else:
        names, more, left_out = await _everywhere(table, who, page)
    headers = [VERSION, JSON, *_warnings(left_out)]
    if more and names:
        headers.append(_link("/v2/_catalog", page.n, names[-1]))
    return Answer(200, headers, encode({"repositories": list(names)}))


async def _everywhere(table: Table, who: Principal, page: Page) -> tuple[list[str], bool, list[str]]:
    """Repositories in the order that sorts REPOSITORY/IMAGE, each from where the last page ended."""
    names: list[str] = []
    left_out: list[str] = []
    wanted = page.n + 1
    for entry in sorted(table.entries.values(), key=lambda entry: f"{entry.name}/"):
        prefix = f"{entry.name}/"
        if (
            entry.kind == "group"
            or not entry.readable_by(who)
            or (page.last > prefix and not page.last.startswith(prefix))
        ):
            continue
        after = page.last.removeprefix(prefix) if page.last.startswith(prefix) else ""
        found = await entry.repository.images(who, after, wanted - len(names))
        names += [prefix + image for image in found.images]
        left_out += found.left_out
        if len(names) >= wanted:
            break
    return names[: page.n], len(names) > page.n, left_out


def _page(parameters: list[tuple[str, str]]) -> Page:
    given = dict(reversed(parameters))
    return parse_page(given.get("n"), given.get("last"))


def _cursor(last: str | None) -> int:
    """Where a page of referrers begins, as the ``Link`` before said it. Raises QueryInvalid."""
    if not last:
        return 0
    if not last.isascii() or not last.isdigit() or len(last) > _CURSOR_DIGITS_MAX:
        raise QueryInvalid("last", "it is not from the Link of the page before")
    return int(last)


def _shown(asked: Asked) -> str:
    return asked.path.removeprefix("/v2/")


def _link(path: str, n: int, last: str) -> tuple[str, str]:
    return ("Link", f'<{path}?n={n}&last={quote(last, safe="")}>; rel="next"')


def _warnings(left_out: Sequence[str]) -> list[tuple[str, str]]:
    return [("Warning", f'299 - "{quoted(reason)}"') for reason in left_out]
