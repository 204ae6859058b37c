"""Metrics that the kernel counts by hist triggers, and how their tables are read.

Source: Documentation/trace/histogram.rst. At most three keys and three values, of which we use
one; sizes from 2^7 to 2^17 entries (kernel/trace/tracing_map.h). Triggers ignore set_event_pid and
tracing_on, so a run's own threads are left out by the trigger's filter, and arming is `continue`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.backends.tracefs.design.filters import as_field
from orchestrator.backends.tracefs.design.layout import HistUse, Layout
from orchestrator.cells.cell import Cell
from orchestrator.compile.expressions.nodes import Node
from orchestrator.compile.program import KeyField, MetricSpec, MetricUse

if TYPE_CHECKING:
    from orchestrator.backends.tracefs.instance.trace_instance import Instance

__all__ = ["Table", "cells_of", "hist_use", "memory", "parse", "read_tables", "trigger"]

MOST_KEYS = 3
_LEAST_BITS, _MOST_BITS = 7, 17
_ENTRY_BYTES = 256  # of a tracing_map element with its key, key copy and sums, generously
_ROW = re.compile(r"^\{ (?P<keys>.*) \} hitcount: +(?P<hits>\d+)(?P<rest>.*)$")
_TOTAL = re.compile(r"^ +(Hits|Entries|Dropped): (\d+)$")
_INFO = re.compile(r"^# trigger info: (.*) \[\w+\]$")


def hist_use(
    spec: MetricSpec, use: MetricUse, source: int, names: Mapping[Node, str], condition: str | None
) -> HistUse | None:
    """How a hist trigger counts this metric, or None where it cannot. `names` are the event's own
    fields, `condition` the filter of what is to be counted."""
    if spec.kind not in ("count", "sum", "avg") or len(use.key) > MOST_KEYS or use.where:
        return None
    keys = [as_field(node, names) for node in use.key]
    value = None if use.value is None else as_field(use.value, names)
    known = [key for key in keys if key is not None]
    if len(known) != len(keys) or not known or (use.value is not None and value is None):
        return None
    bits = min(_MOST_BITS, max(_LEAST_BITS, (spec.keys - 1).bit_length()))
    return HistUse(
        metric=spec.index,
        source=source,
        keys=tuple(known),
        value=value,
        size=1 << bits,
        condition=condition,
    )


def memory(use: HistUse) -> int:
    """Bytes of the table; it is allocated in full, twice as many slots as entries."""
    return use.size * (_ENTRY_BYTES + 2 * 16)


def trigger(use: HistUse, own: Iterable[str], state: str = "") -> str:
    """The trigger's text; `own` are threads to leave out, `state` is pause or continue."""
    value = f":vals={use.value}" if use.value else ""
    parts = [f"({use.condition})"] if use.condition else []
    parts += [f"common_pid != {tid}" for tid in own]
    condition = f" if {' && '.join(parts)}" if parts else ""
    switch = f":{state}" if state else ""
    return f"hist:keys={','.join(use.keys)}{value}:size={use.size}{switch}{condition}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A histogram as read: `info` its trigger, rows of (text between the braces, hits, value);
    `dropped` events found no room."""

    info: str
    rows: tuple[tuple[str, int, int], ...]
    hits: int
    dropped: int


def parse(text: str) -> list[Table]:
    """All tables in an event's `hist` file."""
    tables: list[Table] = []
    for block in text.split("# event histogram\n")[1:]:
        lines = block.splitlines()
        info = next((m[1] for line in lines if (m := _INFO.match(line))), "")
        totals = {m[1]: int(m[2]) for line in lines if (m := _TOTAL.match(line))}
        rows = tuple(_row(match) for line in lines if (match := _ROW.match(line)))
        tables.append(
            Table(
                info=info,
                rows=rows,
                hits=totals.get("Hits", 0),
                dropped=totals.get("Dropped", 0),
            )
        )
    return tables


def _row(match: re.Match[str]) -> tuple[str, int, int]:
    value = re.search(r": +(\d+)\s*$", match["rest"])
    return match["keys"], int(match["hits"]), int(value[1]) if value else 0


def read_tables(layout: Layout, instance: "Instance") -> list[tuple[HistUse, Table]]:
    """Each trigger's table, as of now."""
    read: list[tuple[HistUse, Table]] = []
    for use in layout.hists:
        category, event = instance.names.event(layout.sources[use.source])
        table = table_of(use, parse(instance.event_file(category, event, "hist")))
        if table is not None:
            read.append((use, table))
    return read


def table_of(use: HistUse, tables: Sequence[Table]) -> Table | None:
    """The table of one use: the kernel tells each with its keys and values."""
    keys = f"hist:keys={','.join(use.keys)}:vals=hitcount"
    wanted = f"{keys},{use.value}:" if use.value else f"{keys}:"
    return next((table for table in tables if table.info.startswith(wanted)), None)


def cells_of(use: HistUse, spec: MetricSpec, table: Table) -> list[Cell]:
    """The metric's cells. What found no room is the cell `other`; its sum is not known, which the
    metric's `map_busy` tells."""
    found = [_cell(use, spec, row) for row in table.rows]
    cells = [cell for cell in found if cell is not None]
    if table.dropped and spec.kind == "count":
        cells.append(Cell(key=None, count=table.dropped))
    return cells


def _cell(use: HistUse, spec: MetricSpec, row: tuple[str, int, int]) -> Cell | None:
    text, hits, value = row
    pattern = ", ".join(rf"{re.escape(key)}: (.*)" for key in use.keys)
    match = re.fullmatch(pattern, text)
    if match is None:
        return None
    key = bytearray(spec.key_size)
    for part, told in zip(spec.key, match.groups(), strict=True):
        raw = _packed(part, told)
        key[part.offset : part.offset + len(raw)] = raw
    if spec.signed and value >> 63:
        value -= 1 << 64
    return Cell(key=bytes(key), count=hits, sum=value if use.value else 0)


def _packed(part: KeyField, told: str) -> bytes:
    """A key as printed: padded strings; numbers unsigned, in 64 bits."""
    if part.form == "string":
        return told.rstrip(" ").encode(errors="surrogateescape")[: part.size - 1]
    return (int(told) & (1 << 8 * part.size) - 1).to_bytes(part.size, "little")
