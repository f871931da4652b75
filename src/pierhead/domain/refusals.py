"""The closed set of refusals: what was asked wrongly, why it is refused, and what to do instead.

A refusal is the caller's to mend; ``Unavailable`` is the world's; anything else that is raised is a fault of ours.
Every face has one table from these classes to its own codes, and a test fails for a class that a table forgets.
The sentence of a refusal is the same on every face.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

Detail = Mapping[str, object]

_SHOWN_CHARACTERS_MAX: Final = 200
_REPOSITORIES_SHOWN_MAX: Final = 20


def shown(text: str) -> str:
    """``text`` made safe to stand in a sentence: control characters escaped, at most 200 characters."""
    cut = text if len(text) <= _SHOWN_CHARACTERS_MAX else text[:_SHOWN_CHARACTERS_MAX] + "…"
    return cut if cut.isprintable() else cut.encode("unicode_escape").decode("ascii")


def _one_sentence(message: str) -> str:
    """``message`` on one line whatever was put into it, and ended by a full stop, so that another sentence can follow.

    Messages reach terminals and log lines, and hold texts that callers and upstreams chose.
    """
    if not message.isprintable():
        message = "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in message)
    return message if message.endswith((".", "!", "?")) else message + "."


class Refusal(Exception):
    """Something that was asked and is not done. ``message`` is for people, ``detail`` for programs."""

    told = False  # whether who raises it tells the record of events by itself

    def __init__(self, message: str, **detail: object) -> None:
        self.message: str = _one_sentence(message)
        super().__init__(self.message)
        self.detail: Detail = detail


class Unavailable(Exception):
    """Something outside does not answer as it should, so that neither yes nor no can be said.

    ``kind`` is ``bad_answer`` (502), ``down`` (503) or ``slow`` (504); ``retry_after`` is in seconds.
    """

    def __init__(self, message: str, *, kind: str = "down", retry_after: int = 5) -> None:
        self.message: str = _one_sentence(message)
        super().__init__(self.message)
        self.kind: str = kind
        self.retry_after: int = retry_after


# --- malformed ---------------------------------------------------------------------------------------------------


class NameInvalid(Refusal):
    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"`{shown(name)}` cannot be a name: {why}.", name=shown(name))


class TagInvalid(Refusal):
    def __init__(self, tag: str) -> None:
        super().__init__(
            f"`{shown(tag)}` cannot be a tag: a tag is 1 to 128 letters, digits, `_`, `.` or `-`, "
            "and begins with a letter, a digit or `_`.",
            tag=shown(tag),
        )


class DigestInvalid(Refusal):
    def __init__(self, digest: str, why: str) -> None:
        super().__init__(f"`{shown(digest)}` is no digest: {why}.", digest=shown(digest))


class DigestUnsupported(Refusal):
    def __init__(self, algorithm: str) -> None:
        super().__init__(
            f"Digests of the algorithm `{shown(algorithm)}` are not kept here. Use sha256 or sha512.",
            algorithm=shown(algorithm),
        )


class DigestMismatch(Refusal):
    def __init__(self, asked: str, computed: str) -> None:
        super().__init__(
            f"The bytes that came have the digest {computed}, not {asked}. Nothing was stored; send them again.",
            asked=asked,
            computed=computed,
        )


class ManifestInvalid(Refusal):
    def __init__(self, why: str, **detail: object) -> None:
        super().__init__(f"The manifest is not accepted: {why}.", **detail)
        self.why = why


class ManifestTooLarge(Refusal):
    def __init__(self, limit: int) -> None:
        super().__init__(f"A manifest has at most {limit} bytes, since clients read no more.", limit=limit)


class ContentRangeInvalid(Refusal):
    def __init__(self, text: str) -> None:
        super().__init__(
            f"`Content-Range: {shown(text)}` is not understood. A chunk says START-END, both counted from 0 "
            "and inclusive, without a unit.",
            content_range=shown(text),
        )


class SizeInvalid(Refusal):
    def __init__(self, said: int, came: int) -> None:
        super().__init__(f"The chunk says that it holds {said} bytes, but {came} come with it.", said=said, came=came)


class QueryInvalid(Refusal):
    def __init__(self, parameter: str, why: str) -> None:
        super().__init__(f"The parameter `{parameter}` is not understood: {why}.", parameter=parameter)


class EncodingRefused(Refusal):
    def __init__(self, encoding: str) -> None:
        super().__init__(
            f"`Content-Encoding: {shown(encoding)}` is not taken: content is stored as it comes and named by its own "
            "bytes. Send it without an encoding.",
            encoding=shown(encoding),
        )


# --- not there ---------------------------------------------------------------------------------------------------


class RouteUnknown(Refusal):
    def __init__(self, hint: str = "The registry's addresses begin with /v2/.") -> None:
        super().__init__(f"There is nothing at this address.{_behind(hint)}")


class RepositoryUnknown(Refusal):
    """``hint`` says where the image is that was probably meant."""

    def __init__(self, name: str, known: Sequence[str], hint: str = "") -> None:
        more = ", …" if len(known) > _REPOSITORIES_SHOWN_MAX else ""
        listed = f"; the repositories are {', '.join(known[:_REPOSITORIES_SHOWN_MAX])}{more}" if known else ""
        super().__init__(
            f"There is no repository `{shown(name)}` here.{_behind(hint)} By path, an image is named "
            f"REPOSITORY/IMAGE{listed}.",
            repository=shown(name),
        )


class ImageUnknown(Refusal):
    def __init__(self, image: str, where: str, hint: str = "") -> None:
        super().__init__(f"{image} is not in {where}.{_behind(hint)}", image=image, repository=where)


class ManifestUnknown(Refusal):
    def __init__(self, image: str, reference: str, where: str, hint: str = "") -> None:
        joint = "@" if ":" in reference else ":"
        super().__init__(
            f"{image}{joint}{shown(reference)} is not in {where}.{_behind(hint)}",
            image=image,
            reference=shown(reference),
            repository=where,
        )


class BlobUnknown(Refusal):
    def __init__(self, image: str, digest: str, where: str) -> None:
        super().__init__(f"{image} in {where} has no blob {digest}.", image=image, digest=digest, repository=where)


class ManifestBlobUnknown(Refusal):
    def __init__(self, image: str, missing: Sequence[str], kind: str = "blob") -> None:
        names = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        whole = "index" if kind == "manifest" else "manifest"
        super().__init__(
            f"The {whole} names what {image} does not have: {names}. Push each {kind} first, then the {whole}.",
            missing=list(missing),
        )


class UploadUnknown(Refusal):
    def __init__(self) -> None:
        super().__init__("This upload is not known here: it ended, was given up, or belongs to another. Start anew.")


# --- not now, not so ---------------------------------------------------------------------------------------------


class UploadRangeWrong(Refusal):
    """``offset`` is how many bytes the session holds; ``location`` is set by the face that names addresses."""

    def __init__(self, offset: int, upload: str, why: str = "") -> None:
        held = "1 byte" if offset == 1 else f"{offset} bytes"
        super().__init__(f"The upload holds {held}, so the next chunk begins at {offset}.{_behind(why)}", offset=offset)
        self.offset = offset
        self.upload = upload


class BlobTooLarge(Refusal):
    def __init__(self, limit: int) -> None:
        super().__init__(
            f"A blob has at most {limit} bytes here (`limits.blob_bytes` in the config file).", limit=limit
        )


class TooManyUploads(Refusal):
    def __init__(self, account: str, limit: int) -> None:
        super().__init__(
            f"{account} has {limit} uploads open, which is all that are allowed. End or cancel some of them.",
            limit=limit,
        )


class RangeUnsatisfiable(Refusal):
    def __init__(self, size: int) -> None:
        super().__init__(f"The range lies outside the blob, which has {size} bytes.", size=size)
        self.size = size


class UpstreamLimited(Refusal):
    """The upstream allows no more; ``retry_after`` in seconds, ``said`` what else there is to tell."""

    def __init__(self, upstream: str, retry_after: int, said: str = "") -> None:
        super().__init__(f"{upstream} allows no more pulls for now.{_behind(said)}", upstream=upstream)
        self.retry_after = retry_after
        self.said = said


# --- not allowed -------------------------------------------------------------------------------------------------


class NotAuthenticated(Refusal):
    """``bad_token``: a bearer token came that does not hold. ``here`` is the host and port to log in to, where the face
    knows it."""

    def __init__(self, why: str = "", *, bad_token: bool = False, here: str = "") -> None:
        login = f"`docker login {here}`" if here else "`docker login` with this host and port"
        super().__init__(why or f"Log in first: {login}.")
        self.bad_token = bad_token
        self.nothing_came = not why


class ScopeMissing(Refusal):
    """A bearer token is good but was not asked for this, and would have been given it. ``right`` is its word."""

    def __init__(self, right: str) -> None:
        super().__init__(
            f"The token was not asked for leave to {right} here. Ask for it with the scope of the challenge."
        )
        self.right = right


class TooManyLogins(Refusal):
    """``at_once``: others' logins are being checked, and there are more of them than fit into the line."""

    def __init__(self, retry_after: int, *, at_once: bool = False) -> None:
        many = "logins at once" if at_once else "failed logins from here"
        super().__init__(f"Too many {many}. Try again in {retry_after} s.")
        self.retry_after = retry_after


class Denied(Refusal):
    def __init__(self, account: str, action: str, what: str, hint: str = "") -> None:
        super().__init__(
            f"{account} may not {action} {what}.{_behind(hint)}", account=account, action=action, what=what
        )


class TagDenied(Refusal):
    def __init__(self, account: str, what: str, tag: str, allowed: Sequence[str]) -> None:
        super().__init__(
            f"{account} may push {what}, but not under the tag {tag}: only under {', '.join(allowed)}.",
            account=account,
            what=what,
            tag=tag,
            allowed=list(allowed),
        )


class StageFilledByPromotion(Refusal):
    def __init__(self, repository: str, image: str, reference: str, stage: str) -> None:
        # A client that pushes by digest pushes a part of an index, and what goes there is the whole.
        tag = "TAG" if ":" in reference else reference
        super().__init__(
            f"{repository} is filled by promotion only: `pierhead promote {image}:{tag} --to {stage}`.",
            repository=repository,
        )


class RepositoryReadOnly(Refusal):
    def __init__(self, repository: str) -> None:
        super().__init__(
            f"{repository} takes no push and no deletion: its write policy is DENY "
            f"(`repositories.{repository}.write_policy` in the config file).",
            repository=repository,
        )


class WrongPort(Refusal):
    """A push to a group or a proxy. ``port`` is the wrong one, None if it was named by path; ``right`` is
    host:port/image, empty if the account may push nowhere, and where there is none (``nobody``); ``why`` says what is
    wrong with the name as well."""

    def __init__(self, repository: str, port: int | None, right: str, why: str = "", *, nobody: bool = False) -> None:
        wrong = f"{repository} takes no pushes." if port is None else f"This port ({port}) is for pulling."
        wrong += _behind(why)
        there = f"Push to {right}." if right else "There is no repository to which you may push this image."
        if nobody and not right:
            there = "Pushes need an account: log in, and you are told where this image goes."
        super().__init__(f"{wrong} {there}", repository=repository, push_to=right)


class DeletionUnsupported(Refusal):
    """``hosted`` are the hosted members of a group; none for a proxy."""

    def __init__(self, repository: str, kind: str, hosted: Sequence[str]) -> None:
        names = f" ({', '.join(hosted)})" if hosted else ""
        there = f"delete in the repository that holds the image{names}"
        if kind == "proxy":
            there = "what it keeps of its upstream stays"
        super().__init__(f"{repository} is a {kind}: {there}.", repository=repository)


class BlobNamedByManifest(Refusal):
    def __init__(self, digest: str, manifest: str) -> None:
        super().__init__(
            f"{digest} is part of the manifest {manifest}. Delete the manifest; the space comes back by itself.",
            digest=digest,
            manifest=manifest,
        )


class ManifestNeeded(Refusal):
    """A deletion that would take something away from under a tag that is written once, or from an index."""

    def __init__(self, digest: str, why: str) -> None:
        super().__init__(f"{digest} stays: {why}.", digest=digest)


class MethodUnsupported(Refusal):
    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        verb = "is" if len(allowed) == 1 else "are"
        super().__init__(
            f"{shown(method)} is not answered at this address; {', '.join(allowed)} {verb}.", allowed=list(allowed)
        )
        self.allowed = tuple(allowed)


# --- pages for people ----------------------------------------------------------------------------------------------


class ForgedRequest(Refusal):
    """A browser was made to send this by a page of somebody else's, or cannot show that it was not."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Nothing was done: {why}. Open the page anew and send it again.")


class FormTooLarge(Refusal):
    def __init__(self, limit: int) -> None:
        super().__init__(f"A form has at most {limit} bytes and a few dozen fields here. Send less.", limit=limit)


class FormUnreadable(Refusal):
    def __init__(self, why: str) -> None:
        super().__init__(f"The form is not understood: {why}. Open the page anew and send it again.")


class CodeUnknown(Refusal):
    def __init__(self) -> None:
        super().__init__(
            "No command line waits under this code: it was used, refused or is too old. Run `pierhead login` again."
        )


class SignOnRefused(Refusal):
    """A single sign-on that did not begin in this browser, took too long, or was not vouched for as it must be."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The single sign-on did not succeed: {why}. Begin again on the sign-in page.")


def _behind(sentence: str) -> str:
    return f" {sentence}" if sentence else ""
