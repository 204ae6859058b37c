"""What explains a failure, as a record of the log and as rows for people. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.check.explanation.model import Explanation, GrownCell
from orchestrator.check.model import Check
from orchestrator.check.report.numbers import number_from
from orchestrator.check.verdict.wording import show_number
from orchestrator.plan.expression.names import find_stack

__all__ = ["CELL_HEADINGS", "explained_fields", "list_cell_rows", "list_record_lines"]

CELL_HEADINGS = ("cell", "now", "before", "growth")
_SHOWN_FRAMES = 8
_SHOWN_TEXT = 200  # characters of a value


def explained_fields(check: Check, explanation: Explanation) -> dict[str, Any]:
    """The fields of check.explained."""
    growth, kept = explanation.growth, explanation.records
    return {
        "check": check.name,
        "expectation": explanation.expectation.name,
        "compared_with": growth.compared_with,
        "cells": [_cell_fields(cell) for cell in growth.cells],
        "cells_omitted": growth.omitted,
        "records": [dict(record) for record in kept.records],
        "records_seen": kept.seen,
        "no_records_because": kept.unavailable_because or None,
    }


def _cell_fields(cell: GrownCell) -> dict[str, Any]:
    return {
        "metric": cell.metric,
        "key": {
            name: list(part) if isinstance(part, tuple) else part for name, part in cell.key.items()
        },
        "names": dict(cell.names),
        "value": number_from(cell.value),
        "before": None if cell.before is None else number_from(cell.before),
        "growth": None if cell.growth is None else number_from(cell.growth),
    }


# ---------------------------------------------------------------- for people


def list_cell_rows(explanation: Explanation) -> Iterator[tuple[str, ...]]:
    """The texts of each cell, in the order of CELL_HEADINGS."""
    for cell in explanation.growth.cells:
        growth = "" if cell.growth is None else show_number(cell.growth)
        yield (
            _name_cell(cell),
            show_number(cell.value),
            "" if cell.before is None else show_number(cell.before),
            growth if growth.startswith("-") or not growth else f"+{growth}",
        )


def _name_cell(cell: GrownCell) -> str:
    parts = [f"{name} {_show(cell.names.get(name, part))}" for name, part in cell.key.items()]
    return f"{cell.metric} ({', '.join(parts)})" if parts else cell.metric


def list_record_lines(explanation: Explanation) -> Iterator[str]:
    """The records, a line each; those of one stack together, with its frames on lines below."""
    kept = explanation.records
    if kept.unavailable_because:
        yield f"no records: {kept.unavailable_because}"
        return
    if not kept.records:
        yield "one more repeat had no such event"
        return
    yield f"{len(kept.records)} of {kept.seen:,} such events of one more repeat:"
    by_stack: dict[tuple[str, ...], Counter[str]] = {}
    for record in kept.records:
        texts = by_stack.setdefault(tuple(_list_frames(record)), Counter())
        texts[_describe_values(record)] += 1
    for frames, texts in by_stack.items():
        for text, times in texts.items():
            yield f"  {text}" if times == 1 else f"  {times} times {text}"
        yield from frames


def _list_frames(record: Mapping[str, Any]) -> Iterator[str]:
    """The frames of its stacks."""
    for name, part in record["data"].items():
        if _is_stack(name, part):
            yield from (f"    {frame}" for frame in part[:_SHOWN_FRAMES])
            if len(part) > _SHOWN_FRAMES:
                yield f"    … and {len(part) - _SHOWN_FRAMES} more"


def _is_stack(name: str, part: Any) -> bool:
    return isinstance(part, list) and bool(find_stack(name))


def _describe_values(record: Mapping[str, Any]) -> str:
    task = f" {record['comm']} (pid {record['pid']})" if "comm" in record else ""
    values = (
        f"{name}={_show(part)}"
        for name, part in record["data"].items()
        if not _is_stack(name, part)
    )
    return f"{record['probe']}{task}: {' '.join(values)}".rstrip(": ")


def _show(part: Any) -> str:
    if isinstance(part, tuple | list):
        return " < ".join(map(str, part[:_SHOWN_FRAMES])) or "none"
    text = str(part).lower() if isinstance(part, bool) else "unknown" if part is None else str(part)
    return text if len(text) <= _SHOWN_TEXT else f"{text[:_SHOWN_TEXT]}…"
