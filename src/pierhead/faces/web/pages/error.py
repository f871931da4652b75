"""What is refused, is not there, or broke: the same sentence as on every other face."""

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
from pierhead.faces.web.visit import Visit


class Trouble(Struct, frozen=True):
    """``sign_in`` is the address of the sign-in page where that would help, else empty."""

    heading: str
    sentence: str
    request_id: str
    sign_in: str


TABLE: Final[dict[type[r.Refusal], tuple[int, str]]] = {
    r.NameInvalid: (400, "This is no name"),
    r.TagInvalid: (400, "This is no tag"),
    r.DigestInvalid: (400, "This is no digest"),
    r.DigestUnsupported: (400, "Such digests are not kept here"),
    r.DigestMismatch: (400, "Other bytes came than announced"),
    r.ManifestInvalid: (400, "This is no manifest"),
    r.ManifestTooLarge: (413, "The manifest is too large"),
    r.ContentRangeInvalid: (400, "The range is not understood"),
    r.SizeInvalid: (400, "Another size came than announced"),
    r.QueryInvalid: (400, "The address is not understood"),
    r.EncodingRefused: (415, "The encoding is not taken"),
    r.RouteUnknown: (404, "There is nothing here"),
    r.RepositoryUnknown: (404, "There is no such repository"),
    r.ImageUnknown: (404, "There is no such image"),
    r.ManifestUnknown: (404, "There is no such tag"),
    r.BlobUnknown: (404, "There is no such blob"),
    r.ManifestBlobUnknown: (400, "A part of the image is missing"),
    r.UploadUnknown: (404, "There is no such upload"),
    r.UploadRangeWrong: (416, "The chunk is out of order"),
    r.BlobTooLarge: (413, "The blob is too large"),
    r.TooManyUploads: (429, "Too many uploads"),
    r.RangeUnsatisfiable: (416, "The range lies outside"),
    r.UpstreamLimited: (429, "The upstream allows no more"),
    r.NotAuthenticated: (401, "Sign in first"),
    r.ScopeMissing: (401, "The token was not asked for this"),
    r.TooManyLogins: (429, "Too many tries"),
    r.Denied: (403, "You may not do this"),
    t.TokenNotAccepted: (401, "This token does not hold"),
    t.TokenNotTrusted: (403, "No rule is about this token"),
    r.TagDenied: (403, "You may not use this tag"),
    r.StageFilledByPromotion: (403, "Filled by promotion only"),
    past.TagWrittenOnce: (409, "The tag is written once"),
    r.RepositoryReadOnly: (403, "The repository is read-only"),
    r.WrongPort: (405, "This is the wrong port"),
    r.DeletionUnsupported: (405, "Nothing is deleted here"),
    r.BlobNamedByManifest: (405, "A manifest needs this"),
    r.ManifestNeeded: (409, "The manifest is needed"),
    past.TagMoved: (409, "The tag has moved"),
    past.TagStands: (409, "The tag is not deleted"),
    past.TagNeverThere: (404, "The tag never stood for this"),
    past.NotKept: (404, "This is not kept"),
    r.ForgedRequest: (403, "Nothing was done"),
    r.CodeUnknown: (404, "Nothing waits under this code"),
    r.FormTooLarge: (413, "The form is too large"),
    r.FormUnreadable: (400, "The form is not understood"),
    r.SignOnRefused: (400, "You are not signed in"),
    a.BodyInvalid: (400, "This is not understood"),
    a.BodyTooLarge: (413, "This is too large"),
    a.AccountUnknown: (404, "There is no such account"),
    a.RoleUnknown: (404, "There is no such role"),
    a.AccessTokenUnknown: (404, "There is no such token"),
    a.NotHere: (409, "This is not changed here"),
    a.NameTaken: (409, "The name is taken"),
    a.RoleInUse: (409, "The role is in use"),
    a.TooManyAccessTokens: (429, "Too many access tokens"),
    c.StageEmpty: (404, "Nothing stands there"),
    c.ClusterUnknown: (404, "No such cluster"),
    p.PromotionForbidden: (403, "You may not promote this"),
    p.PromotionUnproven: (422, "A signature or report is missing"),
    p.PromotionGatesShut: (409, "A gate is shut"),
    p.PromotionIncomplete: (422, "The image is not whole"),
    p.PromotionTooLarge: (422, "Too much hangs on the image"),
    p.BuildCachePromoted: (409, "A build cache is not promoted"),
    p.PromotionTagMoved: (409, "The tag has moved"),
    p.PromotionTagTaken: (409, "The tag is taken there"),
    p.PromotionUnknown: (404, "There is no such promotion"),
    p.PromotionOver: (409, "It waits no more"),
    p.OwnPromotion: (403, "Another person must approve it"),
    p.NothingBefore: (409, "There is nothing to go back to"),
    p.PointerReserved: (403, "The tag is set by promotions"),
    p.IdempotencyKeyTaken: (422, "The key was used for something else"),
    r.MethodUnsupported: (405, "This is not answered here"),
    n.NameRefused: (403, "Images are not called so here"),
}
_UNAVAILABLE: Final = {"bad_answer": 502, "down": 503, "slow": 504}
_HELPED_BY_SIGNING_IN: Final = (r.NotAuthenticated, r.ForgedRequest, r.SignOnRefused, r.TooManyLogins)


def refused(visit: Visit, refusal: r.Refusal) -> Answer:
    """A refusal that is missing in the table would be a fault of ours; a test looks."""
    status, heading = TABLE[type(refusal)]
    helps = visit.visitor is None and isinstance(refusal, _HELPED_BY_SIGNING_IN)
    return _page(visit, status, heading, refusal.message, "/-/sign-in" if helps else "")


def unavailable(visit: Visit, failure: r.Unavailable) -> Answer:
    """502, 503 or 504."""
    answer = _page(visit, _UNAVAILABLE[failure.kind], "Not available now", failure.message, "")
    answer.headers = (*answer.headers, ("Retry-After", str(failure.retry_after)))
    return answer


def broken(visit: Visit) -> Answer:
    """A fault of ours: nothing of its text is told, only where to look."""
    sentence = (
        f"Something in Pierhead broke, and it was not you. Request {visit.shop.ids.of(visit.ask)}: it is in the log "
        "with all details. Try again, or tell your platform team this number."
    )
    return _page(visit, 500, "Something broke", sentence, "")


def _page(visit: Visit, status: int, heading: str, sentence: str, sign_in: str) -> Answer:
    page = Trouble(heading, sentence, visit.shop.ids.of(visit.ask), sign_in)
    return visit.page("error", heading, page, status)
