"""Metrics as tables and bars, for a terminal's width. Imports rich (23 ms)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.output.terminal.bars import Row, bar, rows_of
from orchestrator.output.terminal.human_units import amount, count, harmless, numbers, unit_of

__all__ = ["WARNING", "Drawing", "derived_table", "table_of", "warning_lines"]

Record = Mapping[str, Any]

#: How what wants attention looks; without colours it is still bold, and says so in words.
WARNING = "bold yellow"
_WIDEST_BAR = 60
_NARROWEST_BAR = 8
_SHARE_BAR = 20
_SHOWN_PERCENTILES = ("p50", "p90", "p99", "p99.9")
_ADDITIVE = ("count", "sum")
_FRAMES, _FRAMES_IN_LINE = 16, 3


class Drawing:
    """How metrics are drawn on one console. `cells`: the rows of a table, `blocks`: the keys of
    whose histograms bars are drawn, `rows`: the rows of bars a histogram."""

    def __init__(
        self, console: Console, *, cells: int = 20, blocks: int = 3, rows: int = 24
    ) -> None:
        self._width = console.width
        self._ascii = not console.encoding.lower().startswith("utf")
        self._cells, self._blocks, self._rows = cells, blocks, rows

    def metric(self, metric: Record, warnings: Sequence[Record] = ()) -> Iterator[RenderableType]:
        """A metric's table, and the bars of its histograms. `warnings`: of the same stretch."""
        title = f"{harmless(metric['probe'])}.{harmless(metric['metric'])} ({_kind(metric)})"
        if not any(cell.get("count", 1) for cell in metric["cells"]):
            yield Text(f"{title}: nothing counted")
            return
        keys = list(dict.fromkeys(key for cell in metric["cells"] for key in cell["key"]))
        marked = _marked(metric, warnings)
        yield Text(title, style=WARNING if marked else "bold")
        histogram = metric["kind"] == "histogram"
        if keys or not histogram:
            yield self._table(metric, keys, marked)
        left_out = metric["cells_omitted"] + max(0, len(metric["cells"]) - self._cells)
        if left_out:
            yield Text(f"… and {left_out:,} more" if not self._ascii else f"and {left_out:,} more")
        if histogram:
            yield from self._histograms(metric, keys)

    def outstanding(self, held: Record) -> Iterator[RenderableType]:
        """What is open, by key, and what the numbers cannot tell."""
        unit = held["unit"]
        aged = f", at least {amount(held['min_age_ns'], 'ns')} old" if held["min_age_ns"] else ""
        total = f"{amount(held['value'], unit)} in {held['count']:,}{aged}"
        yield Text(f"{harmless(held['outstanding'])} outstanding: {total}", style="bold")
        shown = held["cells"][: self._cells]
        keys = list(dict.fromkeys(key for cell in shown for key in cell["key"]))
        if shown:
            table = table_of(
                [harmless(key) for key in keys], ["value", "count", "growth", "oldest"]
            )
            rows = [
                [
                    amount(cell["value"], unit),
                    count(cell["count"]),
                    amount(cell["growth"], unit),
                    amount(cell["oldest_ns"], "ns"),
                ]
                for cell in shown
            ]
            _fill(table, [_key({"other": False, **cell}, keys) for cell in shown], rows)
            yield table
        if left_out := held["cells_omitted"] + len(held["cells"]) - len(shown):
            yield Text(f"and {left_out:,} more")
        yield from (Text(f"  note: {harmless(caveat)}") for caveat in held["caveats"])

    # -- tables

    def _table(self, metric: Record, keys: list[str], marked: list[Record]) -> Table:
        histogram = metric["kind"] == "histogram"
        values = ["count", *_SHOWN_PERCENTILES] if histogram else [metric["kind"]]
        shown = metric["cells"][: self._cells]
        shares = self._shares(metric, shown)
        table = table_of([harmless(key) for key in keys], [*values, *(["share"] if shares else [])])
        if shares:
            table.add_column("", no_wrap=True)
        unit = unit_of(metric)
        rows, styles = [], []
        for index, cell in enumerate(shown):
            row = _histogram_values(cell, unit) if histogram else [_value(cell, metric)]
            rows.append([*row, *(shares[index] if shares else ())])
            warned = {"key": cell["key"], "other": cell["other"]} in marked
            styles.append(WARNING if warned else None)
        _fill(table, [_key(cell, keys) for cell in shown], rows, styles)
        return table

    def _shares(self, metric: Record, shown: Sequence[Record]) -> list[tuple[str, str]]:
        """Of counts and sums: each cell's part of them all, where all are known."""
        values = [cell.get("value") for cell in metric["cells"]]
        if metric["kind"] not in _ADDITIVE or len(values) < 2 or metric["cells_omitted"]:
            return []
        total = sum(values)
        if min(values) < 0 or not total or self._width < 60:
            return []
        return [
            (f"{100 * cell['value'] / total:.1f} %", self._bar(cell["value"], max(values)))
            for cell in shown
        ]

    def _bar(self, number: int, most: int) -> str:
        return bar(number, most, _SHARE_BAR, ascii_only=self._ascii)

    # -- histograms

    def _histograms(self, metric: Record, keys: list[str]) -> Iterator[RenderableType]:
        unit = unit_of(metric)
        for cell in metric["cells"][: self._blocks]:
            rows = rows_of(cell, self._rows)
            if not rows and not (cell["below"] or cell["above"]):
                continue
            if head := _head(cell):
                yield Text(head, style="bold")
            yield Text(_percentiles(cell, unit, self._width))
            yield from self._bars(cell, rows, unit)
        more = len(metric["cells"]) - self._blocks
        if more > 0 and self._blocks:
            yield Text(f"bars of {more:,} more {'key' if more == 1 else 'keys'} are not drawn")

    def _bars(self, cell: Record, rows: list[Row], unit: str) -> Iterator[Text]:
        labels = [f"[{amount(row.low, unit)}, {amount(row.high, unit)})" for row in rows]
        outside = {"below": "below", "above": "above"}
        labels_width = max((len(label) for label in labels), default=0)
        most = max((row.count for row in rows), default=0)
        room = self._width - labels_width - len(f"{most:,}") - 6
        width = max(_NARROWEST_BAR, min(_WIDEST_BAR, room))
        edge = "|" if self._ascii else "│"
        if cell["below"]:
            yield Text(f"  {outside['below']} the buckets: {cell['below']:,}")
        for label, row in zip(labels, rows, strict=True):
            drawn = bar(row.count, most, width, ascii_only=self._ascii)
            yield Text(
                f"  {label:>{labels_width}} {edge}{drawn:<{width}}{edge} {row.count:,}",
                no_wrap=True,
                overflow="crop",
            )
        if cell["above"]:
            yield Text(f"  {outside['above']} the buckets: {cell['above']:,}")


def derived_table(derived: Record) -> Table:
    """What was derived: a figure a row."""
    table = table_of(["derived"], ["value"])
    for name, value in derived["values"].items():
        table.add_row(harmless(name), amount(value, derived["display_units"].get(name, "")))
    return table


def warning_lines(warnings: Sequence[Record], units: Mapping[str, str]) -> Iterator[Text]:
    """A line for each cell that a warning holds for. `units`: as of `people.units_of`."""
    for one in warnings:
        name = one["metric"] if one["probe"] is None else f"{one['probe']}.{one['metric']}"
        head = f"warning: {harmless(name)}: {harmless(one['condition'])}"
        for cell in one["cells"]:
            key = ", ".join(f"{name}={_in_line(value)}" for name, value in cell["key"].items())
            whose = f" {key or '(other)'}:" if key or cell["other"] else ""
            told = harmless(numbers(cell["numbers"], units, unit_of(one)))
            yield Text(f"{head}:{whose} {told}", style=WARNING)
        if one["cells_omitted"]:
            yield Text(f"{head}: and {one['cells_omitted']:,} more cells", style=WARNING)


def table_of(texts: list[str], figures: list[str]) -> Table:
    """An empty table: `texts` to the left, `figures` to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for text in texts:
        table.add_column(text, overflow="fold", vertical="top")
    for figure in figures:
        table.add_column(figure, justify="right", no_wrap=True)
    return table


def _fill(
    table: Table,
    keys: Sequence[list[str]],
    rows: Sequence[list[str]],
    styles: Sequence[str | None] = (),
) -> None:
    """Keys and values as rows; those of several lines, as stacks are, stand apart."""
    deep = any("\n" in text for texts in keys for text in texts)
    for index, (texts, row) in enumerate(zip(keys, rows, strict=True)):
        apart = deep and index < len(rows) - 1
        shown = [f"{text}\n" for text in texts] if apart else texts
        table.add_row(*shown, *row, style=styles[index] if styles else None)


def _kind(metric: Record) -> str:
    sampled = metric.get("sample", 1)
    return f"{metric['kind']}, of 1 in {sampled:,}" if sampled > 1 else str(metric["kind"])


def _marked(metric: Record, warnings: Sequence[Record]) -> list[Record]:
    """The cells of a metric that a warning holds for."""
    return [
        {"key": cell["key"], "other": cell["other"]}
        for one in warnings
        if (one["probe"], one["metric"]) == (metric["probe"], metric["metric"])
        for cell in one["cells"]
    ]


def _key(cell: Record, keys: list[str]) -> list[str]:
    """A cell's keys as columns: of a stack, a frame a line."""
    if cell["other"]:
        return ["(other)", *[""] * (len(keys) - 1)] if keys else []
    return ["\n".join(_lines(cell["key"].get(key, ""))) for key in keys]


def _head(cell: Record) -> str:
    """A cell's keys in a line."""
    return "(other)" if cell["other"] else " ".join(map(_in_line, cell["key"].values()))


def _lines(value: Any) -> list[str]:
    if value is None:
        return ["(unknown)"]
    if not isinstance(value, list):
        return [harmless(value)]
    shown = [harmless(frame) for frame in value[:_FRAMES]]
    return [*shown, f"and {len(value) - _FRAMES} more"] if len(value) > _FRAMES else shown


def _in_line(value: Any) -> str:
    """A key's value where there is but one line for it: of a stack, the innermost frames."""
    lines = _lines(value)
    more = ["…"] if len(lines) > _FRAMES_IN_LINE else []
    return " < ".join([*lines[:_FRAMES_IN_LINE], *more])


def _value(cell: Record, metric: Record) -> str:
    if metric["kind"] == "count":
        return count(cell["value"])
    return amount(cell["value"], unit_of(metric))


def _histogram_values(cell: Record, unit: str) -> list[str]:
    shown = (cell["percentiles"][name] for name in _SHOWN_PERCENTILES)
    return [count(cell["count"]), *(amount(value, unit) for value in shown)]


def _percentiles(cell: Record, unit: str, width: int) -> str:
    """A cell's percentiles in a line, and how exact they are; on a narrow terminal, fewer."""
    relative = cell["relative_error"]
    exact = f"{100 * relative:.2g} %" if relative else amount(cell["absolute_error"], unit)
    for names in (tuple(cell["percentiles"]), _SHOWN_PERCENTILES):
        shown = ((name, cell["percentiles"][name]) for name in names)
        told = "  ".join(f"{name} {amount(value, unit)}" for name, value in shown)
        line = f"  count {count(cell['count'])}  {told}  (±{exact})"
        if len(line) <= width:
            break
    return line
