"""Numbers as fixed-width decimal columns: split by ten thousands, four digits per table look-up.

JSON allows white space before a number. So a column is as wide as its largest number, and the
others are padded on the left: fixed width makes rendering fast. A sign is right before the first
digit.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["DIGITS", "NumberColumn", "Scratch", "find_distinct", "overlay_tokens"]

ByteRows = npt.NDArray[np.uint8]
WordRows = npt.NDArray[np.uint32]

_Number = TypeVar("_Number", bound=np.integer[Any])

_TEN_THOUSAND = 10_000


def _make_chunks() -> WordRows:
    """Four characters for each of 0..9999, as one word."""
    values = np.arange(_TEN_THOUSAND, dtype=np.uint16)[:, None]
    powers = np.array([1000, 100, 10, 1], dtype=np.uint16)
    zeros = (values // powers % 10 + ord("0")).astype(np.uint8)
    empty = np.where(values < powers, np.uint8(ord(" ")), zeros)
    blanks = empty.copy()
    blanks[0, -1] = ord("0")
    return np.concatenate([chunks.view(np.uint32)[:, 0] for chunks in (zeros, blanks, empty)])


#: Zero-padded; then blank-padded with "   0"; then blank-padded with nothing for zero.
DIGITS: WordRows = _make_chunks()
_LAST, _LEADING = _TEN_THOUSAND, 2 * _TEN_THOUSAND
_POWERS = np.array([10**exponent for exponent in range(20)], dtype=np.uint64)


class Scratch:
    """Buffers for `rows` rows, shared by all columns, so that rendering allocates nothing."""

    __slots__ = ("chunk", "flags", "index", "narrow", "wide")

    def __init__(self, rows: int) -> None:
        self.narrow = np.empty((4, rows), dtype=np.uint32)
        self.wide = np.empty((3, rows), dtype=np.uint64)
        self.index = np.empty(rows, dtype=np.intp)
        self.flags = np.empty(rows, dtype=np.bool_)
        self.chunk = np.empty(rows, dtype=np.uint32)


def find_distinct(values: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """The distinct numbers, sorted. np.unique imports numpy.ma when it is first called: 5 ms before
    the first record."""
    found = np.sort(values, axis=None)
    is_new = np.ones(len(found), dtype=np.bool_)
    np.not_equal(found[1:], found[:-1], out=is_new[1:])
    return found[is_new]


def overlay_tokens(area: ByteRows, rows: npt.NDArray[np.intp], tokens: Sequence[bytes]) -> None:
    """Write `tokens` (one for all `rows`, or one for each), padded with blanks, over a column."""
    width = area.shape[1]
    padded = b"".join(token.ljust(width) for token in tokens)
    area[rows] = np.frombuffer(padded, dtype=np.uint8).reshape(len(tokens), width)


class NumberColumn:
    """One integer of each record: `offset` in the record, `form` as in RecordField."""

    align, phase = 4, 0

    def __init__(self, offset: int, form: str, scratch: Scratch) -> None:
        size = int(form[1:]) // 8
        self._bytes = slice(offset, offset + size)
        self._signed = form[0] == "s"
        self._source = np.dtype(f"<{'i' if self._signed else 'u'}{size}")
        rows = scratch.index.size
        self._values: npt.NDArray[np.unsignedinteger] = np.empty(
            rows, dtype=np.uint64 if size == 8 else np.uint32
        )
        self._negative: npt.NDArray[np.intp] | None = None
        self._scratch = scratch
        self._narrow = size < 8

    def fit(self, records: ByteRows) -> int:
        """Read this column's values from `records`; returns the width that they need, in bytes."""
        source = records[:, self._bytes].view(self._source)[:, 0]
        values = self._values[: len(source)]
        self._negative = None
        if self._signed and source.min() < 0:
            return self._fit_signed(source, values)
        np.copyto(values, source, casting="unsafe")
        return self._choose_width(int(values.max()), 0)

    def _fit_signed(
        self, source: npt.NDArray[np.signedinteger], values: npt.NDArray[np.unsignedinteger]
    ) -> int:
        self._negative = np.flatnonzero(source < 0)
        np.copyto(values, source, casting="unsafe")
        np.negative(values, out=values, where=source < 0)  # modulo 2**n: the magnitude of any sign
        return self._choose_width(int(values.max()), 1)

    def _choose_width(self, largest: int, sign: int) -> int:
        self._narrow = largest < 1 << 32
        return -(-(len(str(largest)) + sign) // 4) * 4

    def template(self, width: int) -> bytes:
        """The column's text before it is written: blanks."""
        return b" " * width

    def write(self, area: ByteRows) -> None:
        """Write the values of the last `fit` into `area`, the column's bytes of as many rows."""
        n, width = area.shape
        values = self._values[:n]
        if self._narrow and values.dtype == np.uint64:
            narrow = self._scratch.narrow[3, :n]
            np.copyto(narrow, values, casting="unsafe")
            self._write_chunks(narrow, area.view(np.uint32))
        else:
            self._write_chunks(values, area.view(np.uint32))
        if self._negative is not None:
            digits = np.searchsorted(_POWERS, values[self._negative], side="right")
            area[self._negative, width - 1 - np.maximum(digits, 1)] = ord("-")

    def _write_chunks(self, rest: npt.NDArray[np.unsignedinteger], area: WordRows) -> None:
        n, chunks = area.shape
        scratch = self._scratch
        quotient, spare, part = (scratch.narrow if rest.itemsize == 4 else scratch.wide)[:3, :n]
        index, flags, chunk = scratch.index[:n], scratch.flags[:n], scratch.chunk[:n]
        base = _LAST
        for column in range(chunks - 1, 0, -1):
            np.floor_divide(rest, _TEN_THOUSAND, out=quotient)
            np.multiply(quotient, _TEN_THOUSAND, out=part)
            np.subtract(rest, part, out=index, casting="unsafe")
            np.equal(quotient, 0, out=flags)
            np.add(index, base, out=index, where=flags)
            np.take(DIGITS, index, out=chunk, mode="clip")
            area[:, column] = chunk
            rest, quotient, spare, base = quotient, spare, quotient, _LEADING
        np.add(rest, base, out=index, casting="unsafe")
        np.take(DIGITS, index, out=chunk, mode="clip")
        area[:, 0] = chunk
