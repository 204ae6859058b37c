"""The sections about metrics, figures and what was outstanding, with the data of their charts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from orchestrator.html_report.budget import Budget
from orchestrator.html_report.cell_text import key_column
from orchestrator.html_report.histogram_data import list_histograms
from orchestrator.html_report.markup import Html, clean_value, element
from orchestrator.html_report.metric_table import (
    MetricTable,
    TableColumn,
    describe_kind,
    make_table,
    metric_title,
)
from orchestrator.html_report.model import RunSource
from orchestrator.html_report.parts import (
    chart,
    make_section,
    metric_rows,
    notes,
    sortable_table,
    static_table,
)
from orchestrator.html_report.stack_trees import grow_tree
from orchestrator.html_report.windows.chart import Chart, chart_line, chart_windows
from orchestrator.output.terminal.human_units import choose_unit, format_amount, format_count
from orchestrator.values import dataclass

__all__ = ["PageData", "draw_windows", "figure_section", "metric_sections", "outstanding_section"]
__all__ += ["table_of_keys"]

#: A page of a run with 10,000 cells has room for all of them; what is beyond is counted.
_ROW_BYTES, _HISTOGRAM_BYTES = 1_100_000, 350_000
_RECORD_BYTES, _WINDOW_BYTES = 250_000, 400_000
#: Fewer cells are compared at a glance in the table.
_LEAST_BARS = 2


@dataclass(slots=True, kw_only=True)
class PageData:
    """What the page's script draws: `tables`, `flows`, `charts` (by their numbers on the page)."""

    tables: list[Any] = field(default_factory=list)
    flows: list[Any] = field(default_factory=list)
    charts: list[Any] = field(default_factory=list)
    rows: Budget = field(default_factory=lambda: Budget(_ROW_BYTES))
    histograms: Budget = field(default_factory=lambda: Budget(_HISTOGRAM_BYTES))
    records: Budget = field(default_factory=lambda: Budget(_RECORD_BYTES))
    windows: Budget = field(default_factory=lambda: Budget(_WINDOW_BYTES))

    def add_chart(self, data: Mapping[str, Any]) -> int:
        """Keep a chart's data; returns its number."""
        self.charts.append(data)
        return len(self.charts) - 1

    def add_table(self, columns: list[TableColumn], rows: list[Any]) -> int:
        """Keep a table's data; returns its number."""
        self.tables.append(metric_rows(columns, rows))
        return len(self.tables) - 1

    def as_json(self) -> dict[str, Any]:
        """For the page."""
        return {"tables": self.tables, "flows": self.flows, "charts": self.charts}


def metric_sections(source: RunSource, data: PageData) -> Html | None:
    """All metrics; None for a plan without any."""
    metrics = source.document["metrics"]
    if not metrics:
        return None
    parts = [_metric_part(source, metric, data) for metric in metrics]
    return make_section("metrics", "Metrics", *parts)


def _metric_part(source: RunSource, metric: Mapping[str, Any], data: PageData) -> Html:
    title = metric_title(metric)
    parts = list(_list_parts(source, metric, data))
    return element("article", element("h3", f"{title} ({describe_kind(metric)})"), *parts)


def _list_parts(
    source: RunSource, metric: Mapping[str, Any], data: PageData
) -> Iterator[Html | None]:
    cells = metric["cells"]
    if not any(cell.get("count", 1) for cell in cells):
        yield element("p", "Nothing was counted.")
        return
    if metric["hashed"]:
        names = ", ".join(metric["hashed"])
        yield notes([f"Values of {names} are digests, which differ from run to run."])
    yield from _draw_stacks(metric, data)
    if metric["kind"] == "histogram":
        yield from _draw_histogram(metric, data)
    else:
        yield _draw_bars(metric, data)
    yield _draw_windows(source, metric, data)
    yield table_of_keys(f"{metric_title(metric)}: all keys", make_table(metric), data)


def table_of_keys(caption: str, table: MetricTable, data: PageData) -> Html:
    """A table with one row a key that the reader can sort; `data` takes as many as it has room
    for, and the rest are counted below."""
    rows: list[Any] = []
    for row in table.rows:
        if not data.rows.takes(row):
            break
        rows.append(row)
    return sortable_table(
        caption,
        table.columns,
        rows,
        number=data.add_table(list(table.columns), rows),
        sort=table.sort,
        omitted=len(table.rows) - len(rows),
    )


def _draw_bars(metric: Mapping[str, Any], data: PageData) -> Html | None:
    """The largest cells; a single value needs no chart, and stacks have their own."""
    cells = metric["cells"]
    if len(cells) < _LEAST_BARS or _has_stacks(metric):
        return None
    title = f"{metric_title(metric)}: the largest keys"
    return chart(title, "bars", table=len(data.tables))


def _has_stacks(metric: Mapping[str, Any]) -> bool:
    return any(
        isinstance(value, list) for cell in metric["cells"] for value in cell["key"].values()
    )


def _draw_histogram(metric: Mapping[str, Any], data: PageData) -> Iterator[Html | None]:
    shown, omitted = list_histograms(metric, data.histograms)
    if not shown:
        yield notes([f"The histograms of {omitted:,} keys have no room on this page."])
        return
    title = metric_title(metric)
    number = data.add_chart({"unit": clean_value(choose_unit(metric)), "cells": shown})
    yield chart(f"{title}: how the values are distributed", "histogram", source=number)
    yield chart(f"{title}: percentiles", "percentiles", source=number)
    if omitted:
        text = f"Histograms of the {len(shown):,} largest keys; {omitted:,} more are in the result."
        yield notes([text])


def _draw_windows(source: RunSource, metric: Mapping[str, Any], data: PageData) -> Html | None:
    log = source.log
    series = log.series.get((metric["probe"], metric["metric"])) if log else None
    drawn = chart_windows(metric, series) if series else None
    if drawn is None:
        return None
    said = []
    if drawn["perColumn"] > 1:
        said.append(f"One column stands for {drawn['perColumn']:,} windows.")
    return draw_windows(f"{metric_title(metric)}: over time, by window", drawn, data, said)


def draw_windows(title: str, drawn: Chart, data: PageData, said: Sequence[str]) -> Html | None:
    """A chart of windows, if the page has room for it. `said`: what has to be known of it, but for
    what it leaves out."""
    if not data.windows.takes(drawn):
        return notes([f"{title}: the windows have no room on this page."])
    figure = chart(title, drawn["form"], source=data.add_chart(drawn))
    lines = list(said)
    if drawn["rowsOmitted"]:
        lines.append(f"{drawn['rowsOmitted']:,} smaller keys are not drawn.")
    if drawn["cellsOmitted"]:
        lines.append(
            f"The log leaves out {drawn['cellsOmitted']:,} smaller cells of windows (top)."
        )
    return element("div", figure, notes([" ".join(lines)]))


def _draw_stacks(metric: Mapping[str, Any], data: PageData) -> Iterator[Html | None]:
    tree = grow_tree(metric)
    if tree is None:
        return
    title = metric_title(metric)
    unit = "" if metric["kind"] in ("count", "histogram") else choose_unit(metric)
    number = data.add_chart(
        {
            "unit": clean_value(unit),
            "nodes": clean_value(tree.nodes),
            "hottest": clean_value(tree.hottest),
        }
    )
    yield chart(f"{title}: call paths, as a flame graph", "flame", source=number)
    said = f"{tree.paths:,} call paths."
    if tree.omitted:
        said += f" {tree.omitted:,} frames with less than {tree.least:,} each are not drawn."
    yield notes([said])


# ---------------------------------------------------------------- figures and outstanding


def figure_section(source: RunSource, data: PageData) -> Html | None:
    """The derived figures; None without any."""
    figures = source.document["figures"]
    if not figures or not figures["values"]:
        return None
    units = figures["display_units"]
    rows = (
        [name, format_amount(value, units.get(name, "")) if value is not None else "-"]
        for name, value in figures["values"].items()
    )
    lines = []
    for name, series in source.log.figures.items() if source.log else ():
        if drawn := chart_line(series, units.get(name, "")):
            title = f"{name}: over time, by window"
            lines.append(draw_windows(title, drawn, data, ()))
    return make_section(
        "figures",
        "Figures",
        static_table("Derived figures", ["figure", "value"], rows),
        *_cells_of_figures(figures),
        *lines,
    )


def _cells_of_figures(figures: Mapping[str, Any]) -> Iterator[Html]:
    """A table for each figure that is computed by key."""
    for name, found in figures.get("by_key", {}).items():
        keys = list(dict.fromkeys(key for cell in found["cells"] for key in cell["key"]))
        unit = figures["display_units"].get(name, "")
        rows = [
            [
                *(key_column(cell["key"].get(key)) for key in keys),
                format_amount(cell["value"], unit) if cell["value"] is not None else "-",
            ]
            for cell in found["cells"]
        ]
        yield static_table(f"{name}, by {', '.join(keys)}", [*keys, "value"], rows, texts=len(keys))
        omitted = found["cells_omitted"]
        if omitted and (line := notes([f"{omitted:,} more cells are not listed."])):
            yield line


def outstanding_section(source: RunSource, data: PageData) -> Html | None:
    """What was still open at the end; None for a plan that watches nothing so."""
    held = source.document["outstanding"]
    if not held:
        return None
    return make_section("outstanding", "Outstanding", *(_held_part(one, data) for one in held))


def _held_part(held: Mapping[str, Any], data: PageData) -> Html:
    unit = held["unit"]
    aged = f", at least {format_amount(held['min_age_ns'], 'ns')} old" if held["min_age_ns"] else ""
    total = f"{format_amount(held['value'], unit)} in {format_count(held['count'])}{aged}"
    metric = {"cells": [{"other": False, **cell} for cell in held["cells"]]}
    keys = list(dict.fromkeys(name for cell in metric["cells"] for name in cell["key"]))
    columns = [TableColumn(name=name) for name in keys]
    columns += [TableColumn(name="value", unit=unit), TableColumn(name="count", unit="")]
    columns += [TableColumn(name="growth", unit=unit), TableColumn(name="oldest", unit="ns")]
    rows = _held_rows(metric["cells"], keys, data.rows)
    return element(
        "article",
        element("h3", f"{held['outstanding']}: {total}"),
        notes(held["caveats"]),
        sortable_table(
            f"{held['outstanding']}: what is open, by key",
            columns,
            rows,
            number=data.add_table(columns, rows),
            sort=len(keys),
            omitted=len(held["cells"]) - len(rows),
        )
        if rows
        else None,
    )


def _held_rows(cells: list[Any], keys: list[str], budget: Budget) -> list[Any]:
    rows: list[Any] = []
    for cell in cells:
        row = [
            *(clean_value(key_column(cell["key"].get(key, ""))) for key in keys),
            *(clean_value(cell[name]) for name in ("value", "count", "growth", "oldest_ns")),
        ]
        if not budget.takes(row):
            break
        rows.append(row)
    return rows
