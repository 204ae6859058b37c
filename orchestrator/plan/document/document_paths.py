"""Paths into a document, and where their keys and values stand."""

from dataclasses import dataclass
from typing import Any

from orchestrator.plan.findings import Position

#: What a document is made of; null never gets in.
Data = dict[str, Any] | list[Any] | str | int | bool
#: The keys and indexes that lead to a value.
DocumentPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPosition:
    """Where a key and its value stand; `key` equals `value` for items of a list."""

    key: Position
    value: Position
