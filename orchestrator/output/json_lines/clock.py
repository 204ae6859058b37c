"""Record times as RFC 3339 stamps and as nanoseconds since the epoch.

Both texts end in the same nine digits, which are computed once for a batch; the text before them
changes once a second and is part of the template.
"""

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from orchestrator.output.json_lines.digits import (
    DIGITS,
    ByteRows,
    Scratch,
    find_distinct,
    overlay_tokens,
)

__all__ = ["Clock", "StampColumn", "UnixNanoColumn"]

_SECOND = 1_000_000_000
_MODULUS = 1 << 64


def _format_date(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class Clock:
    """The times of one batch: CLOCK_MONOTONIC of the records plus `offset` (ns) is wall time."""

    def __init__(self, offset: int, scratch: Scratch) -> None:
        self.set_offset(offset)
        self._scratch = scratch
        rows = scratch.index.size
        self._wall = np.empty((2, rows), dtype=np.uint64)
        self._digits = np.empty((2, rows), dtype=np.uint32)
        self._first = np.empty(rows, dtype=np.uint8)
        self.second = 0
        self.others: list[tuple[int, npt.NDArray[np.intp]]] = []
        self._wall_n = self._wall[0]

    def set_offset(self, offset: int) -> None:
        """Use another offset from now on: the system's clock was set."""
        self._offset = np.uint64(offset % _MODULUS)

    def read(self, records: ByteRows) -> None:
        """Read the times of `records`: `second` becomes the first second of the batch, `others` the
        later ones, each with its rows."""
        n = len(records)
        wall, nano = self._wall[:, :n]
        np.copyto(nano, records[:, 0:8].view("<u8")[:, 0])
        np.add(nano, self._offset, out=wall)
        self._wall_n = wall
        self.second = int(wall.min()) // _SECOND
        np.subtract(wall, np.uint64(self.second * _SECOND), out=nano)
        self.others = self._split_later(nano) if int(nano.max()) >= _SECOND else []
        self._split_digits(nano)

    def write(self, area: ByteRows) -> None:
        """Write the nine digits of each row's nanoseconds into `area`."""
        n = len(area)
        area[:, 0] = self._first[:n]
        words = area[:, 1:].view(np.uint32)
        words[:, 0], words[:, 1] = self._digits[:, :n]

    def wall_times(self, rows: npt.NDArray[np.intp]) -> list[int]:
        """Wall time in ns of some rows of the batch."""
        return [int(wall) for wall in self._wall_n[rows]]

    def _split_later(self, nano: npt.NDArray[np.uint64]) -> list[tuple[int, npt.NDArray[np.intp]]]:
        later = nano // np.uint64(_SECOND)
        np.subtract(nano, later * np.uint64(_SECOND), out=nano)
        return [
            (self.second + int(step), np.flatnonzero(later == step))
            for step in find_distinct(later)
            if step
        ]

    def _split_digits(self, nano: npt.NDArray[np.uint64]) -> None:
        n = len(nano)
        rest, quotient, part, _ = self._scratch.narrow[:, :n]
        index = self._scratch.index[:n]
        np.copyto(rest, nano, casting="unsafe")
        for digits in self._digits[::-1, :n]:
            np.floor_divide(rest, 10_000, out=quotient)
            np.multiply(quotient, 10_000, out=part)
            np.subtract(rest, part, out=index, casting="unsafe")
            np.take(DIGITS, index, out=digits, mode="clip")
            rest, quotient = quotient, rest
        np.add(rest, ord("0"), out=self._first[:n], casting="unsafe")


class StampColumn:
    """`"2026-11-23T02:15:07.123456789Z"` with its quotes."""

    align, phase = 4, 2  # the last eight digits are two aligned words

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def fit(self, records: ByteRows) -> int:
        """The width in bytes; the clock has read `records` already."""
        return 32

    def template(self, width: int) -> bytes:
        """The text of the batch's first second, with zeros where `write` puts digits."""
        return f'"{_format_date(self._clock.second)}.000000000Z"'.encode()

    def write(self, area: ByteRows) -> None:
        """Write the digits, and the date of rows after the batch's first second."""
        self._clock.write(area[:, 21:30])
        for second, rows in self._clock.others:
            overlay_tokens(area[:, 1:20], rows, [_format_date(second).encode()])


class UnixNanoColumn:
    """Nanoseconds since 1970: seconds in ten columns, then nine digits."""

    align, phase = 4, 1

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def fit(self, records: ByteRows) -> int:
        """The width in bytes; the clock has read `records` already."""
        return 20 if max(self._list_seconds()) >= 10**10 else 19

    def template(self, width: int) -> bytes:
        """The batch's first second, with zeros where `write` puts digits."""
        return f"{self._clock.second:>{width - 9}}000000000".encode()

    def write(self, area: ByteRows) -> None:
        """Write the digits, and the second of rows after the batch's first."""
        width = area.shape[1]
        self._clock.write(area[:, width - 9 :])
        for second, rows in self._clock.others:
            overlay_tokens(area[:, : width - 9], rows, [f"{second:>{width - 9}}".encode()])
        if self._clock.second == 0:  # JSON allows no leading zeros
            self._write_first_second(area)

    def _write_first_second(self, area: ByteRows) -> None:
        width = area.shape[1]
        rows = np.arange(len(area))
        overlay_tokens(
            area, rows, [f"{wall:>{width}}".encode() for wall in self._clock.wall_times(rows)]
        )

    def _list_seconds(self) -> list[int]:
        return [self._clock.second, *(second for second, _ in self._clock.others)]
