"""Text columns: each distinct value is rendered once, then copied in whole words.

A direct-mapped cache (one slot for each hash) maps a field's raw bytes to its rendered token, so
that a batch of known values takes a few vector operations and no Python code for each row. A
look-up always compares the whole key: a hash collision costs time and is never wrong.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from orchestrator.output.json_lines.digits import ByteRows, overlay_tokens

__all__ = ["TokenColumn"]

_SLOT_BITS = 12
_SLOTS = 1 << _SLOT_BITS
_WORD = 8
_GOLDEN = 0x9E3779B97F4A7C15  # odd and irrational-like: the multiplier of Fibonacci hashing
_MASK = (1 << 64) - 1
_MEMO_LIMIT = 1 << 14
_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)

KeyRows = npt.NDArray[np.uint64]


def _split_field(offset: int, size: int) -> list[tuple[slice, str]]:
    """A field's bytes as the fewest integers of 8, 4, 2 and 1 bytes."""
    pieces = []
    end = offset + size
    while offset < end:
        width = next(width for width in (8, 4, 2, 1) if width <= end - offset)
        pieces.append((slice(offset, offset + width), f"<u{width}"))
        offset += width
    return pieces


class TokenColumn:
    """One field rendered by `render` (raw bytes → JSON token) once per distinct value.

    `until_nul`: a string, which ends at its first NUL. The bytes after it in the buffer are
    garbage, and must not make one string look like many.
    """

    align, phase = _WORD, 0

    def __init__(
        self,
        offset: int,
        size: int,
        render: Callable[[bytes], bytes],
        rows: int,
        *,
        until_nul: bool = False,
    ) -> None:
        self._bytes = slice(offset, offset + size)
        self._render = render
        self._until_nul = until_nul
        self._memo: dict[bytes, bytes] = {}
        self._pieces = _split_field(offset, size)
        count = len(self._pieces)
        self._factors = [np.uint64(_GOLDEN * (2 * i + 1) & _MASK) for i in range(count)]
        self._slot_keys = np.zeros((count, _SLOTS), dtype=np.uint64)
        self._slot_words = np.zeros((1, _SLOTS), dtype=np.uint64)
        self._slot_lengths = np.zeros(_SLOTS, dtype=np.uint16)  # in words; 0: slot is empty
        self._keys = np.empty((count, rows), dtype=np.uint64)
        self._hash = np.empty((2, rows), dtype=np.uint64)
        self._alive = np.empty(rows if until_nul else 0, dtype=np.uint64)
        self._slots = np.empty(rows, dtype=np.intp)
        self._same = np.empty((2, rows), dtype=np.bool_)
        self._lengths = np.empty(rows, dtype=np.uint16)
        self._odd: tuple[npt.NDArray[np.intp], list[bytes]] | None = None

    def fit(self, records: ByteRows) -> int:
        """Look up this column's tokens; returns the width that they need, in bytes."""
        n = len(records)
        self._odd = None
        self._hash_keys(records)
        missing = self._find_missing(n)
        if missing.size:
            self._learn_tokens(records, missing)
            missing = self._find_missing(n)
        lengths = np.take(self._slot_lengths, self._slots[:n], out=self._lengths[:n], mode="clip")
        words = int(lengths.max())
        if missing.size:  # two values of this batch share a slot: the second is written by hand
            tokens = [self._find_token(key) for key in self._read_raw(records, missing)]
            self._odd = (missing, tokens)
            words = max(words, -(-max(map(len, tokens)) // _WORD))
        return words * _WORD

    def template(self, width: int) -> bytes:
        """The column's text before it is written: blanks."""
        return b" " * width

    def write(self, area: ByteRows) -> None:
        """Write the tokens of the last `fit` into `area`, the column's bytes of as many rows."""
        n = len(area)
        words, chunk, slots = area.view(np.uint64), self._hash[0, :n], self._slots[:n]
        for column in range(words.shape[1]):
            if column < len(self._slot_words):
                np.take(self._slot_words[column], slots, out=chunk, mode="clip")
                words[:, column] = chunk
        if self._odd is not None:
            overlay_tokens(area, *self._odd)

    def _hash_keys(self, records: ByteRows) -> None:
        n = len(records)
        total, product = self._hash[:, :n]
        self._read_keys(records)
        total.fill(0)
        for keys, factor in zip(self._keys, self._factors, strict=True):
            np.multiply(keys[:n], factor, out=product)
            np.add(total, product, out=total)
        np.right_shift(total, 32, out=product)  # fold, so that all of the key counts
        np.bitwise_xor(total, product, out=total)
        np.multiply(total, np.uint64(_GOLDEN), out=total)
        np.right_shift(total, 64 - _SLOT_BITS, out=total)
        np.copyto(self._slots[:n], total, casting="unsafe")

    def _read_keys(self, records: ByteRows) -> None:
        n = len(records)
        self._alive.fill(_MASK)
        for keys, (where, form) in zip(self._keys, self._pieces, strict=True):
            keys[:n] = records[:, where].view(form)[:, 0]
            if self._until_nul:
                self._zero_after_nul(keys[:n], where.stop - where.start)

    def _zero_after_nul(self, keys: KeyRows, width: int) -> None:
        """Zero the bytes after the string's first NUL, in this piece and all later ones.

        (w - 0x01…) & ~w & 0x80… marks the lowest zero byte of w, and above it perhaps others.
        """
        n = len(keys)
        keep, zero = self._hash[:, :n]
        alive = self._alive[:n]
        np.bitwise_or(keys, np.uint64(_MASK << 8 * width & _MASK), out=keep)
        np.subtract(keep, _ONES, out=zero)
        np.bitwise_not(keep, out=keep)
        np.bitwise_and(zero, keep, out=zero)
        np.bitwise_and(zero, _HIGHS, out=zero)
        np.negative(zero, out=keep)
        np.bitwise_and(keep, zero, out=keep)
        np.right_shift(keep, 7, out=keep)
        np.subtract(keep, 1, out=keep)
        np.bitwise_and(keys, keep, out=keys)
        np.bitwise_and(keys, alive, out=keys)
        np.multiply(alive, np.equal(zero, 0, out=self._same[0, :n]), out=alive)

    def _find_missing(self, n: int) -> npt.NDArray[np.intp]:
        known, same = self._same[:, :n]
        found, slots = self._hash[0, :n], self._slots[:n]
        lengths = np.take(self._slot_lengths, slots, out=self._lengths[:n], mode="clip")
        np.not_equal(lengths, 0, out=known)
        for keys, slot_keys in zip(self._keys, self._slot_keys, strict=True):
            np.take(slot_keys, slots, out=found, mode="clip")
            np.equal(keys[:n], found, out=same)
            np.logical_and(known, same, out=known)
        if known.all():
            return np.empty(0, dtype=np.intp)
        return np.flatnonzero(~known)

    def _learn_tokens(self, records: ByteRows, missing: npt.NDArray[np.intp]) -> None:
        slots, first = np.unique(self._slots[missing], return_index=True)
        rows = missing[first]
        tokens = [self._find_token(key) for key in self._read_raw(records, rows)]
        longest = -(-max(map(len, tokens)) // _WORD)
        self._widen_slots(max(longest, len(self._slot_words)))
        width = len(self._slot_words) * _WORD
        padded = b"".join(token.ljust(width) for token in tokens)
        self._slot_words[:, slots] = np.frombuffer(padded, np.uint64).reshape(len(tokens), -1).T
        self._slot_lengths[slots] = [-(-len(token) // _WORD) for token in tokens]
        self._slot_keys[:, slots] = self._keys[:, rows]

    def _widen_slots(self, words: int) -> None:
        more = words - len(self._slot_words)
        if more > 0:
            blank = np.full((more, _SLOTS), int.from_bytes(b" " * _WORD, "little"), np.uint64)
            self._slot_words = np.concatenate([self._slot_words, blank])

    def _read_raw(self, records: ByteRows, rows: npt.NDArray[np.intp]) -> list[bytes]:
        return [row.tobytes() for row in records[rows, self._bytes]]

    def _find_token(self, raw: bytes) -> bytes:
        key = raw.partition(b"\0")[0] if self._until_nul else raw
        token = self._memo.get(key)
        if token is None:
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            token = self._memo[key] = self._render(key)
        return token
