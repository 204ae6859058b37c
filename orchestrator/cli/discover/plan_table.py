"""The catalog as a table for people: questions first, as wide as the terminal."""

import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.catalog.areas import AREAS, SITE
from orchestrator.catalog.entry import CatalogEntry
from orchestrator.plan.printable import make_printable, make_printable_lines

if TYPE_CHECKING:
    from orchestrator.run.suitability import Suitability

__all__ = ["print_plan_table"]

_MEDIUM, _WIDE = 70, 120  # columns from which other tools, and the cost, are shown
_DETAILED = 4  # as many plans are shown with all that is known of them
_VERDICT, _NARROWEST, _GAP = 40, 8, 2  # columns: at most, at least, and between columns
_TEXTS = ("question", "cost", "same as")  # what is wrapped
_UNSHIPPED = {SITE: "This site", "": "Other folders"}

Verdicts = Mapping[str, "Suitability"]


def print_plan_table(entries: Sequence[CatalogEntry], verdicts: Verdicts, *, ranked: bool) -> None:
    """Print the plans on standard output: the closest first where they are `ranked`, otherwise by
    area. `verdicts`: by a plan's name, whether this host can run it; of none, or of all. Where no
    terminal reads it, a plan is one line with all columns."""
    columns = _measure_columns()
    for title, group in _group_entries(entries, ranked=ranked):
        rows = [_make_row(entry, verdicts, columns, titled=bool(title)) for entry in group]
        if title:
            print(title)
        if columns is None:
            _print_lines(rows)
        else:
            _print_wrapped(rows, columns, {e.name for e in group if _is_refused(e, verdicts)})
        if title:
            print()
    if ranked and len(entries) <= _DETAILED:
        for line in (line for entry in entries for line in _list_details(entry)):
            print(line)


def _measure_columns() -> int | None:
    """The columns of the terminal; None where there is none."""
    if not sys.stdout.isatty():
        return None
    from orchestrator.output.terminal.progress import measure_terminal

    return measure_terminal(sys.stdout)[0]


def _group_entries(
    entries: Sequence[CatalogEntry], *, ranked: bool
) -> list[tuple[str, list[CatalogEntry]]]:
    """The tables to print, each with its title; one without where they are `ranked`."""
    if ranked:
        return [("", list(entries))]
    areas: dict[str, list[CatalogEntry]] = {}
    for entry in entries:
        areas.setdefault(entry.area, []).append(entry)
    return [(_name_area(area), group) for area, group in areas.items()]


def _name_area(area: str) -> str:
    return _UNSHIPPED.get(area) or f"{AREAS[area]} ({area})"


def _make_row(
    entry: CatalogEntry, verdicts: Verdicts, columns: int | None, *, titled: bool
) -> dict[str, str]:
    """The cells of a plan by heading, as many as there are columns for; none can command a
    terminal."""
    row = {"question": entry.question, "plan": entry.name}
    row |= {} if titled else {"area": entry.area or "-"}
    if columns is None or columns >= _MEDIUM:
        row["same as"] = ", ".join(entry.equivalents)
    if entry.name in verdicts:
        row["here"] = _describe_verdict(verdicts[entry.name])
    if columns is None or columns >= _WIDE:
        row["cost"] = entry.cost
    return {name: make_printable(cell) for name, cell in row.items()}


def _describe_verdict(verdict: "Suitability") -> str:
    return f"yes, by {verdict.backend}" if verdict.can_run else f"no: {verdict.reason}"


def _is_refused(entry: CatalogEntry, verdicts: Verdicts) -> bool:
    return entry.name in verdicts and not verdicts[entry.name].can_run


def _print_lines(rows: Sequence[Mapping[str, str]]) -> None:
    """A line for each plan, aligned, however long."""
    lines = [tuple(rows[0]), *(tuple(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print(make_printable_lines("  ".join(cells).rstrip()))


def _print_wrapped(
    rows: Sequence[Mapping[str, str]], columns: int, refused: Container[str]
) -> None:
    """A table that is as wide as the terminal; what this host cannot run is marked."""
    from rich.console import Console  # 23 ms, for a terminal only

    from orchestrator.output.terminal.tables import WARNING, make_table

    console = Console(file=sys.stdout, width=columns, highlight=False, markup=False, emoji=False)
    table = make_table(list(rows[0]), [])
    widths = _share_columns(rows, columns)
    for column in table.columns:
        column.width = widths[str(column.header)]
    for row in rows:
        style = WARNING if row["plan"] in refused else None
        table.add_row(*row.values(), style=style)
    console.print(table)


def _share_columns(rows: Sequence[Mapping[str, str]], columns: int) -> dict[str, int]:
    """The width of each column: what is to be typed or read at a glance is whole, and text shares
    the rest, the question the most."""
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    if "here" in widths:
        widths["here"] = min(widths["here"], _VERDICT if columns >= _WIDE else _VERDICT // 3 + 2)
    flexible = [name for name in _TEXTS if name in widths]
    left = columns - _GAP * len(widths) - sum(widths[name] for name in widths if name not in _TEXTS)
    for index, name in enumerate(reversed(flexible)):  # the question takes what the others leave
        share = left // (len(flexible) - index + 1)
        widths[name] = max(_NARROWEST, left if name == "question" else min(widths[name], share))
        left -= widths[name]
    widths["question"] = min(widths["question"], max(len(row["question"]) for row in rows))
    return widths


def _list_details(entry: CatalogEntry) -> Iterator[str]:
    """What the table may have no column for."""
    lines = ["", f"probeplan run {entry.name}"]
    if entry.cost:
        lines.append(f"  cost: {entry.cost}")
    for param in entry.params:
        default = "VALUE" if param.default is None else param.default
        lines.append(f"  --set {param.name}={default}  {param.summary}".rstrip())
    lines.append(f"  probes {', '.join(entry.points)}")
    return map(make_printable, lines)
