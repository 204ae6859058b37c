"""A cell's key as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.output.terminal.human_units import is_address

__all__ = ["OTHER", "describe_cell", "describe_stack", "key_column"]

OTHER = "(other)"
UNKNOWN_VALUE = "(unknown)"
_SHOWN_FRAMES = 3
_WORD = 8  # a result has no sizes of keys: no narrower one is as large as an address


def describe_cell(cell: Mapping[str, Any]) -> str:
    """Its key in one line; "" without a key."""
    if cell["other"]:
        return OTHER
    return " ".join(str(key_column(value)) for value in cell["key"].values())


def key_column(value: Any) -> str | int | float:
    """A value of a key: numbers as they are, so that they can be sorted, but addresses of the
    kernel, which are in hexadecimal; of a stack, the innermost frames."""
    if value is None:
        return UNKNOWN_VALUE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and is_address(value, _WORD, ""):
        return f"{value:#x}"
    if isinstance(value, int | float):
        return value
    if isinstance(value, list):
        return describe_stack(value)
    return str(value)


def describe_stack(frames: Sequence[Any]) -> str:
    """The innermost frames, and how many more there are."""
    shown = " ← ".join(map(str, frames[:_SHOWN_FRAMES])) or "(empty stack)"
    more = len(frames) - _SHOWN_FRAMES
    return f"{shown} ← {more} more" if more > 0 else shown
