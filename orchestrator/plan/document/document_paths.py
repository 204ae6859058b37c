"""Paths into a document, and the positions of their keys and values."""

from typing import Any

from orchestrator.plan.findings import Position
from orchestrator.values import dataclass

#: The values of a document; null is refused while reading.
Data = dict[str, Any] | list[Any] | str | int | bool
#: The keys and indexes that lead to a value.
DocumentPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPosition:
    """The positions of a key and its value; `key` equals `value` for items of a list."""

    key: Position
    value: Position
