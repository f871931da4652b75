"""Upload sessions that have no row yet: begun in this process, the only one there is, and nothing was sent to them.

Most uploads are one POST and one PUT. A session that ends with its first small body gets its row, ended, in the commit
that lands the blob; any other gets it before its bytes get a file. The death of the process loses what stands only
here, and a client then begins anew, as it has to for any session that is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pierhead.ports.metadata.values import UploadRow


class Sessions:
    """With several workers none is kept here: any of them goes on with any session."""

    def __init__(self, *, alone: bool) -> None:
        self.alone = alone
        self._rows: dict[str, UploadRow] = {}
        self._by_account: Counter[str] = Counter()

    def begin(self, row: UploadRow) -> None:
        """Takes ``row``."""
        self._rows[row.id] = row
        self._by_account[row.account] += 1

    def forget(self, before: int) -> int:
        """Those that were begun before, in microseconds since 1970, are no more. Returns how many that were."""
        forgotten = 0
        while self._rows and (old := next(iter(self._rows.values()))).created < before:
            self.take(old.id)
            forgotten += 1
        return forgotten

    def __len__(self) -> int:
        """Of all accounts."""
        return len(self._rows)

    def find(self, upload: str) -> UploadRow | None:
        """None for a session that has a row, or is unknown."""
        return self._rows.get(upload)

    def count(self, account: str) -> int:
        """Of one account."""
        return self._by_account[account]

    def take(self, upload: str) -> UploadRow | None:
        """As ``find``; from now on it is not here."""
        row = self._rows.pop(upload, None)
        if row is not None:
            self._by_account[row.account] -= 1
            if not self._by_account[row.account]:
                del self._by_account[row.account]
        return row

    def take_all(self) -> Sequence[UploadRow]:
        """For the end of the process, so that a restart in order loses none."""
        return [row for row in map(self.take, list(self._rows)) if row is not None]
