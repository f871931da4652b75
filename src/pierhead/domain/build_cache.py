"""Build caches: what builders keep in a registry for themselves, and nobody deploys.

- BuildKit's ``type=registry``: an image manifest whose config, or an index one of whose entries, has the media type
  ``application/vnd.buildkit.cacheconfig.v0`` (moby/buildkit, ``cache/remotecache/v1/spec.go``; ``mode=max`` writes the
  same form). ``type=inline`` is an image like any other and no cache here.
- Kaniko's ``--cache-repo``: one image with a single layer for each command, whose tag is the SHA-256 of what the layer
  depends on, in an image that is called ``…/cache`` unless somebody chose otherwise
  (GoogleContainerTools/kaniko, ``pkg/cache/cache.go``).
- Tags that people give to either: ``buildcache``, ``build-cache``, alone or with something before or behind. ``cache``
  is not among them: a branch may be called ``cache-fix``.
"""

from __future__ import annotations

import enum
import re
from typing import Final

from pierhead.domain.manifest import INDEX_TYPES, Index, Manifest
from pierhead.domain.names import ImageName, Reference, Tag

CACHE_CONFIG: Final = "application/vnd.buildkit.cacheconfig.v0"

_KANIKO_TAG: Final = re.compile(r"[0-9a-f]{64}")
_KANIKO_IMAGE: Final = re.compile(r"(?:.+[/._-])?cache")
_KANIKO_BLOBS_MAX: Final = 2
_NAMED: Final = re.compile(r"build-?cache(?:[._-].+)?|.+[._-]build-?cache")

NAMED_GLOBS: Final = (
    *("buildcache", "buildcache[._-]?*", "?*[._-]buildcache"),
    *("build-cache", "build-cache[._-]?*", "?*[._-]build-cache"),
)
"""The tags that tell a build cache by themselves, as a database matches them (GLOB)."""


class BuildCache(enum.Enum):
    """Whose cache it is; NAMED is one that only its tag tells."""

    BUILDKIT = "buildkit"
    KANIKO = "kaniko"
    NAMED = "named"


def by_content(manifest: Manifest | Index) -> BuildCache | None:
    """What the manifest itself says; None if it says nothing of the kind."""
    found = (
        any(one.media_type.lower() == CACHE_CONFIG for one in manifest.required)
        if isinstance(manifest, Index)
        else manifest.config.media_type.lower() == CACHE_CONFIG
    )
    return BuildCache.BUILDKIT if found else None


def by_name(image: ImageName, tag: Tag) -> BuildCache | None:
    """What image and tag say without a look at the content."""
    if _KANIKO_TAG.fullmatch(tag) is not None and _KANIKO_IMAGE.fullmatch(image) is not None:
        return BuildCache.KANIKO
    return BuildCache.NAMED if _NAMED.fullmatch(tag) is not None else None


def build_cache_of(image: ImageName, reference: Reference, manifest: Manifest | Index) -> BuildCache | None:
    """Whether ``manifest``, which ``reference`` stands for in ``image``, is a build cache, and whose; None if not.

    A name alone makes no cache of an index of several platforms: Kaniko writes single images.
    """
    found = by_content(manifest)
    if found is not None or not isinstance(reference, Tag):
        return found
    named = by_name(image, reference)
    if named is BuildCache.KANIKO:
        return named if isinstance(manifest, Manifest) and len(manifest.layers) <= 1 else None
    return named if isinstance(manifest, Manifest) else None


def by_rows(image: ImageName, tag: Tag | None, media_type: str, artifact_type: str, blobs: int) -> BuildCache | None:
    """The same from what a database knows of a manifest: its types and the number of blobs that it needs.

    An artifact type is the config's media type where a manifest says none. Of indexes only BuildKit's name blobs.
    """
    index = media_type in INDEX_TYPES
    if artifact_type.lower() == CACHE_CONFIG or (index and blobs):
        return BuildCache.BUILDKIT
    if tag is None or index:
        return None
    named = by_name(image, tag)
    return None if named is BuildCache.KANIKO and blobs > _KANIKO_BLOBS_MAX else named
