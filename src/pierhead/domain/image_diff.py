"""What differs between two images: layers, configuration, platforms, packages. Values that look secret are masked:
images are compared by more people than run them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from pierhead.domain.digest import Digest

_TEXT_CHARACTERS_MAX: Final = 4_096
_SECRET_NAME: Final = re.compile(
    r"password|passwd|passphrase|secret|token|api[_.-]?key|private|credential|cookie|connection[_.-]?string"
    r"|(?:pass|key|pwd|auth|dsn|salt)(?:$|[_.-])|(?:^|[_.-])pat(?:$|[_.-])",
    re.IGNORECASE,
)
# URLs with a password; tokens by their makers' marks (GitHub, GitLab, AWS, Slack, JWT); keys in PEM form.
_SECRET_VALUE: Final = re.compile(
    r"://[^/\s:@]*:[^/\s@]+@|\bgh[pousr]_\w{20,}|\bglpat-[\w-]{16,}|\bA(?:KIA|SIA)[0-9A-Z]{16}\b|\bxox[abpr]-[\w-]{10,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.|-----BEGIN [A-Z ]*PRIVATE KEY"
)
# Names that hold a word of the above and no secret.
_PLAIN_NAMES: Final = frozenset({"GPG_KEY", "SSH_AUTH_SOCK"})


def looks_secret(name: str, value: str) -> bool:
    """Whether a variable or label may hold a secret, by its name or its value. Rather one too many than one too few:
    what is masked can be read where it was written."""
    if _SECRET_VALUE.search(value):
        return True
    return bool(value) and name not in _PLAIN_NAMES and _SECRET_NAME.search(name) is not None


# --- layers ----------------------------------------------------------------------------------------------------------


class Layer(Struct, frozen=True):
    """``size`` in bytes; ``step`` is the command that made it, "" if the configuration does not say."""

    digest: Digest
    size: int
    step: str = ""


class LayerDiff(Struct, frozen=True):
    """In the order of the images; a layer that an image has twice counts twice."""

    shared: Sequence[Layer]
    added: Sequence[Layer]
    removed: Sequence[Layer]


def diff_layers(before: Sequence[Layer], after: Sequence[Layer]) -> LayerDiff:
    """By digest: the same files packed anew are other bytes, and are pulled again."""
    left = Counter(one.digest for one in before)
    shared, added = [], []
    for one in after:
        if left[one.digest]:
            left[one.digest] -= 1
            shared.append(one)
        else:
            added.append(one)
    kept = Counter(one.digest for one in shared)
    removed = []
    for one in before:
        if kept[one.digest]:
            kept[one.digest] -= 1
        else:
            removed.append(one)
    return LayerDiff(shared, added, removed)


def steps_of(config: Mapping[str, object] | None, layers: int) -> Sequence[str]:
    """The command of each layer by the history of the configuration, in which entries without a layer say so (OCI image
    specification, "history"); none where that does not come out even."""
    found = (config or {}).get("history")
    entries = found if isinstance(found, list) else []
    steps = [_text(one.get("created_by")) for one in entries if isinstance(one, Mapping) and not one.get("empty_layer")]
    return steps if len(steps) == layers else [""] * layers


# --- configuration ---------------------------------------------------------------------------------------------------


class Settings(Struct, frozen=True):
    """What a container of the image runs as."""

    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    single: Mapping[str, str] = field(default_factory=dict)
    """`user`, `working_dir`, `entrypoint`, `cmd`, `ports`, `volumes`, `stop_signal`, as text."""


_SINGLE: Final = {
    "User": "user",
    "WorkingDir": "working_dir",
    "Entrypoint": "entrypoint",
    "Cmd": "cmd",
    "ExposedPorts": "ports",
    "Volumes": "volumes",
    "StopSignal": "stop_signal",
}


def settings_of(config: Mapping[str, object] | None) -> Settings:
    """Of an image's configuration; what is not of the right form is left out."""
    inner = (config or {}).get("config")
    if not isinstance(inner, Mapping):
        return Settings()
    found = inner.get("Env")
    env: dict[str, str] = {}
    for one in found if isinstance(found, list) else []:
        name, _, value = _text(one).partition("=")
        env[name] = value
    labels = inner.get("Labels")
    named = {_text(k): _text(v) for k, v in labels.items()} if isinstance(labels, Mapping) else {}
    return Settings(env, named, {ours: _shown(inner.get(theirs)) for theirs, ours in _SINGLE.items()})


def _shown(found: object) -> str:
    if isinstance(found, Mapping):
        return " ".join(sorted(_text(key) for key in found))
    if isinstance(found, list):
        return " ".join(_quoted(_text(one)) for one in found)
    return _text(found)


def _quoted(word: str) -> str:
    return f'"{word}"' if not word or " " in word else word


class Change(Struct, frozen=True):
    """``before`` is None for what was added, ``after`` for what was removed. With ``masked`` both say only that there
    is something."""

    name: str
    before: str | None
    after: str | None
    masked: bool = False


def diff_values(before: Mapping[str, str], after: Mapping[str, str], *, mask: bool) -> Sequence[Change]:
    """By name; what is equal is left out."""
    changes = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        secret = mask and any(looks_secret(name, value) for value in (old, new) if value is not None)
        if secret:
            old, new = (None if value is None else "" for value in (old, new))
        changes.append(Change(name, old, new, secret))
    return changes


# --- packages --------------------------------------------------------------------------------------------------------

Packages = Mapping[str, frozenset[str]]
"""Versions by name; a name with its kind, such as `deb/openssl` or `pypi/flask`, where that is known."""


class PackageChange(Struct, frozen=True):
    """Empty ``before`` for what was added, empty ``after`` for what was removed; versions sorted."""

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]


def diff_packages(before: Packages, after: Packages) -> Sequence[PackageChange]:
    """By name; what is equal is left out."""
    return [
        PackageChange(name, tuple(sorted(before.get(name, ()))), tuple(sorted(after.get(name, ()))))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _text(found: object) -> str:
    """As text that can be shown: half surrogate pairs can be written in JSON but are no text."""
    if not isinstance(found, str):
        return ""
    return found[:_TEXT_CHARACTERS_MAX].encode("utf-8", "replace").decode("utf-8")
