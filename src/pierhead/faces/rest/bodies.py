"""JSON bodies, read strictly: bounded, one object, no key that a route does not know, each value of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pierhead.domain import limits
from pierhead.domain.access import Rules
from pierhead.domain.refusals import EncodingRefused, ManifestInvalid
from pierhead.domain.refusals_accounts import BodyInvalid, BodyTooLarge
from pierhead.domain.roles import rules_of_document
from pierhead.domain.strict_json import decode
from pierhead.faces.door.ask import Ask, TooLarge


class Body:
    """The object of a request. Each verb below raises BodyInvalid, naming the key."""

    def __init__(self, document: Mapping[str, object]) -> None:
        self._document = document

    def __contains__(self, key: str) -> bool:
        return key in self._document

    def refuse_others(self, known: Sequence[str]) -> None:
        """A key that is not known may be a misspelled one."""
        for key in self._document:
            if key not in known:
                raise BodyInvalid(key, f"is unknown. Known: {', '.join(known)}")

    def text(self, key: str) -> str:
        """Has to be there."""
        found = self._document.get(key)
        if not isinstance(found, str):
            raise BodyInvalid(key, "has to be text" if key in self._document else "is missing")
        return found

    def text_or_none(self, key: str) -> str | None:
        """None if it is null or left out."""
        return None if self._document.get(key) is None else self.text(key)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list; has to be there."""
        found = self._document.get(key)
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise BodyInvalid(key, "has to be a list of texts" if key in self._document else "is missing")
        return tuple(found)

    def flag(self, key: str) -> bool | None:
        """None if it is left out."""
        found = self._document.get(key)
        if key in self._document and not isinstance(found, bool):
            raise BodyInvalid(key, "has to be true or false")
        return found if isinstance(found, bool) else None

    def whole(self, key: str, default: int) -> int | None:
        """None if it is null, ``default`` if it is left out."""
        found = self._document.get(key, default)
        if found is not None and (not isinstance(found, int) or isinstance(found, bool)):
            raise BodyInvalid(key, "has to be a whole number or null")
        return found

    def rules(self, key: str) -> Rules | None:
        """None if it is null or left out."""
        found = self._document.get(key)
        return None if found is None else rules_of_document(found, key)


async def body_of(ask: Ask) -> Body:
    """Raises BodyInvalid, BodyTooLarge, EncodingRefused, Gone, TimeoutError."""
    content = await content_of(ask, limits.REST_BODY_BYTES_MAX)
    try:
        return Body(decode(content))
    except ManifestInvalid as refused:
        raise BodyInvalid("", f"is not accepted: {refused.why}") from None


async def content_of(ask: Ask, most: int) -> bytes:
    """The bytes of a JSON body of at most ``most``, not parsed yet. Raises as ``body_of``."""
    encoding = ask.get("Content-Encoding")
    if encoding is not None and encoding.strip().lower() not in ("", "identity"):
        raise EncodingRefused(encoding)
    if (ask.get("Content-Type") or "").partition(";")[0].strip().lower() != "application/json":
        raise BodyInvalid("", "has to be JSON, sent with `Content-Type: application/json`")
    try:
        return await ask.body(most)
    except TooLarge as error:
        raise BodyTooLarge(most) from error
