"""Refusals in the words of the distribution specification ("Error Codes"); the sentence is the same as everywhere."""

from __future__ import annotations

from typing import Final

from pierhead.domain import refusals as r
from pierhead.domain import refusals_accounts as a
from pierhead.domain import refusals_id_tokens as t
from pierhead.domain import refusals_names as n
from pierhead.domain import refusals_promotion as p
from pierhead.domain import refusals_running as c
from pierhead.domain import refusals_tags as past
from pierhead.faces.door.ask import Answer
from pierhead.faces.door.wire_json import encode

TABLE: Final[dict[type[r.Refusal], tuple[int, str]]] = {
    r.NameInvalid: (400, "NAME_INVALID"),
    r.TagInvalid: (400, "MANIFEST_INVALID"),
    r.DigestInvalid: (400, "DIGEST_INVALID"),
    r.DigestUnsupported: (400, "UNSUPPORTED"),
    r.DigestMismatch: (400, "DIGEST_INVALID"),
    r.ManifestInvalid: (400, "MANIFEST_INVALID"),
    r.ManifestTooLarge: (413, "MANIFEST_INVALID"),
    r.ContentRangeInvalid: (400, "BLOB_UPLOAD_INVALID"),
    r.SizeInvalid: (400, "SIZE_INVALID"),
    r.QueryInvalid: (400, "UNSUPPORTED"),
    r.EncodingRefused: (415, "UNSUPPORTED"),
    r.RouteUnknown: (404, "UNSUPPORTED"),
    r.RepositoryUnknown: (404, "NAME_UNKNOWN"),
    r.ImageUnknown: (404, "NAME_UNKNOWN"),
    r.ManifestUnknown: (404, "MANIFEST_UNKNOWN"),
    r.BlobUnknown: (404, "BLOB_UNKNOWN"),
    r.ManifestBlobUnknown: (400, "MANIFEST_BLOB_UNKNOWN"),
    r.UploadUnknown: (404, "BLOB_UPLOAD_UNKNOWN"),
    r.UploadRangeWrong: (416, "BLOB_UPLOAD_INVALID"),
    r.BlobTooLarge: (413, "SIZE_INVALID"),
    r.TooManyUploads: (429, "TOOMANYREQUESTS"),
    r.RangeUnsatisfiable: (416, "UNSUPPORTED"),
    r.UpstreamLimited: (429, "TOOMANYREQUESTS"),
    r.NotAuthenticated: (401, "UNAUTHORIZED"),
    r.ScopeMissing: (401, "UNAUTHORIZED"),
    r.TooManyLogins: (429, "TOOMANYREQUESTS"),
    r.Denied: (403, "DENIED"),
    r.TagDenied: (403, "DENIED"),
    r.StageFilledByPromotion: (403, "DENIED"),
    past.TagWrittenOnce: (409, "DENIED"),
    r.RepositoryReadOnly: (403, "DENIED"),
    r.WrongPort: (405, "UNSUPPORTED"),
    r.DeletionUnsupported: (405, "UNSUPPORTED"),
    r.BlobNamedByManifest: (405, "UNSUPPORTED"),
    r.ManifestNeeded: (409, "DENIED"),
    r.ForgedRequest: (403, "DENIED"),
    r.CodeUnknown: (404, "UNSUPPORTED"),
    r.FormTooLarge: (413, "SIZE_INVALID"),
    r.FormUnreadable: (400, "UNSUPPORTED"),
    r.SignOnRefused: (400, "UNSUPPORTED"),
    r.MethodUnsupported: (405, "UNSUPPORTED"),
    n.NameRefused: (403, "DENIED"),
    t.TokenNotAccepted: (401, "UNAUTHORIZED"),
    t.TokenNotTrusted: (403, "DENIED"),
    # Of accounts; raised by the REST API only.
    past.TagMoved: (409, "DENIED"),
    past.TagStands: (409, "DENIED"),
    past.TagNeverThere: (404, "MANIFEST_UNKNOWN"),
    past.NotKept: (404, "MANIFEST_UNKNOWN"),
    a.BodyInvalid: (400, "UNSUPPORTED"),
    a.BodyTooLarge: (413, "SIZE_INVALID"),
    a.AccountUnknown: (404, "UNSUPPORTED"),
    a.RoleUnknown: (404, "UNSUPPORTED"),
    a.AccessTokenUnknown: (404, "UNSUPPORTED"),
    a.NotHere: (409, "DENIED"),
    a.NameTaken: (409, "DENIED"),
    a.RoleInUse: (409, "DENIED"),
    a.TooManyAccessTokens: (429, "TOOMANYREQUESTS"),
    c.StageEmpty: (404, "NAME_UNKNOWN"),
    c.ClusterUnknown: (404, "NAME_UNKNOWN"),
    # Of promotions: a push that is one is refused as a promotion is.
    p.PromotionForbidden: (403, "DENIED"),
    p.PromotionUnproven: (409, "DENIED"),
    p.PromotionGatesShut: (409, "DENIED"),
    p.PromotionIncomplete: (409, "DENIED"),
    p.PromotionTooLarge: (413, "SIZE_INVALID"),
    p.BuildCachePromoted: (409, "DENIED"),
    p.PromotionTagMoved: (409, "DENIED"),
    p.PromotionTagTaken: (409, "DENIED"),
    p.PromotionUnknown: (404, "UNSUPPORTED"),
    p.PromotionOver: (409, "DENIED"),
    p.OwnPromotion: (403, "DENIED"),
    p.NothingBefore: (409, "DENIED"),
    p.PointerReserved: (403, "DENIED"),
    p.IdempotencyKeyTaken: (409, "DENIED"),
}

# What a method makes of a refusal that means something else elsewhere.
_BY_METHOD: Final[dict[tuple[type[r.Refusal], str], tuple[int, str]]] = {
    (r.TagInvalid, "GET"): (404, "MANIFEST_UNKNOWN"),
    (r.TagInvalid, "HEAD"): (404, "MANIFEST_UNKNOWN"),
    (r.TagInvalid, "DELETE"): (404, "MANIFEST_UNKNOWN"),
    (r.RepositoryReadOnly, "DELETE"): (405, "UNSUPPORTED"),
}

_UNAVAILABLE: Final = {"bad_answer": 502, "down": 503, "slow": 504}
_READING: Final = "GET, HEAD"
VERSION: Final = ("Docker-Distribution-Api-Version", "registry/2.0")
JSON: Final = ("Content-Type", "application/json")


def refused(refusal: r.Refusal, method: str) -> Answer:
    """The answer to a refusal, without challenges. A refusal that is missing in the table would be a fault of ours; a
    test looks."""
    kind = type(refusal)
    status, code = _BY_METHOD.get((kind, method)) or TABLE[kind]
    headers = [VERSION, JSON]
    match refusal:
        case r.UpstreamLimited():
            headers += [("Retry-After", str(refusal.retry_after)), _why(refusal.message)]
        case r.TooManyLogins():
            headers.append(("Retry-After", str(refusal.retry_after)))
        case r.TooManyUploads():
            headers.append(("Retry-After", "60"))
        case r.MethodUnsupported():
            headers.append(("Allow", ", ".join(refusal.allowed)))
        case r.WrongPort() | r.DeletionUnsupported() | r.BlobNamedByManifest():
            headers.append(("Allow", _READING))
        case r.RangeUnsatisfiable():
            headers.append(("Content-Range", f"bytes */{refusal.size}"))
    return Answer(status, headers, body_of(code, refusal.message, refusal.detail))


def unavailable(failure: r.Unavailable) -> Answer:
    """502, 503 or 504, with the reason where people and clients look for it."""
    headers = [VERSION, JSON, ("Retry-After", str(failure.retry_after)), _why(failure.message)]
    return Answer(_UNAVAILABLE[failure.kind], headers, body_of("UNAVAILABLE", failure.message, {}))


def _why(message: str) -> tuple[str, str]:
    return "Warning", f'199 - "{quoted(message)}"'


def quoted(text: str) -> str:
    """``text`` as the inside of a quoted string in a header: ASCII, no quotes, no control characters."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "'" for c in text)[:400]


def body_of(code: str, message: str, detail: object) -> bytes:
    """One error in the specification's form."""
    return encode({"errors": [{"code": code, "message": message, "detail": detail}]})
