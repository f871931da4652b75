"""What may stand behind the keys of `services` and `trust`: as ``config_values.py``, which see."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from pierhead.boot.config_faults import Wrong, did_you_mean
from pierhead.boot.config_values import choice, present_file, right, text
from pierhead.boot.settings import TrustSettings, is_host
from pierhead.domain.access import Right
from pierhead.domain.names import ImageName
from pierhead.domain.patterns import Patterns
from pierhead.domain.refusals import NameInvalid
from pierhead.domain.trust import Wanted, dotted, is_id

OF_SERVICE: Final = ("name", "image", "project_id", "repository_id", "owner")
"""What of a service may stand in a rule, as ``{service.image}``."""
PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_PREFIX: Final = "service."
_ID: Final = re.compile(r"[1-9][0-9]{0,18}")
_CHARACTERS_MAX: Final = 1_024
_DEPTH_MAX: Final = 4
_OF_JOBS: Final = (Right.PULL, Right.PUSH, Right.DELETE, Right.PROMOTE, Right.REPORT_RUNNING)


def image_name(value: object) -> ImageName:
    """The name of an image, without a repository and without a tag."""
    try:
        return ImageName.parse(text(value))
    except NameInvalid:
        raise Wrong("is no image's name: lower-case letters and digits, as in orchestrator/server.") from None


def id_text(value: object) -> str:
    """A number that a forge gave to a project -> its digits."""
    if isinstance(value, bool) or not isinstance(value, int | str) or _ID.fullmatch(str(value)) is None:
        raise Wrong("must be the number of a project, such as 5, and not its path.")
    return str(value)


def issuer_url(value: object) -> str:
    """An issuer as its tokens name it, character for character."""
    return _address(value, "https://gitlab.example.com")


def keys_place(value: object) -> str | Path:
    """Where an issuer's keys are: a URL, or else a file."""
    if isinstance(value, str) and "://" in value:
        return _address(value, "https://gitlab.example.com/oauth/discovery/keys")
    return present_file(value)


def _address(value: object, example: str) -> str:
    written = text(value)
    if "@" in written:
        raise Wrong("must not hold a user or password.", secret=True)
    found = re.fullmatch(r"(https?)://(\[[0-9a-fA-F:.]+\]|[^/?#@\s\[\]:]+)(:[0-9]{1,5})?(/[^?#\s]*)?", written)
    if found is None or not is_host(found[2].strip("[]")) or len(written) > _CHARACTERS_MAX:
        raise Wrong(f"is no URL with a host, and without ? and #. Write it as {example}.")
    return written


def audiences(value: object) -> tuple[str, ...]:
    """One text or several, compared whole."""
    several = value if isinstance(value, list) else [value]
    if not several:
        raise Wrong("is empty. Name what a token has to be issued for, such as the URL of this server.")
    for one in several:
        if "*" in text(one):
            raise Wrong("is compared whole: no pattern can stand here.")
    return tuple(several)


def algorithm(value: object) -> str:
    """``RS256``, ``ES256`` or ``EdDSA``."""
    return choice(TrustSettings(name="", issuer="", audiences=()).algorithms)(value)


def job_right(value: object) -> Right:
    """A right on images."""
    given = right(value)
    if given not in _OF_JOBS:
        known = ", ".join(one.value for one in _OF_JOBS)
        raise Wrong(f"is for accounts only. What a token can be given is {known}.")
    return given


def templated(parse: Callable[[object], str]) -> Callable[[object], str]:
    """As ``parse``, but with ``{service.…}`` anywhere; the text stays as it is written."""

    def read(value: object) -> str:
        written = _placeholders_known(text(value))
        parse(PLACEHOLDER.sub("x", written))
        return written

    return read


def _placeholders_known(written: str) -> str:
    for name in PLACEHOLDER.findall(written):
        if name.removeprefix(_PREFIX) not in OF_SERVICE or not name.startswith(_PREFIX):
            known = [_PREFIX + one for one in OF_SERVICE]
            hint = did_you_mean(name, known)
            raise Wrong(f"holds {{{name}}}, which stands for nothing.{hint or ' Known: ' + ', '.join(known) + '.'}")
    if "{" in PLACEHOLDER.sub("", written) or "}" in PLACEHOLDER.sub("", written):
        raise Wrong("holds a brace that is not closed.")
    return written


def exact(value: object) -> tuple[Wanted, ...]:
    """``{project_id: 5, ref_protected: "true", kubernetes.io: {namespace: builds}}``: every claim has to be so."""
    wanted = tuple(Wanted(path, _values(path, said)) for path, said in _leaves(value, ()))
    if not any(is_id(one.path) for one in wanted):
        raise Wrong(
            "binds no id, and paths and names can be taken by another after a rename. Add one, such as project_id, "
            "repository_id or sub."
        )
    subjects = [one for one in wanted if is_id(one.path)]
    made_of_paths = ("project_path:", "repo:")  # GitLab's and GitHub's
    if all(one.path == ("sub",) and any(said.startswith(made_of_paths) for said in one.values) for one in subjects):
        raise Wrong(
            "binds a `sub` that is made of paths, which another can take after a rename. Add project_id or "
            "repository_id."
        )
    return wanted


def patterned(value: object) -> tuple[Wanted, ...]:
    """``{ref: "release/*"}``: every claim has to meet a pattern, in which ``*`` stands for any characters."""
    wanted: list[Wanted] = []
    for path, said in _leaves(value, ()):
        if is_id(path):
            raise Wrong(f"holds `{dotted(path)}`, which is an id and is compared whole. Write it under `claims`.")
        several = said if isinstance(said, list) else [said]
        texts = [one for one in several if isinstance(one, str) and one and "{" not in one]
        if not texts or len(texts) < len(several):
            raise Wrong(f"holds `{dotted(path)}`, which must be text with * for any characters.")
        wanted.append(Wanted(path, like=Patterns(texts)))
    return tuple(wanted)


def _leaves(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    if not isinstance(value, dict) or not value:
        inside = f" under `{dotted(path)}`" if path else ""
        raise Wrong(f"must be a mapping of claims{inside}, such as {{project_id: 5}}.")
    if len(path) >= _DEPTH_MAX:
        raise Wrong(f"is nested deeper than {_DEPTH_MAX} levels.")
    for name, said in value.items():
        if isinstance(said, dict):
            yield from _leaves(said, (*path, name))
        else:
            yield (*path, name), said


def _values(path: tuple[str, ...], said: object) -> tuple[str, ...]:
    several = said if isinstance(said, list) else [said]
    made: list[str] = []
    for one in several:
        if isinstance(one, bool):
            made.append("true" if one else "false")
        elif isinstance(one, int | str) and one != "" and len(str(one)) <= _CHARACTERS_MAX:
            made.append(_placeholders_known(str(one)))
        else:
            raise Wrong(f"holds `{dotted(path)}`, which must be text, a whole number, true, false, or a list of these.")
        if "*" in made[-1]:
            raise Wrong(f"holds `{dotted(path)}` with a *, which stands for itself here. Patterns go under `like`.")
    if not made:
        raise Wrong(f"holds `{dotted(path)}`, which is empty.")
    return tuple(made)
