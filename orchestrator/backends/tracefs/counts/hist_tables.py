"""The tables of hist triggers, as text of an event's `hist` file, and the cells that they hold.

Source: Documentation/trace/histogram.rst; hist_show in kernel/trace/trace_events_hist.c.
"""

import re
from collections.abc import Iterable, Sequence

from orchestrator.backends.tracefs.design.layout import EventLayout, HistUse
from orchestrator.backends.tracefs.instance.trace_instance import TraceInstance
from orchestrator.cells.cell import Cell
from orchestrator.compile.program import KeyField, MetricSpec
from orchestrator.values import dataclass

__all__ = [
    "HistTable",
    "cells_of_table",
    "count_events_apart",
    "parse_hist_file",
    "read_hist_tables",
]

_ROW = re.compile(r"^\{ (?P<keys>.*) \} hitcount: +(?P<hits>\d+)(?P<rest>.*)$")
_TOTAL = re.compile(r"^ +(Hits|Entries|Dropped): (\d+)$")
_INFO = re.compile(r"^# trigger info: (.*) \[\w+\]$")


@dataclass(frozen=True, slots=True, kw_only=True)
class HistTable:
    """A histogram as read: `info` its trigger, rows of (text between the braces, hits, value);
    `dropped` events did not fit."""

    info: str
    rows: tuple[tuple[str, int, int], ...]
    hits: int
    dropped: int


MetricTables = Sequence[tuple[HistUse, HistTable]]


def parse_hist_file(text: str) -> list[HistTable]:
    """All tables in an event's `hist` file."""
    tables: list[HistTable] = []
    for block in text.split("# event histogram\n")[1:]:
        lines = block.splitlines()
        info = next((m[1] for line in lines if (m := _INFO.match(line))), "")
        totals = {m[1]: int(m[2]) for line in lines if (m := _TOTAL.match(line))}
        rows = tuple(_parse_row(match) for line in lines if (match := _ROW.match(line)))
        tables.append(
            HistTable(
                info=info,
                rows=rows,
                hits=totals.get("Hits", 0),
                dropped=totals.get("Dropped", 0),
            )
        )
    return tables


def _parse_row(match: re.Match[str]) -> tuple[str, int, int]:
    value = re.search(r": +(\d+)\s*$", match["rest"])
    return match["keys"], int(match["hits"]), int(value[1]) if value else 0


def read_hist_tables(
    layout: EventLayout, instance: TraceInstance
) -> list[tuple[HistUse, HistTable]]:
    """Each trigger's table at this moment; raises OSError where one cannot be read."""
    texts: dict[int, str] = {}  # all are read before any is parsed, to be of about one moment
    for source in dict.fromkeys(use.source for use in layout.hists):
        category, event = instance.names.event_of(layout.sources[source])
        texts[source] = instance.read_event_file(category, event, "hist")
    parsed = {source: parse_hist_file(text) for source, text in texts.items()}
    tables = [(use, _table_of(use, parsed[use.source])) for use in layout.hists]
    return [(use, table) for use, table in tables if table is not None]


def count_events_apart(before: MetricTables, after: MetricTables, metrics: Iterable[int]) -> int:
    """The most events that the table of one of these metrics counted between two readings. If it
    is 0, the tables in `after` are of one moment."""
    hits_before = {use.metric: table.hits for use, table in before}
    hits_after = {use.metric: table.hits for use, table in after}
    return max(hits_after.get(metric, 0) - hits_before.get(metric, 0) for metric in metrics)


def _table_of(use: HistUse, tables: Sequence[HistTable]) -> HistTable | None:
    """The table of one use, recognised by the keys and values in its trigger's text."""
    keys = f"hist:keys={','.join(use.keys)}:vals=hitcount"
    wanted = f"{keys},{use.value}:" if use.value else f"{keys}:"
    return next((table for table in tables if table.info.startswith(wanted)), None)


def cells_of_table(use: HistUse, spec: MetricSpec, table: HistTable) -> list[Cell]:
    """The metric's cells. Events that did not fit are the cell `other` of a count. A sum has no
    such cell, since their values are unknown; MetricCounts.map_busy counts them instead."""
    parsed = [_cell_of_row(use, spec, row) for row in table.rows]
    cells = [cell for cell in parsed if cell is not None]
    if table.dropped and spec.kind == "count":
        cells.append(Cell(key=None, count=table.dropped))
    return cells


def _cell_of_row(use: HistUse, spec: MetricSpec, row: tuple[str, int, int]) -> Cell | None:
    text, hits, value = row
    pattern = ", ".join(rf"{re.escape(key)}: (.*)" for key in use.keys)
    match = re.fullmatch(pattern, text)
    if match is None:
        return None
    key = bytearray(spec.key_size)
    for part, printed in zip(spec.key, match.groups(), strict=True):
        raw = _pack_key(part, printed)
        key[part.offset : part.offset + len(raw)] = raw
    if spec.signed and value >> 63:
        value -= 1 << 64
    return Cell(key=bytes(key), count=hits, sum=value if use.value else 0)


def _pack_key(part: KeyField, printed: str) -> bytes:
    """A key as printed: padded strings; numbers unsigned, in 64 bits."""
    if part.form == "string":
        return printed.rstrip(" ").encode(errors="surrogateescape")[: part.size - 1]
    return (int(printed) & (1 << 8 * part.size) - 1).to_bytes(part.size, "little")
