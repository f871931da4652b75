"""Where an image came from, as two witnesses have it: what the server saw of the job that pushed it, which nobody can
make up, and what labels and annotations say, which a Dockerfile can.

Source of the keys: OCI image specification, "Annotations".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlsplit

from msgspec import Struct

_PREFIX: Final = "org.opencontainers.image."
_CHARACTERS_MAX: Final = 512
_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")
_GITHUB: Final = "github.com"


class Seen(Struct, frozen=True):
    """What the verified login of the job said, "" for what it did not. ``job`` is a URL where that is known."""

    how: str = ""
    job: str = ""
    pipeline: str = ""
    project: str = ""
    commit: str = ""
    ref: str = ""
    user: str = ""


class Facts(Struct, frozen=True):
    """What an image says of itself, "" for what it does not. ``size`` is in bytes, all blobs that are known below it;
    ``platforms`` as `linux/arm64/v8`."""

    revision: str = ""
    source: str = ""
    version: str = ""
    ref: str = ""
    created: str = ""
    platforms: tuple[str, ...] = ()


NO_FACTS: Final = Facts()


def seen_of(through: object) -> Seen:
    """Of what an event keeps of a login (``through``), a JSON value."""
    if not isinstance(through, Mapping):
        return Seen()
    keys = ("how", "job", "pipeline", "project_path", "commit", "ref", "user")
    return Seen(*(_text(through.get(key)) for key in keys))


def facts_of(
    annotations: Mapping[str, str], config: Mapping[str, object] | None, platforms: tuple[str, ...] = ()
) -> Facts:
    """``annotations`` are those of the manifest with those of the index over them, which whoever built it set for this
    image; labels in the ``config`` (its JSON object) may be inherited from a base image, so they come second."""
    inner = config.get("config") if config is not None else None
    found = inner.get("Labels") if isinstance(inner, Mapping) else None
    labels = found if isinstance(found, Mapping) else {}

    def said(key: str) -> str:
        return _text(annotations.get(_PREFIX + key)) or _text(labels.get(_PREFIX + key))

    created = said("created") or _text((config or {}).get("created"))
    return Facts(said("revision"), said("source"), said("version"), said("ref.name"), created, platforms)


def platform_of(config: Mapping[str, object] | None) -> str:
    """``linux/arm64/v8`` of an image's configuration; "" if it says none."""
    parts = (_text((config or {}).get(key)) for key in ("os", "architecture", "variant"))
    return "/".join(part for part in parts if part)


def _text(found: object) -> str:
    """As text that can be stored and shown: half surrogate pairs can be written in JSON but are no text."""
    if not isinstance(found, str):
        return ""
    return found[:_CHARACTERS_MAX].encode("utf-8", "replace").decode("utf-8")


def compare_link(source: str, before: str, after: str) -> str | None:
    """A page that shows the commits between two revisions, for GitHub and for a GitLab whose host says so; None where
    nothing is known, or a revision is no commit.

    Sources: GitLab documentation, "Compare revisions"; GitHub documentation, "Comparing commits".
    """
    if _COMMIT.fullmatch(before) is None or _COMMIT.fullmatch(after) is None or before == after:
        return None
    base = _web_address(source)
    if base is None:
        return None
    host = urlsplit(base).hostname or ""
    if host == _GITHUB:
        return f"{base}/compare/{before}...{after}"
    if "gitlab" in host.split("."):
        return f"{base}/-/compare/{before}...{after}"
    return None


def _web_address(source: str) -> str | None:
    """``https://host/group/project`` of a source label, also of `git@host:group/project.git`."""
    text = source.strip()
    if text.startswith("git@"):
        text = "https://" + text[4:].replace(":", "/", 1)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    path = parts.path.removesuffix("/").removesuffix(".git")
    if parts.scheme not in ("http", "https") or not parts.hostname or path.count("/") < 2:
        return None
    host = parts.hostname if port is None else f"{parts.hostname}:{port}"
    return f"{parts.scheme}://{host}{quote(path, safe='/%~.-_')}"
