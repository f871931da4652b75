"""How things look in answers: snake_case, sizes in bytes, instants in RFC 3339 UTC, digests whole, null for nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from pierhead.actions.inspect_image import Inspection, ListedChild
from pierhead.actions.list_images import ListedImage
from pierhead.actions.list_kept_tags import KeptTag
from pierhead.actions.measure_storage import Storage
from pierhead.domain.build_cache import build_cache_of
from pierhead.domain.digest import Descriptor
from pierhead.domain.manifest import Index
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.tagging import TagClass
from pierhead.ports.metadata.values import Reclaimable, TagInterval
from pierhead.ports.upstream import RateLimit
from pierhead.repositories.proxy_status import ProxyStatus

Json = dict[str, object]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OF_SECRETS: Final = frozenset({"fingerprint", "id", "rotated"})
"""What the record tells of how somebody signed in, and whoever may only pull need not know."""
_NO_IMAGE: Final = "application/vnd.oci.empty.v1+json"


def instant(micros: int | None) -> str | None:
    """Microseconds since 1970 as RFC 3339 in UTC with milliseconds."""
    if micros is None:
        return None
    return (_EPOCH + timedelta(microseconds=micros)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def page(items: Sequence[Json], following: str | None = None) -> Json:
    """A list; ``following`` is the cursor of the next page."""
    return {"items": list(items), "next": following}


def image(found: ListedImage, repository: RepositoryName) -> Json:
    """An entry of the list of images."""
    return {
        "name": found.name,
        "repository": repository,
        "member": found.members[0],
        "members": list(found.members),
        "tags": found.tags,
        "changed": instant(found.changed),
    }


def tag(found: KeptTag, made: TagClass | None) -> Json:
    """An entry of the list of tags. ``rule`` is the rule of the tag strategy that makes such tags, null for none."""
    row = found.row
    return {
        "name": row.name,
        "digest": row.digest,
        "media_type": row.media_type,
        "size": row.content,
        "manifest_size": row.size,
        "since": instant(row.since),
        "by": row.by,
        "pulled": instant(row.pulled),
        "member": found.member,
        "rule": None if made is None else made.rule,
        "moving": made is not None and made.moving,
    }


def interval(found: TagInterval, member: RepositoryName) -> Json:
    """An entry of a tag's history; ``until`` is null for what stands now."""
    return {
        "digest": found.digest,
        "since": instant(found.since),
        "until": instant(found.until),
        "by": found.by,
        "how": found.began or None,
        "through": {key: value for key, value in found.through.items() if key not in _OF_SECRETS},
        "ended_by": found.ended_by or None,
        "ended_how": found.ended or None,
        "member": member,
    }


def inspection(found: Inspection, repository: RepositoryName, name: ImageName, asked: Tag | None) -> Json:
    """One image, whole."""
    manifest = found.manifest
    now = found.history[0] if found.history else None
    index = isinstance(manifest, Index)
    layers: Sequence[Descriptor] = () if isinstance(manifest, Index) else manifest.layers
    config = None if isinstance(manifest, Index) else manifest.config
    kind = "index" if index else _kind(manifest.artifact_type, config)
    cache = build_cache_of(name, found.stored.digest if asked is None else asked, manifest)
    return {
        "repository": repository,
        "image": name,
        "tag": asked,
        "member": found.member,
        "digest": found.stored.digest,
        "kind": kind,
        "build_cache": None if cache is None else cache.value,
        "media_type": found.stored.media_type,
        "artifact_type": manifest.artifact_type or None if kind != "image" else None,
        "manifest_size": len(found.stored.body),
        "size": found.size,
        "since": None if now is None else instant(now.since),
        "by": None if now is None else now.by,
        "tags": list(found.tags),
        "platforms": [_child(child) for child in found.children] if index else _platform_of(found.config),
        "config": None if config is None else {**_descriptor(config), **_configured(found.config)},
        "layers": [_descriptor(layer) for layer in layers],
        "annotations": dict(manifest.annotations),
        "subject": None if manifest.subject is None else manifest.subject.digest,
        "referrers": [_referrer(entry) for entry in found.referrers],
        "history": [interval(one, found.member) for one in found.history],
    }


def _kind(artifact_type: str, config: Descriptor | None) -> str:
    """OCI image specification, "Guidelines for Artifact Usage": an artifact says so, or has the empty config."""
    image_configs = ("image.v1+json", "image.config.v1+json")
    if config is not None and config.media_type.endswith(image_configs):
        return "image"
    return "artifact" if artifact_type or (config is not None and config.media_type == _NO_IMAGE) else "image"


def _descriptor(found: Descriptor) -> Json:
    return {"digest": found.digest, "size": found.size, "media_type": found.media_type}


def _child(found: ListedChild) -> Json:
    platform = found.child.platform
    return {
        "platform": None if platform is None else str(platform) or None,
        "digest": found.child.digest,
        "media_type": found.child.media_type,
        "size": found.size,
        "kept": found.size is not None,
    }


def _platform_of(config: Mapping[str, object] | None) -> list[Json]:
    if config is None:
        return []
    told = "/".join(part for key in ("os", "architecture", "variant") if (part := _text(config.get(key))))
    return [{"platform": told, "digest": None, "media_type": None, "size": None, "kept": True}] if told else []


def _configured(config: Mapping[str, object] | None) -> Json:
    """What a person asks of an image's configuration; environment variables are left out: they may hold secrets."""
    inner = config.get("config") if config is not None else None
    settings = inner if isinstance(inner, dict) else {}
    whole = config or {}
    return {
        "created": _text(whole.get("created")),
        "os": _text(whole.get("os")),
        "architecture": _text(whole.get("architecture")),
        "variant": _text(whole.get("variant")),
        "user": _text(settings.get("User")),
        "working_dir": _text(settings.get("WorkingDir")),
        "entrypoint": _texts(settings.get("Entrypoint")),
        "cmd": _texts(settings.get("Cmd")),
        "labels": _labels(settings.get("Labels")),
    }


def _text(found: object) -> str | None:
    return _clean(found) if isinstance(found, str) and found else None


def _texts(found: object) -> list[str] | None:
    return [_clean(part) for part in found if isinstance(part, str)] if isinstance(found, list) else None


def _labels(found: object) -> dict[str, str]:
    if not isinstance(found, dict):
        return {}
    return {
        _clean(key): _clean(value) for key, value in found.items() if isinstance(key, str) and isinstance(value, str)
    }


def _clean(text: str) -> str:
    """Half surrogate pairs can be written in JSON but are no text."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _referrer(entry: Mapping[str, object]) -> Json:
    annotations = entry.get("annotations")
    return {
        "digest": entry.get("digest"),
        "media_type": entry.get("mediaType"),
        "artifact_type": entry.get("artifactType"),
        "size": entry.get("size"),
        "annotations": annotations if isinstance(annotations, dict) else {},
    }


def storage(found: Storage) -> Json:
    """Counts over everything and the room that is left."""
    totals, disk = found.totals, found.disk
    return {
        "repositories": totals.repositories,
        "images": totals.images,
        "tags": totals.tags,
        "manifests": totals.manifests,
        "blobs": totals.blobs,
        "blob_bytes": totals.blob_bytes,
        "condemned_blobs": totals.condemned,
        "condemned_bytes": totals.condemned_bytes,
        "uploads": totals.uploads,
        "disk_bytes": None if disk is None else disk.total,
        "disk_available_bytes": None if disk is None else disk.available,
        "reserve_bytes": None if disk is None else disk.reserve,
        "reserve_given_up": None if disk is None else disk.given_up,
        "measured": instant(found.at),
    }


def upstream(found: ProxyStatus, upstream_name: str, host: str) -> Json:
    """A proxy, and how the registry behind it does."""
    state = found.upstream
    return {
        "repository": found.name,
        "upstream": upstream_name,
        "host": host,
        "circuit": state.circuit.value,
        "reason": state.reason or None,
        "since": instant(state.since),
        "next_try": instant(state.next_probe_at),
        "limited_until": instant(state.limited_until),
        "rate_limit": _rate_limit(state.rate_limit),
        "last_answer": instant(state.last_answer_at),
        "last_failure": instant(state.failed_at),
        "requests": state.requests,
        "failures": state.failures,
        "bad_answers": state.bad_answers + found.bad_answers,
        "fetching": state.fetching,
        "waiting": state.waiting,
        "hits": found.hits,
        "misses": found.misses,
        "stale": found.stale,
        "fills_running": found.fills_running,
        "bytes_fetched": found.bytes_fetched,
    }


def _rate_limit(found: RateLimit | None) -> Json | None:
    if found is None:
        return None
    return {
        "limit": found.limit,
        "remaining": found.remaining,
        "window_seconds": found.window_seconds,
        "source": found.source or None,
        "seen": instant(found.seen_at),
    }


def reclaimable(found: Reclaimable) -> Json:
    """What reclaim would take, and what leases keep."""
    return {
        "blobs": found.blobs,
        "bytes": found.size,
        "condemned_blobs": found.condemned,
        "condemned_bytes": found.condemned_size,
        "leased_blobs": found.leased,
        "leased_bytes": found.leased_size,
        "leased_until": instant(found.leased_until),
        "largest": [
            {"digest": one.digest, "size": one.size, "state": one.state.name.lower(), "next_step": instant(one.review)}
            for one in found.sample
        ],
    }
