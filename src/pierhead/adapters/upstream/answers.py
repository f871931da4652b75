"""What a registry's answers hold: manifests, lists of tags, indexes of referrers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from aiohttp import ClientResponse
from multidict import CIMultiDictProxy
from yarl import URL

from pierhead.adapters.upstream.exchange import Reply, read_capped
from pierhead.adapters.upstream.redirects import followed, origin
from pierhead.adapters.upstream.troubles import Trouble, bad, misled
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.names import Reference, Tag
from pierhead.domain.refusals import DigestInvalid, DigestUnsupported, TagInvalid, shown
from pierhead.ports.upstream import UpstreamManifest

MANIFEST_TYPES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v1+json",
)
OCI_INDEX: Final = MANIFEST_TYPES[0]
_PLAIN_TYPES: Final = frozenset({"application/json", "application/octet-stream", "text/plain", ""})
_LINK: Final = re.compile(r"<([^<>]{1,4096})>([^<]{0,400})")
_NEXT: Final = re.compile(r';\s*rel\s*=\s*"?next\b', re.IGNORECASE)


def check_body(response: ClientResponse) -> None:
    """Raises Trouble for what no registry sends: a page for people, or bytes in an encoding that was not asked for."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise bad(f"`Content-Encoding: {shown(encoding[:40])}`, which was not asked for")
    if media_type(response.headers) in ("text/html", "application/xhtml+xml"):
        raise bad("a web page instead of a registry's answer")


def media_type(headers: Mapping[str, str]) -> str:
    """Without its parameters, in lower case; "" if there is none."""
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def said_digest(headers: Mapping[str, str]) -> Digest | None:
    """``Docker-Content-Digest``, if it is there and is one."""
    try:
        return Digest.parse(headers.get("Docker-Content-Digest", "").strip())
    except (DigestInvalid, DigestUnsupported):
        return None


def head_of_manifest(reply: Reply, reference: Reference) -> UpstreamManifest | None:
    """What an answer to HEAD says; None if that is not enough. Raises Trouble for what contradicts itself."""
    response = reply.response
    response.release()
    if response.status != 200:
        return None
    check_body(response)
    headers = response.headers
    digest, size, kind = said_digest(headers), headers.get("Content-Length", ""), media_type(headers)
    if digest is None or not (size.isascii() and size.isdigit()) or kind not in MANIFEST_TYPES:
        return None
    if int(size) > limits.MANIFEST_BYTES_MAX:
        raise _too_large()
    if isinstance(reference, Digest) and digest.algorithm == reference.algorithm and digest != reference:
        raise bad(f"asked for {reference}, it says that it has {digest}")
    return UpstreamManifest(reference if isinstance(reference, Digest) else digest, kind, int(size), None)


async def whole_manifest(reply: Reply, reference: Reference) -> UpstreamManifest:
    """The manifest in an answer to GET, its digest computed. Raises Trouble where digests or types do not fit."""
    response = reply.response
    check_body(response)
    size = response.content_length
    if size is not None and size > limits.MANIFEST_BYTES_MAX:
        raise _too_large()
    body = await read_capped(response, limits.MANIFEST_BYTES_MAX)
    if response.status != 200:
        raise bad(f"it answers {response.status}")
    if body is None:
        raise _too_large()
    said = said_digest(response.headers)
    if isinstance(reference, Digest):
        digest = Digest.of(body, reference.algorithm)
        if digest != reference:
            raise bad(f"asked for {reference}, it sends bytes with the digest {digest}")
    else:
        digest = Digest.of(body, said.algorithm if said is not None else "sha256")
    if said is not None and said != Digest.of(body, said.algorithm):
        raise bad(f"it says {said}, but the bytes have the digest {digest}")
    return UpstreamManifest(digest, _type_of_manifest(media_type(response.headers), body), len(body), body)


def _type_of_manifest(said: str, body: bytes) -> str:
    if said in MANIFEST_TYPES:
        return said
    if said in _PLAIN_TYPES:  # a registry that is a folder on a web server; the manifest may know better
        try:
            document = json.loads(body)
            inner = document.get("mediaType") if isinstance(document, dict) else None
        except (ValueError, RecursionError):
            inner = None
        if inner in MANIFEST_TYPES:
            return str(inner)
    raise bad(f"`Content-Type: {shown(said[:100])}` where a manifest should be")


def _too_large() -> Trouble:
    return bad(f"a manifest of more than {limits.MANIFEST_BYTES_MAX} bytes, which no client reads")


async def json_object(reply: Reply, limit: int, what: str) -> tuple[dict[str, object], int]:
    """An answer that is a JSON object, and its size in bytes. Raises Trouble."""
    check_body(reply.response)
    body = await read_capped(reply.response, limit)
    if body is None:
        raise bad(f"{what} of more than {limit} bytes")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise bad(f"something else than JSON where {what} should be")
    return found, len(body)


def tags_in(page: Mapping[str, object]) -> list[Tag]:
    """The tags of one page; what is no tag is skipped, ``null`` is none. Raises Trouble for another shape."""
    listed = page.get("tags")
    if listed is None and "tags" in page:
        return []
    if not isinstance(listed, list):
        raise bad("no `tags` where a list of tags should be")
    found = []
    for text in listed:
        try:
            found.append(Tag.parse(text if isinstance(text, str) else ""))
        except TagInvalid:
            continue
    return found


def next_page(headers: CIMultiDictProxy[str], current: URL, home: URL) -> URL | None:
    """``Link: <…>; rel="next"`` (RFC 8288), taken as it is given, on the upstream's own origin. Raises Trouble."""
    for line in headers.getall("Link", []):
        for address, parameters in _LINK.findall(line):
            if _NEXT.search(parameters):
                target = followed(current, address, where="its next page")
                if origin(target) != origin(home):
                    raise misled("its next page", "another place")
                return target
    return None
