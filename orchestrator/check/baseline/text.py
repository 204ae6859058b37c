"""A baseline as text: JSON in a fixed order, one repeat a line, so that reviews show changes."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from orchestrator.check.baseline.model import (
    Baseline,
    BaselineEntry,
    EntryKey,
    RecordedMetric,
    RecordedProbe,
    RecordedRepeat,
)
from orchestrator.check.measurement import CellValue, Environment, MeasuredCell
from orchestrator.plan.document.quick_check import accepts_data
from orchestrator.plan.document.schema import BASELINE_SCHEMA, load_schema

__all__ = ["FORMAT", "NewerBaseline", "UnreadableBaseline", "cell_from_data", "data_of_cell"]
__all__ += ["parse_baseline", "show_baseline"]

FORMAT = "probeplan/baseline-v1"
_FORMAT = re.compile(r"probeplan/baseline-v([0-9]{1,6})")


class UnreadableBaseline(ValueError):
    """The text is no baseline; what it says instead is the exception's text."""


class NewerBaseline(ValueError):
    """The text is a baseline of a format that this program does not read."""


# ---------------------------------------------------------------- to text


def show_baseline(baseline: Baseline) -> str:
    """The text of a baseline; `parse_baseline` gives the same again."""
    data = {
        "format": FORMAT,
        "check": baseline.check,
        "entries": [
            _data_of_entry(entry) for entry in sorted(baseline.entries, key=lambda e: e.key)
        ],
    }
    return _lay_out(data, 0) + "\n"


def _data_of_entry(entry: BaselineEntry) -> dict[str, Any]:
    return {
        "arch": entry.key.arch,
        "series": entry.key.series,
        **({"machine": entry.key.machine} if entry.key.machine else {}),
        "recorded": entry.recorded,
        "environment": _data_of_environment(entry.environment),
        "probes": {name: asdict(probe) for name, probe in sorted(entry.probes.items())},
        "maxrss": [list(pair) for pair in entry.maxrss],
        **({"times": [list(one) for one in entry.times]} if entry.times else {}),
        "metrics": {
            name: {
                "digest": metric.digest,
                "repeats": [_data_of_repeat(repeat) for repeat in metric.repeats],
            }
            for name, metric in sorted(entry.metrics.items())
        },
    }


def _data_of_environment(environment: Environment) -> dict[str, Any]:
    """Without the machine, which is in the entry's key."""
    return {name: value for name, value in asdict(environment).items() if name != "machine"}


def _data_of_repeat(repeat: RecordedRepeat) -> dict[str, Any]:
    return {"ops": repeat.ops, "cells": [data_of_cell(cell) for cell in repeat.cells]}


def data_of_cell(cell: MeasuredCell) -> dict[str, Any]:
    """A cell as JSON has it, without the numbers that are 0, or that a metric of its kind does not
    have."""
    key = None if cell.key is None else {name: cell.key[name] for name in sorted(cell.key)}
    data: dict[str, Any] = {"key": key, "count": cell.count}
    data |= {"value": cell.value} if cell.value != cell.count else {}
    data |= {name: n for name in ("sum", "below", "above") if (n := getattr(cell, name))}
    data |= {name: n for name in ("min", "max") if (n := getattr(cell, name)) is not None}
    if cell.buckets:
        data["buckets"] = {str(index): cell.buckets[index] for index in sorted(cell.buckets)}
    if cell.names:
        data["names"] = {name: cell.names[name] for name in sorted(cell.names)}
    return data


def _lay_out(value: Any, depth: int) -> str:
    """JSON with a line for each key and each item of a list of mappings; what is within `repeats`
    is on one line each."""
    pad, close = "  " * (depth + 1), "  " * depth
    if isinstance(value, Mapping) and value and "cells" not in value:
        lines = [
            f"{pad}{json.dumps(key)}: {_lay_out(item, depth + 1)}" for key, item in value.items()
        ]
        return "{\n" + ",\n".join(lines) + f"\n{close}}}"
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return "[\n" + ",\n".join(pad + _lay_out(item, depth + 1) for item in value) + f"\n{close}]"
    return json.dumps(value)


# ---------------------------------------------------------------- from text


def parse_baseline(text: bytes) -> Baseline:
    """The baseline that a text is. Raises UnreadableBaseline or NewerBaseline."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableBaseline(f"it is not JSON: {error}") from None
    found = data.get("format") if isinstance(data, dict) else None
    version = _FORMAT.fullmatch(found) if isinstance(found, str) else None
    if version is None:
        raise UnreadableBaseline(f'it has no `"format": "{FORMAT}"`')
    if found != FORMAT:
        raise NewerBaseline(f"it has the format {found}; this program reads {FORMAT}")
    schema = load_schema(BASELINE_SCHEMA)
    if not accepts_data(data, schema, schema):
        raise UnreadableBaseline("it does not fit schema/baseline-v1.schema.json")
    entries = tuple(map(_entry_from, data["entries"]))
    if len({entry.key for entry in entries}) < len(entries):
        raise UnreadableBaseline("two entries are for the same architecture, kernel and machine")
    return Baseline(check=data["check"], entries=entries)


def _entry_from(data: Mapping[str, Any]) -> BaselineEntry:
    return BaselineEntry(
        key=EntryKey(arch=data["arch"], series=data["series"], machine=data.get("machine", "")),
        environment=Environment(**data["environment"], machine=data.get("machine", "")),
        recorded=data["recorded"],
        probes={
            name: RecordedProbe(
                mechanisms=tuple(probe["mechanisms"]),
                alternative=probe["alternative"],
                place=probe["place"],
            )
            for name, probe in data["probes"].items()
        },
        metrics={
            name: RecordedMetric(
                digest=metric["digest"], repeats=tuple(map(_repeat_from, metric["repeats"]))
            )
            for name, metric in data["metrics"].items()
        },
        maxrss=tuple(map(_memory_from, data["maxrss"])),
        times=tuple((ops, wall, user, sys) for ops, wall, user, sys in data.get("times", ())),
    )


def _memory_from(pair: Sequence[int | None]) -> tuple[int, int | None]:
    ops, size = pair
    if ops is None:
        raise UnreadableBaseline("a repeat has no number of operations")
    return ops, size


def _repeat_from(data: Mapping[str, Any]) -> RecordedRepeat:
    return RecordedRepeat(ops=data["ops"], cells=tuple(map(cell_from_data, data["cells"])))


def cell_from_data(data: Mapping[str, Any]) -> MeasuredCell:
    """The cell that `data_of_cell` wrote. `data` fits `cell` of the schema of baselines."""
    key = data["key"]
    return MeasuredCell(
        key=None if key is None else {name: _part_from(part) for name, part in key.items()},
        value=data.get("value", data["count"]),
        count=data["count"],
        sum=data.get("sum", 0),
        min=data.get("min"),
        max=data.get("max"),
        buckets={int(index): count for index, count in data.get("buckets", {}).items()},
        below=data.get("below", 0),
        above=data.get("above", 0),
        names=data.get("names", {}),
    )


def _part_from(part: Any) -> CellValue:
    if isinstance(part, Sequence) and not isinstance(part, str):
        return tuple(part)
    found: CellValue = part
    return found
