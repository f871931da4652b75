"""Names of repositories, images and tags: parsed once at the door, carried as values from there on.

Each type is a ``str`` that can only be made by ``parse``; its text is its canonical form, so it hashes, compares and
sorts as the text does. Grammar: OCI distribution specification, "Pulling manifests", and distribution/reference.
"""

from __future__ import annotations

import re
from typing import Final

from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.refusals import NameInvalid, TagInvalid

_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = re.compile(_COMPONENT)
_IMAGE: Final = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG: Final = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_FALLBACK: Final = re.compile(r"sha256-[0-9a-f]{64}(?:\.sig|\.att|\.sbom)?")

RESERVED_REPOSITORY_NAMES: Final = frozenset(
    {"v2", "api", "service", "repository", "token", "health", "livez", "readyz", "metrics"}
)


class RepositoryName(str):
    """The name of a repository, such as ``docker-hosted-dev``: one path component."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> RepositoryName:
        """Raises NameInvalid for what is no path component, and for names that the server's own paths use."""
        if len(text) > limits.NAME_CHARACTERS_MAX or _REPOSITORY.fullmatch(text) is None:
            raise NameInvalid(text, "a repository's name is lower-case letters and digits, with . _ or - between them")
        if text in RESERVED_REPOSITORY_NAMES:
            raise NameInvalid(text, "the server's own paths use this name")
        return cls(text)


class ImageName(str):
    """The name of an image inside a repository, such as ``orchestrator/server``."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> ImageName:
        """Raises NameInvalid unless ``text`` follows the specification's grammar and has at most 255 characters."""
        if len(text) > limits.NAME_CHARACTERS_MAX:
            raise NameInvalid(text[:64], f"a name has at most {limits.NAME_CHARACTERS_MAX} characters")
        if _IMAGE.fullmatch(text) is None:
            raise NameInvalid(
                text, "a name is lower-case letters and digits, with . _ or - between them, and / between its parts"
            )
        return cls(text)

    def head(self) -> tuple[str, str]:
        """The first component and the rest (empty if there is none): ``a/b/c`` -> ``("a", "b/c")``."""
        first, _, rest = self.partition("/")
        return first, rest


class Tag(str):
    """A tag, such as ``1.4.0`` or ``latest``; upper and lower case differ."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Tag:
        """Raises TagInvalid unless ``text`` is 1 to 128 letters, digits, ``_ . -``, not led by ``.`` or ``-``."""
        if _TAG.fullmatch(text) is None:
            raise TagInvalid(text)
        return cls(text)

    @property
    def is_fallback(self) -> bool:
        """Whether clients keep referrers or signatures under this tag and rewrite it with each one.

        Sources: OCI distribution specification, "Referrers tag schema"; cosign's ``.sig``, ``.att`` and ``.sbom`` tags.
        """
        return _FALLBACK.fullmatch(self) is not None


Reference = Tag | Digest


def parse_reference(text: str) -> Reference:
    """A tag, or a digest if ``text`` holds a colon. Raises TagInvalid, DigestInvalid or DigestUnsupported."""
    return Digest.parse(text) if ":" in text else Tag.parse(text)
