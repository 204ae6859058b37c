"""Sums that leave 64 bits: how the kernel keeps them, and how they are shown.

A BPF program adds 64-bit words, which wrap. So it keeps two words of a sum: `low` is the sum modulo
2^64, and `high` is the sum of the values' upper 32 bits. Together they give the whole sum: what
`high` leaves out is at most 2^32 a value. JSON readers expect numbers of 64 bits, so a sum beyond
those is shown as the nearest of them and marked.
"""

__all__ = ["fits_into_word", "restore_sum", "saturate"]

_WORD = 1 << 64
_SMALLEST, _LARGEST = -(1 << 63), _WORD - 1
_UPPER_SHIFT = 32


def restore_sum(low: int, high: int, count: int, *, signed: bool) -> int:
    """The sum of `count` values (weighted), of 64 bits each and `signed` or not, from the words
    kept of it; both modulo 2^64. Exact for fewer than 2^32 values, and for more unless their lower
    halves alone add up to 2^64."""
    high %= _WORD
    if signed and high >= _WORD >> 1:
        high -= _WORD
    upper = high << _UPPER_SHIFT
    rest = (low - upper) % _WORD
    if rest >= _WORD >> 1 and count << _UPPER_SHIFT < _WORD >> 2:
        rest -= _WORD  # `high` was read a moment later than `low`
    return upper + rest


def fits_into_word(value: int) -> bool:
    """Whether 64 bits hold the value, signed or not."""
    return _SMALLEST <= value <= _LARGEST


def saturate(value: int) -> int:
    """The value, or the nearest one that 64 bits hold."""
    return min(max(value, _SMALLEST), _LARGEST)
