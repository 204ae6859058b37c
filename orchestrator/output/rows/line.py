"""A line for the terminal."""

from typing import NamedTuple

__all__ = ["Line"]


class Line(NamedTuple):
    """Its text, without the end of the line, and whether it is the row of a record."""

    text: str
    is_row: bool = False
