"""Faults of a configuration file: one line each, naming the file, the line, the key, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pierhead.domain.refusals import shown

Path = tuple[str | int, ...]

FAULTS_SHOWN_MAX: Final = 100
_VALUE_CHARACTERS_MAX: Final = 80
# Keys whose value is a secret, or becomes one when somebody writes the secret itself where its name belongs.
_SECRET_KEYS: Final = frozenset(
    {
        "password",
        "password_env",
        "password_hash",
        "password_file",
        "token_env",
        "token_file",
        "role_id_env",
        "role_id_file",
        "secret_id",
        "secret_id_env",
        "secret_id_file",
        "role_id",
        "username_env",
        "secret",
        "token",
        "client_secret",
        "client_secret_env",
        "database",
        "blobs",
    }
)


class ConfigFaults(Exception):
    """A configuration that cannot be accepted. ``lines`` is one sentence per fault, in the order of the file."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines: tuple[str, ...] = tuple(lines)
        super().__init__("\n".join(self.lines))


class Wrong(ValueError):
    """A value is refused; ``sentence`` goes on after the key and the value: "is unknown. Did you mean ALLOW?"."""

    def __init__(self, sentence: str, *, secret: bool = False) -> None:
        super().__init__(sentence)
        self.sentence: str = sentence
        self.secret: bool = secret


def dotted(path: Path) -> str:
    """``("repositories", "docker-group", "members", 2)`` -> ``repositories.docker-group.members[2]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{shown(part)}" if text else shown(part)
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` Did you mean X?`` for what ``word`` may have been meant as, or the empty string."""
    choices = [choice for choice in known if choice.isprintable()]
    low = word.lower()
    folded = {choice.lower(): choice for choice in choices}
    if low in folded:
        return f" Did you mean {folded[low]}?"
    within = [choice for choice in choices if len(low) > 2 and low in choice.lower()]
    import difflib  # here, since a file without faults starts sooner without it

    near = within[:1] if len(within) == 1 else difflib.get_close_matches(low[:100], list(folded), 1, 0.55)
    return f" Did you mean {folded.get(near[0], near[0])}?" if near else ""


class Faults:
    """Collects the faults of one file."""

    def __init__(self, source: str, lines: Mapping[Path, int]) -> None:
        self._source = source
        self._lines = lines
        self._found: list[tuple[int, str]] = []

    def add(self, path: Path, sentence: str, value: object = None, *, secret: bool = False, line: int = 0) -> None:
        """One fault at ``path``: `` `key: value` sentence``; the value is left out where it may be a secret."""
        keys = [part for part in path if isinstance(part, str)]
        key = shown(keys[-1]) if keys else ""
        hidden = secret or not _SECRET_KEYS.isdisjoint(keys)
        quoted = key if hidden or not isinstance(value, str | int | float | bool) else f"{key}: {_written(value)}"
        text = f"`{quoted}` {sentence}" if key else sentence
        at = line or self.line(path)
        text = text if len(path) < 2 else f"{text} ({dotted(path)})"
        self._found.append((at, f"{self._source} line {at}: {text}" if at else f"{self._source}: {text}"))

    def include(self, lines: Iterable[str], path: Path) -> None:
        """Faults of another file that ``path`` names, as they stand."""
        self._found += [(self.line(path), text) for text in lines]

    def written(self, path: Path) -> bool:
        """Whether the file has this key, be it with a value that was refused."""
        return path in self._lines

    def line(self, path: Path) -> int:
        """The line of ``path``, or of the nearest key above it; 0 if the file has none."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 0)

    def raise_if_any(self) -> None:
        """Raises ConfigFaults with everything found so far."""
        if not self._found:
            return
        lines = list(dict.fromkeys(text for _, text in sorted(self._found, key=lambda found: found[0])))
        more = len(lines) - FAULTS_SHOWN_MAX
        if more > 0:
            lines[FAULTS_SHOWN_MAX:] = [f"{self._source}: and {more} more faults."]
        raise ConfigFaults(lines)


def _written(value: str | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return shown(text if len(text) <= _VALUE_CHARACTERS_MAX else text[:_VALUE_CHARACTERS_MAX] + "…")
