"""Refusals as problem documents (RFC 9457); the sentence is the same as everywhere.

``message`` says what is refused and why, ``do`` what to do where the sentence does not say it already.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from pierhead.domain import refusals as r
from pierhead.domain import refusals_accounts as a
from pierhead.domain import refusals_id_tokens as t
from pierhead.domain import refusals_names as n
from pierhead.domain import refusals_promotion as p
from pierhead.domain import refusals_running as c
from pierhead.domain import refusals_tags as past
from pierhead.faces.door.ask import Answer
from pierhead.faces.door.ids import HEADER
from pierhead.faces.door.wire_json import encode


class Problem(Struct, frozen=True):
    """``code`` is what programs compare; ``do`` is empty where the refusal's own sentence says what to do."""

    status: int
    code: str
    title: str
    do: str = ""


_NAMES: Final = "Look at the names with `pierhead repositories` and `pierhead images`."
_SEND_AGAIN: Final = "Send it again as the distribution specification describes."
_NOT_HERE: Final = "Use a registry client for this, at an address that begins with /v2/."

TABLE: Final[dict[type[r.Refusal], Problem]] = {
    r.NameInvalid: Problem(400, "name_invalid", "Not a name", _NAMES),
    r.TagInvalid: Problem(400, "tag_invalid", "Not a tag"),
    r.DigestInvalid: Problem(
        400, "digest_invalid", "Not a digest", "Copy the whole digest, such as sha256:…64 digits."
    ),
    r.DigestUnsupported: Problem(400, "digest_unsupported", "Algorithm not kept here"),
    r.DigestMismatch: Problem(400, "digest_mismatch", "Other bytes than announced"),
    r.ManifestInvalid: Problem(400, "manifest_invalid", "Not a manifest", "Build and push the image again."),
    r.ManifestTooLarge: Problem(413, "manifest_too_large", "Manifest too large", "Make it smaller."),
    r.ContentRangeInvalid: Problem(400, "content_range_invalid", "Content-Range not understood", _SEND_AGAIN),
    r.SizeInvalid: Problem(400, "size_invalid", "Other size than announced", _SEND_AGAIN),
    r.QueryInvalid: Problem(400, "query_invalid", "Parameter not understood"),
    r.EncodingRefused: Problem(415, "encoding_refused", "Encoding not taken"),
    r.RouteUnknown: Problem(404, "route_unknown", "No such address"),
    r.RepositoryUnknown: Problem(404, "repository_unknown", "No such repository"),
    r.ImageUnknown: Problem(404, "image_unknown", "No such image", _NAMES),
    r.ManifestUnknown: Problem(
        404, "manifest_unknown", "No such tag or manifest", "`pierhead tags` lists those there are."
    ),
    r.BlobUnknown: Problem(404, "blob_unknown", "No such blob", "Push the image again."),
    r.ManifestBlobUnknown: Problem(400, "manifest_blob_unknown", "A part of the image is missing"),
    r.UploadUnknown: Problem(404, "upload_unknown", "No such upload"),
    r.UploadRangeWrong: Problem(416, "upload_range_wrong", "Chunk out of order"),
    r.BlobTooLarge: Problem(413, "blob_too_large", "Blob too large"),
    r.TooManyUploads: Problem(429, "too_many_uploads", "Too many uploads"),
    r.RangeUnsatisfiable: Problem(416, "range_unsatisfiable", "Range outside the blob", "Ask for bytes that it has."),
    r.UpstreamLimited: Problem(429, "upstream_limited", "Upstream allows no more", "Try again later."),
    r.NotAuthenticated: Problem(401, "not_authenticated", "Log in first", "Send a name and a password (Basic)."),
    r.ScopeMissing: Problem(401, "scope_missing", "Token was not asked for this", "Ask for another token."),
    r.TooManyLogins: Problem(429, "too_many_logins", "Too many failed logins"),
    r.Denied: Problem(403, "denied", "Not allowed", "Ask an administrator, or use another account."),
    r.TagDenied: Problem(403, "tag_denied", "Tag not allowed"),
    r.StageFilledByPromotion: Problem(403, "stage_filled_by_promotion", "Filled by promotion only"),
    past.TagWrittenOnce: Problem(409, "tag_written_once", "Tag is written once"),
    r.RepositoryReadOnly: Problem(403, "repository_read_only", "Repository is read-only", "Change its write policy."),
    r.WrongPort: Problem(405, "wrong_port", "Wrong port"),
    r.DeletionUnsupported: Problem(405, "deletion_unsupported", "Nothing is deleted here"),
    r.BlobNamedByManifest: Problem(405, "blob_named_by_manifest", "Part of a manifest"),
    r.ManifestNeeded: Problem(409, "manifest_needed", "Manifest is needed"),
    past.TagMoved: Problem(409, "tag_moved", "Tag has moved"),
    past.TagStands: Problem(409, "tag_stands", "Tag is not deleted"),
    past.TagNeverThere: Problem(404, "tag_never_there", "Tag never stood for this"),
    past.NotKept: Problem(404, "not_kept", "Not kept"),
    r.ForgedRequest: Problem(403, "forged_request", "Not from a page of this server"),
    r.CodeUnknown: Problem(404, "code_unknown", "No such code"),
    r.FormTooLarge: Problem(413, "form_too_large", "Form too large"),
    r.FormUnreadable: Problem(400, "form_unreadable", "Form not understood"),
    r.SignOnRefused: Problem(400, "sign_on_refused", "Single sign-on did not succeed"),
    r.MethodUnsupported: Problem(405, "method_unsupported", "Method not answered here"),
    n.NameRefused: Problem(403, "name_refused", "Name is not used here"),
    t.TokenNotAccepted: Problem(401, "token_not_accepted", "Token not accepted", "Look at docs/ci-trust.md."),
    t.TokenNotTrusted: Problem(403, "token_not_trusted", "No trust rule fits", "Look at docs/ci-trust.md."),
    a.BodyInvalid: Problem(
        400, "body_invalid", "Body not understood", "Mend what the message names, and send it again."
    ),
    a.BodyTooLarge: Problem(413, "body_too_large", "Body too large", "Make it smaller."),
    a.AccountUnknown: Problem(404, "account_unknown", "No such account", "`pierhead accounts` lists those there are."),
    a.RoleUnknown: Problem(404, "role_unknown", "No such role"),
    a.AccessTokenUnknown: Problem(
        404, "access_token_unknown", "No such access token", "`pierhead tokens` lists those there are."
    ),
    a.NotHere: Problem(409, "not_here", "Not changed here"),
    a.NameTaken: Problem(409, "name_taken", "Name is taken"),
    a.RoleInUse: Problem(409, "role_in_use", "Role is in use"),
    a.TooManyAccessTokens: Problem(429, "too_many_access_tokens", "Too many access tokens"),
    c.StageEmpty: Problem(404, "stage_empty", "Nothing stands there"),
    c.ClusterUnknown: Problem(404, "cluster_unknown", "No such cluster"),
    p.PromotionForbidden: Problem(403, "promotion_forbidden", "Not by this account"),
    p.PromotionUnproven: Problem(422, "promotion_unproven", "Something is not attached"),
    p.PromotionGatesShut: Problem(409, "promotion_gates_shut", "A gate is shut"),
    p.PromotionIncomplete: Problem(422, "promotion_incomplete", "The image is not whole"),
    p.PromotionTooLarge: Problem(422, "promotion_too_large", "Too much hangs on the image"),
    p.BuildCachePromoted: Problem(409, "build_cache_promoted", "A build cache is not promoted"),
    p.PromotionTagMoved: Problem(409, "promotion_tag_moved", "The tag has moved"),
    p.PromotionTagTaken: Problem(409, "promotion_tag_taken", "The tag is taken there"),
    p.PromotionUnknown: Problem(
        404, "promotion_unknown", "No such promotion", "`pierhead promotions` lists those there are."
    ),
    p.PromotionOver: Problem(409, "promotion_over", "Not waiting any more"),
    p.OwnPromotion: Problem(403, "own_promotion", "Another person must approve"),
    p.NothingBefore: Problem(409, "nothing_before", "Nothing to go back to"),
    p.PointerReserved: Problem(403, "pointer_reserved", "The tag is set by promotions"),
    p.IdempotencyKeyTaken: Problem(422, "idempotency_key_taken", "Key was used for something else"),
}

_UNAVAILABLE: Final = {
    "bad_answer": Problem(502, "unavailable", "Another server gave a wrong answer", "Try again later."),
    "down": Problem(503, "unavailable", "Not available now", "Try again later."),
    "slow": Problem(504, "unavailable", "Not answered in time", "Try again later, or ask for less."),
}
BROKEN: Final = Problem(500, "broken", "Something in Pierhead broke")

PROBLEMS: Final = tuple(dict.fromkeys((*TABLE.values(), *_UNAVAILABLE.values(), BROKEN)))
"""All that there are, for the reference."""

TYPE: Final = "urn:pierhead:problem:"


class Place(Struct, frozen=True):
    """Which request it was: its address as people reach it, and its id."""

    address: str
    request_id: str


def refused(refusal: r.Refusal, at: Place) -> Answer:
    """The answer to a refusal. A refusal that is missing in the table would be a fault of ours; a test looks."""
    problem = TABLE[type(refusal)]
    headers: list[tuple[str, str]] = []
    match refusal:
        case r.NotAuthenticated():
            headers.append(("WWW-Authenticate", 'Basic realm="Pierhead"'))
        case r.UpstreamLimited() | r.TooManyLogins():
            headers.append(("Retry-After", str(refusal.retry_after)))
        case r.MethodUnsupported():
            headers.append(("Allow", ", ".join(refusal.allowed)))
    return _answer(problem, refusal.message, dict(refusal.detail), at, headers)


def unavailable(failure: r.Unavailable, at: Place) -> Answer:
    """502, 503 or 504."""
    retry = [("Retry-After", str(failure.retry_after))]
    return _answer(_UNAVAILABLE[failure.kind], failure.message, {}, at, retry)


def broken(at: Place) -> Answer:
    """A fault of ours: nothing of its text is told, only where to look."""
    message = (
        f"Something in Pierhead broke, and it was not you. Request `{at.request_id}`: it is in the log with all "
        "details. Try again, or tell your platform team this number."
    )
    return _answer(BROKEN, message, {}, at, [])


def _answer(
    problem: Problem, message: str, about: dict[str, object], at: Place, headers: list[tuple[str, str]]
) -> Answer:
    document = {
        "type": TYPE + problem.code,
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "message": message,
        "do": problem.do or None,
        "address": at.address,
        "request_id": at.request_id,
        "about": about,
    }
    common = [
        ("Content-Type", "application/problem+json"),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        (HEADER, at.request_id),
    ]
    return Answer(problem.status, [*common, *headers], encode(document))
