"""Colours of rows, as the codes of a terminal. Each has a meaning, and the text has it too."""

import os
from collections.abc import Mapping
from typing import Literal

__all__ = ["Painter", "Style", "wants_colours"]

#: heading; time: what is there in each row; unknown: no value; failure: an error number or a
#: negative result; notice: what people should know; omission: rows that are missing; probe0…:
#: which probe a row is of.
Style = Literal[
    "", "heading", "time", "unknown", "failure", "notice", "omission", "probe0", "probe1", "probe2",
    "probe3",
]  # fmt: skip
_CODES: Mapping[Style, str] = {
    "heading": "1",
    "time": "2",
    "unknown": "2",
    "failure": "31",
    "notice": "1;33",
    "omission": "33",
    "probe0": "36",
    "probe1": "35",
    "probe2": "32",
    "probe3": "34",
}


def wants_colours() -> bool:
    """Whether the user wants colours on a terminal: https://no-color.org, and TERM."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in (None, "", "dumb")


class Painter:
    """Paints text, or leaves it as it is where no colours are wanted."""

    def __init__(self, *, colours: bool) -> None:
        self.colours = colours

    def paint(self, text: str, style: Style) -> str:
        """`text` in the style. It has to be printable: codes within it would be obeyed."""
        code = _CODES.get(style) if self.colours else None
        return text if code is None or not text else f"\x1b[{code}m{text}\x1b[0m"
