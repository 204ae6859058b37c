"""Text in columns of a terminal: measured in cells, padded, and cut where it shows."""

import re
from collections.abc import Iterable, Iterator
from itertools import takewhile

__all__ = ["cut_end", "cut_start", "measure_cells", "pad_text"]

#: One character, or one escape of `make_printable` or `text_from_kernel`, which must stay whole.
_PIECE = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[\\'abfnrtv0-7])|.", re.DOTALL)
#: A cell shows a few characters at most: what is longer is cut before it is measured.
_MOST_CHARACTERS = 8


def measure_cells(text: str) -> int:
    """The columns that a printable text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # with rich in memory, structlog would import all of it

    return cell_len(text)


def pad_text(text: str, width: int, *, right: bool = False) -> str:
    """`text` filled up with blanks to `width` columns; `right`: aligned to the right."""
    blanks = " " * (width - measure_cells(text))
    return blanks + text if right else text + blanks


def cut_end(text: str, width: int, mark: str = "…") -> str:
    """`text` in at most `width` columns: its beginning and `mark`, if it is longer. No escape is
    cut in its middle."""
    if measure_cells(text) <= width:
        return text
    if width <= len(mark):
        return mark[:width]
    pieces = _PIECE.findall(text[: width * _MOST_CHARACTERS])
    return "".join(_fitting(pieces, width - len(mark))) + mark


def cut_start(text: str, width: int, mark: str = "…") -> str:
    """`text` in at most `width` columns: `mark` and its end, if it is longer."""
    if measure_cells(text) <= width:
        return text
    if width <= len(mark):
        return mark[:width]
    pieces = _PIECE.findall(text)  # from the start, or an escape could not be recognised
    kept = list(_fitting(reversed(pieces), width - len(mark)))[::-1]
    while kept and not measure_cells(kept[0]):  # what combines with a character that is cut off
        del kept[0]
    return mark + "".join(kept)


def _fitting(pieces: Iterable[str], width: int) -> Iterator[str]:
    used = 0

    def fits(piece: str) -> bool:
        nonlocal used
        used += measure_cells(piece)
        return used <= width

    return takewhile(fits, pieces)
