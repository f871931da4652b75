"""What may stand behind the keys of `naming`, and behind `services`: as ``config_values.py``, which see."""

from __future__ import annotations

from pathlib import Path

from pierhead.boot.config_faults import Wrong
from pierhead.boot.config_values import present_file, text
from pierhead.domain.naming import IMAGE, OF_SERVICE, SUGGESTION, NamePattern


def services(value: object) -> dict[str, object] | Path:
    """A mapping of services, or the file that holds one."""
    if isinstance(value, dict):
        return value
    if isinstance(value, str):
        return present_file(value)
    raise Wrong("must be a mapping of services, or the name of a file that holds one.")


def name_patterns(value: object) -> tuple[NamePattern, ...]:
    """One pattern or a list of them."""
    several = value if isinstance(value, list) else [value]
    if not several:
        raise Wrong("is empty. Leave the key out: then the rule is about every name.")
    found: list[NamePattern] = []
    for one in several:
        try:
            found.append(NamePattern(text(one)))
        except ValueError as error:
            raise Wrong(error.sentence if isinstance(error, Wrong) else str(error)) from None
        taken = sorted({IMAGE, SUGGESTION, *OF_SERVICE[1:]}.intersection(found[-1].words))
        if taken:
            raise Wrong(f"holds {{{taken[0]}}}, which means something else. Take another word.")
    return tuple(found)
