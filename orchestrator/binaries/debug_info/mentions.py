"""Which units may name something, found without reading their entries: a program has thousands of
units, and a name is in few of them."""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import Any, Literal

__all__ = ["Mentions"]

_MOST_PLACES, _MOST_HITS = 64, 100_000


class Mentions:
    """Where a name is written: in the entries themselves (DW_FORM_string), or in the table of
    strings, by its offset there (DW_FORM_strp), which linkers let point into a longer string."""

    def __init__(self, dwarf: Any, name: str) -> None:
        text = name.encode() + b"\0"
        entries = dwarf.debug_info_sec.stream.getvalue()
        strings = dwarf.debug_str_sec.stream.getvalue() if dwarf.debug_str_sec else b""
        order: Literal["little", "big"] = "little" if dwarf.config.little_endian else "big"
        places = [*islice(_find_all(strings, text), _MOST_PLACES + 1)]
        spelled = [text, *(place.to_bytes(4, order) for place in places)]
        hits = [
            *islice((hit for one in spelled for hit in _find_all(entries, one)), _MOST_HITS + 1)
        ]
        self._hits = sorted(hits)
        self._is_whole = len(places) <= _MOST_PLACES and len(hits) <= _MOST_HITS

    def may_be_in(self, unit: Any) -> bool:
        """Whether the unit may have an entry of the name."""
        if not self._is_whole or self._has_indices(unit):
            return True
        after = bisect_right(self._hits, unit.cu_offset)
        return after < len(self._hits) and self._hits[after] < unit.cu_offset + unit.size

    def _has_indices(self, unit: Any) -> bool:
        """Whether it numbers its strings (DW_FORM_strx), so that their offsets are elsewhere."""
        return unit.header.version >= 5 and (
            "DW_AT_str_offsets_base" in unit.get_top_DIE().attributes
        )


def _find_all(content: bytes, text: bytes) -> Iterator[int]:
    at = content.find(text)
    while at >= 0:
        yield at
        at = content.find(text, at + 1)
