"""What pages, lists and jobs ask of the database; nothing on the pull path may."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.ports.metadata.accounts import AccessTokenRow, People, Use
from pierhead.ports.metadata.audit import EventFilter, EventRow, RecordHead
from pierhead.ports.metadata.expiry import ExpiryFacts
from pierhead.ports.metadata.promotions import PromotionReports
from pierhead.ports.metadata.running import RunningReports
from pierhead.ports.metadata.sessions import SessionRow
from pierhead.ports.metadata.trash import Deleted
from pierhead.ports.metadata.values import (
    BlobId,
    BlobRow,
    ImageRow,
    Reclaimable,
    RefreshRow,
    RepositoryRow,
    StoredManifest,
    TagInterval,
    TagRow,
    Totals,
)

if TYPE_CHECKING:
    from pierhead.ports.metadata.board import BoardReports


class Reports(PromotionReports, Protocol):
    """All of one snapshot. Cursors are the last name of the page before, empty at the beginning."""

    @property
    def board(self) -> BoardReports: ...
    @property
    def running(self) -> RunningReports: ...

    @property
    def expiry(self) -> ExpiryFacts: ...

    def totals(self) -> Totals: ...

    def images(self, repository: RepositoryName, prefix: str, after: str, limit: int) -> Sequence[ImageRow]: ...

    def tags(
        self, repository: RepositoryName, image: ImageName, after: str, limit: int, prefix: str = ""
    ) -> Sequence[TagRow]: ...

    def history(self, repository: RepositoryName, image: ImageName, tag: Tag, limit: int) -> Sequence[TagInterval]:
        """Newest first; the open interval has no ``until``."""

    def deleted(
        self,
        repository: RepositoryName,
        image: ImageName | None,
        since: int,
        behind: tuple[int, str, str] | None,
        limit: int,
    ) -> Sequence[Deleted]:
        """What was taken away ``since`` then and can be brought back, the latest first, of one image or of all.

        ``behind`` is instant, image and tag ("" for none) of the last entry of the page before.
        """

    def tags_of(self, repository: RepositoryName, image: ImageName, digest: Digest, limit: int) -> Sequence[Tag]:
        """Open tags that point at the manifest, by name."""

    def manifest(self, repository: RepositoryName, image: ImageName, digest: Digest) -> StoredManifest | None:
        """None if the image was not given it."""

    def repositories(self) -> Mapping[RepositoryName, RepositoryRow]:
        """Those that the configuration stopped naming too."""

    def note(self, name: str) -> str | None:
        """A value of the installation itself (``Notes``)."""

    def sessions(self, account: str) -> Sequence[SessionRow]:
        """Of an account, the newest first; those too that nobody has used for too long."""

    def refresh(self, mark: bytes) -> RefreshRow | None:
        """The refresh token of this mark, ended or not."""

    def refreshes(self, account: str) -> Sequence[RefreshRow]:
        """An account's, the newest first."""

    def repository_sizes(self) -> Sequence[tuple[RepositoryName, int, int]]:
        """(repository, images, bytes of distinct blobs that its images were given)."""

    def reclaimable(self, now: int, sample: int) -> Reclaimable:
        """What nothing refers to, as of ``now``, with the ``sample`` largest named."""

    def kept_blobs(self, after: BlobId, limit: int) -> Sequence[tuple[BlobRow, int]]:
        """LIVE and CONDEMNED blobs with ids above ``after``, in order, each with when its bytes were last verified.
        Small ones with their bodies."""

    def holders(self, blob: BlobId, limit: int) -> Sequence[tuple[RepositoryName, ImageName]]:
        """Images that were given the blob."""

    def stored(self, digests: Collection[Digest]) -> Collection[tuple[Digest, str]]:
        """Which (digest, generation) the rows name, of those digests."""

    def people(self, since: int) -> People:
        """Accounts and roles that were made over REST, by name, and what was revoked ``since`` then."""

    def access_tokens(self, account: str) -> Sequence[AccessTokenRow]:
        """Those of the account that are not revoked, the oldest first; expired ones too."""

    def uses(self, account: str) -> Sequence[Use]:
        """When secrets of the account were used, the latest first."""

    def events(self, wanted: EventFilter, before: int | None, limit: int) -> Sequence[EventRow]:
        """Rows of the record below ``before`` (None: all), newest first."""

    def events_after(self, wanted: EventFilter, after: int, limit: int) -> tuple[Sequence[EventRow], int]:
        """Rows above ``after``, oldest first, and up to which number was looked; ``after`` itself if all are known."""

    def record_head(self) -> RecordHead: ...
