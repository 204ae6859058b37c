"""Which records a terminal gets, decided before any is rendered: as many as people can read.

At first ten seconds' worth may come at once, so that a short command is seen in full. Then
`per_second` are shown, in the order in which they come. A probe that the others would crowd out
still gets a row a second.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

__all__ = ["Thinning"]

_SECONDS_AT_ONCE = 10
_SECOND = 1_000_000_000


class Thinning:
    """Chooses records to show. `per_second`: rows, 1 or more; `now_ns`: when it begins, by a clock
    that does not step. `shown` and `omitted` count all that it was asked about."""

    def __init__(self, per_second: int, now_ns: int) -> None:
        self._per_second = per_second
        self._most = per_second * _SECONDS_AT_ONCE
        self._left = float(self._most)
        self._at_ns = now_ns
        self._shown_at: dict[int, int] = {}
        self.shown = 0
        self._omitted: dict[int, int] = {}
        self._unreported: dict[int, int] = {}

    @property
    def omitted(self) -> int:
        """Records that were not shown."""
        return sum(self._omitted.values())

    def choose(
        self, kinds: npt.NDArray[np.uint16], now_ns: int, *, is_stuck: bool = False
    ) -> list[int]:
        """The indexes of the records to show, ascending. `kinds`: of each record in a batch, what
        it is a record of; `is_stuck`: the terminal takes nothing now."""
        self._refill(now_ns)
        chosen: list[int] = []
        left_out = np.bincount(kinds)
        if not is_stuck:
            first = min(len(kinds), int(self._left))
            self._left -= first
            chosen = [*range(first), *self._find_crowded_out(kinds, left_out, first, now_ns)]
            shown = kinds[chosen]
            self._shown_at.update(dict.fromkeys(set(shown.tolist()), now_ns))
            left_out -= np.bincount(shown, minlength=len(left_out))
        self.shown += len(chosen)
        self._count_omitted(left_out)
        return chosen

    def take_back(self, shown: int) -> None:
        """So many records that were chosen did not reach the terminal after all."""
        self.shown -= shown
        self._omitted[-1] = self._omitted.get(-1, 0) + shown

    def report(self) -> Mapping[int, int]:
        """By kind, the records that were omitted since the last report."""
        omitted, self._unreported = self._unreported, {}
        return omitted

    def _refill(self, now_ns: int) -> None:
        self._left = min(
            float(self._most), self._left + self._per_second * (now_ns - self._at_ns) / 1e9
        )
        self._at_ns = now_ns

    def _find_crowded_out(
        self,
        kinds: npt.NDArray[np.uint16],
        numbers: npt.NDArray[np.intp],
        first: int,
        now_ns: int,
    ) -> list[int]:
        """The first record of each kind that was not shown for a second, nor is it now. `numbers`:
        of the records of each kind."""
        shown_now = set(kinds[:first].tolist())
        due = [
            kind
            for kind in np.flatnonzero(numbers).tolist()
            if kind not in shown_now and now_ns - self._shown_at.get(kind, -_SECOND) >= _SECOND
        ]
        return sorted(int(np.argmax(kinds == kind)) for kind in due)

    def _count_omitted(self, numbers: npt.NDArray[np.intp]) -> None:
        for kind in np.flatnonzero(numbers).tolist():
            number = int(numbers[kind])
            self._omitted[kind] = self._omitted.get(kind, 0) + number
            self._unreported[kind] = self._unreported.get(kind, 0) + number
