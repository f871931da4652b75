"""One request of the distribution API, parsed, on its way to a verb."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from msgspec import Struct

from pierhead.domain.access import Grant, Principal, Right, require
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName
from pierhead.domain.naming import Judgement
from pierhead.domain.refusals import (
    DeletionUnsupported,
    DigestInvalid,
    EncodingRefused,
    QueryInvalid,
)
from pierhead.faces.door.ask import Ask
from pierhead.faces.door.circumstances import circumstances
from pierhead.faces.door.connectors import Connector
from pierhead.faces.door.ids import RequestIds
from pierhead.faces.v2.errors import quoted
from pierhead.ports.metadata.values import RepositoryId
from pierhead.repositories.hosted import Hosted
from pierhead.repositories.table import Entry, Table

_PARAMETERS_MAX = 64


class Asked(Struct):
    """``entry`` is the repository that was named, by port or by path; ``item`` is what stands behind the route word."""

    ask: Ask
    who: Principal
    table: Table
    connector: Connector
    entry: Entry
    image: ImageName
    item: str
    ids: RequestIds
    warned: Judgement | None = None
    """What a rule for names warns of."""

    @property
    def path(self) -> str:
        """The address of the image on this port, for ``Location`` and ``Link``: relative, so that any proxy may stand
        in front."""
        if self.connector.repository is None:
            return f"/v2/{self.entry.name}/{self.image}"
        return f"/v2/{self.image}"

    def for_push(self, reference: str = "TAG", *, brings: bool = True) -> tuple[Hosted, Grant]:
        """Where a push goes, and leave for it. ``brings`` is False for what brings nothing in, such as the end of an
        upload: that is done under any name.

        Raises WrongPort for a group or a proxy, StageFilledByPromotion, Denied, ScopeMissing, NameRefused.
        """
        port = None if self.connector.repository is None else int(self.connector.external.rpartition(":")[2])
        target, grant = self.table.for_push(self.entry, self.who, self.image, reference, port)
        self.ask.note["member"] = target.name
        if brings and self.table.naming:
            self.warned = self.table.judge_name(self.who, target, self.image)
        assert isinstance(target.repository, Hosted)
        return target.repository, grant

    def lenders(self, target: Hosted) -> tuple[RepositoryId, ...]:
        """The other hosted members of the group through which ``target`` is pushed to, as far as the account may read
        them; none without a group."""
        if self.entry.kind != "group":
            return ()
        members = self.table.hosted_below(self.entry, self.who, self.image)
        return tuple(member.row_id for member in members if member is not target)

    def for_deletion(self) -> tuple[Hosted, Grant]:
        """Raises DeletionUnsupported for a group or a proxy, Denied."""
        if not isinstance(self.entry.repository, Hosted):
            hosted = [one.name for one in self.table.hosted_below(self.entry, self.who, self.image)]
            raise DeletionUnsupported(self.entry.name, self.entry.kind, hosted)
        return self.entry.repository, require(self.who, Right.DELETE, self.entry.name, self.image)

    def circumstances(self) -> Mapping[str, object]:
        """What an event tells of the request besides its subject."""
        found, warned = circumstances(self.ask, self.who, self.ids), self.warned
        return found if warned is None else {**found, "naming": warned.document}

    def warning(self) -> list[tuple[str, str]]:
        """The header that tells of what a rule warns of: OCI distribution specification, "Warnings"."""
        return [] if self.warned is None else [("Warning", f'299 - "{quoted(self.warned.sentence)}"')]

    def parameters(self) -> list[tuple[str, str]]:
        """The query in order. Raises QueryInvalid if there is too much of it or it is no text."""
        return parameters_of(self.ask)

    def parameter(self, name: str) -> str | None:
        """The first of this name."""
        return next((value for key, value in self.parameters() if key == name), None)

    def the_digest(self) -> Digest:
        """The one ``digest`` parameter. Raises DigestInvalid for none or several, DigestUnsupported."""
        given = [value for key, value in self.parameters() if key == "digest"]
        if len(given) != 1:
            raise DigestInvalid(",".join(given), "the parameter `digest` is needed, once")
        return Digest.parse(given[0])

    def knows(self, digest: Digest) -> bool:
        """Whether the client has this content and only asks if it changed (RFC 9110, section 13.1.2).

        Weak marks compare equal, since there is one representation of a digest; some clients leave the quotes out.
        """
        header = self.ask.get("If-None-Match")
        if header is None:
            return False
        return any(mark.strip().removeprefix("W/").strip('"') in (digest, "*") for mark in header.split(","))

    def refuse_encoding(self) -> None:
        """Raises EncodingRefused for a body that came encoded."""
        encoding = self.ask.get("Content-Encoding")
        if encoding is not None and encoding.strip().lower() not in ("", "identity"):
            raise EncodingRefused(encoding)


def parameters_of(ask: Ask) -> list[tuple[str, str]]:
    """The query of a request, in order. Raises QueryInvalid if there is too much of it or it is no text."""
    try:
        return parse_qsl(ask.query, keep_blank_values=True, max_num_fields=_PARAMETERS_MAX, errors="strict")
    except ValueError as error:
        raise QueryInvalid("query", f"it has more than {_PARAMETERS_MAX} parameters, or is not UTF-8") from error
