"""Metrics as tables and bars that fit the terminal's width. Imports rich (23 ms)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.output.log import LogRecord
from orchestrator.output.terminal.bars import BarRow, draw_bar, group_buckets
from orchestrator.output.terminal.human_units import (
    choose_unit,
    format_amount,
    format_count,
    format_numbers,
    make_printable,
)
from orchestrator.output.terminal.stack_rows import StackRow, draw_stack_rows, wrap_frames

__all__ = ["WARNING", "Drawing", "draw_figures", "format_warnings", "make_table"]

#: The style of what needs attention; without colours it is bold, and the text says it too.
WARNING = "bold yellow"
_WIDEST_BAR = 60
_NARROWEST_BAR = 8
_SHARE_BAR = 20
_SHOWN_PERCENTILES = ("p50", "p90", "p99", "p99.9")
_ADDITIVE = ("count", "sum")
_FRAMES, _FRAMES_IN_LINE = 16, 3


class Drawing:
    """Draws metrics on one console. `cells`: most rows of a table; `blocks`: most keys with bars in
    a histogram; `rows`: most rows of bars for one key."""

    def __init__(
        self, console: Console, *, cells: int = 20, blocks: int = 3, rows: int = 24
    ) -> None:
        self._width = console.width
        self._ascii = not console.encoding.lower().startswith("utf")
        self._cells, self._blocks, self._rows = cells, blocks, rows

    def draw_metric(
        self, metric: LogRecord, warnings: Sequence[LogRecord] = ()
    ) -> Iterator[RenderableType]:
        """A metric's table, and the bars of its histograms. `warnings`: of the same window."""
        name = f"{make_printable(metric['probe'])}.{make_printable(metric['metric'])}"
        title = f"{name} ({_describe_kind(metric)})"
        if not any(cell.get("count", 1) for cell in metric["cells"]):
            yield Text(f"{title}: nothing counted")
            return
        keys = list(dict.fromkeys(key for cell in metric["cells"] for key in cell["key"]))
        marked = _warned_cells(metric, warnings)
        yield Text(title, style=WARNING if marked else "bold")
        histogram = metric["kind"] == "histogram"
        if keys or not histogram:
            yield from self._draw_metric_table(metric, keys, marked)
        omitted = metric["cells_omitted"] + max(0, len(metric["cells"]) - self._cells)
        if omitted:
            yield Text(f"… and {omitted:,} more" if not self._ascii else f"and {omitted:,} more")
        if histogram:
            yield from self._draw_histograms(metric, keys)

    def draw_outstanding(self, held: LogRecord) -> Iterator[RenderableType]:
        """What is open, by key, and the caveats."""
        unit = held["unit"]
        aged = (
            f", at least {format_amount(held['min_age_ns'], 'ns')} old"
            if held["min_age_ns"]
            else ""
        )
        total = f"{format_amount(held['value'], unit)} in {held['count']:,}{aged}"
        yield Text(f"{make_printable(held['outstanding'])} outstanding: {total}", style="bold")
        shown = held["cells"][: self._cells]
        keys = list(dict.fromkeys(key for cell in shown for key in cell["key"]))
        if shown:
            rows = [
                [
                    format_amount(cell["value"], unit),
                    format_count(cell["count"]),
                    format_amount(cell["growth"], unit),
                    format_amount(cell["oldest_ns"], "ns"),
                ]
                for cell in shown
            ]
            named = [{"other": False, **cell} for cell in shown]
            yield from _draw_table(keys, ["value", "count", "growth", "oldest"], named, rows)
        if omitted := held["cells_omitted"] + len(held["cells"]) - len(shown):
            yield Text(f"and {omitted:,} more")
        yield from (Text(f"  note: {make_printable(caveat)}") for caveat in held["caveats"])

    # -- tables

    def _draw_metric_table(
        self, metric: LogRecord, keys: list[str], marked: list[LogRecord]
    ) -> Iterator[RenderableType]:
        histogram = metric["kind"] == "histogram"
        values = ["count", *_SHOWN_PERCENTILES] if histogram else [metric["kind"]]
        shown = metric["cells"][: self._cells]
        shares = self._compute_shares(metric, shown)
        unit = choose_unit(metric)
        rows, styles = [], []
        for index, cell in enumerate(shown):
            row = _format_histogram(cell, unit) if histogram else [_format_value(cell, metric)]
            rows.append([*row, *(shares[index] if shares else ())])
            warned = {"key": cell["key"], "other": cell["other"]} in marked
            styles.append(WARNING if warned else "")
        yield from _draw_table(
            keys, [*values, *(["share", ""] if shares else [])], shown, rows, styles
        )

    def _compute_shares(
        self, metric: LogRecord, shown: Sequence[LogRecord]
    ) -> list[tuple[str, str]]:
        """For counts and sums: each cell's part of the total, where all cells are known."""
        values = [cell.get("value") for cell in metric["cells"]]
        if metric["kind"] not in _ADDITIVE or len(values) < 2 or metric["cells_omitted"]:
            return []
        total = sum(values)
        if min(values) < 0 or not total or self._width < 60:
            return []
        return [
            (f"{100 * cell['value'] / total:.1f} %", self._share_bar(cell["value"], max(values)))
            for cell in shown
        ]

    def _share_bar(self, number: int, most: int) -> str:
        return draw_bar(number, most, _SHARE_BAR, ascii_only=self._ascii)

    # -- histograms

    def _draw_histograms(self, metric: LogRecord, keys: list[str]) -> Iterator[RenderableType]:
        unit = choose_unit(metric)
        for cell in metric["cells"][: self._blocks]:
            rows = group_buckets(cell, self._rows)
            outside = cell["below"] or cell["above"]
            if not rows and not outside:
                continue
            if len(rows) == 1 and not outside:
                yield from self._draw_single_value(cell, rows[0], unit)
                continue
            yield from self._draw_key(cell)
            yield Text(_percentile_line(cell, unit, self._width))
            yield from self._draw_bars(cell, rows, unit)
        more = len(metric["cells"]) - self._blocks
        if more > 0 and self._blocks:
            yield Text(f"bars of {more:,} more {'key' if more == 1 else 'keys'} are not drawn")

    def _draw_key(self, cell: LogRecord, after: str = "") -> Iterator[Text]:
        """A cell's keys, wrapped between the frames of stacks alone."""
        *lines, last = _key_lines(cell, self._width) or [""]
        for line in (*lines, last + after):
            if line:
                yield Text(line, style="bold", overflow="ignore")

    def _draw_single_value(self, cell: LogRecord, row: BarRow, unit: str) -> Iterator[Text]:
        """A histogram without a shape is no chart: `postgres: all 9 in [288 ns, 304 ns)`."""
        text = f"all {row.count:,} in {_format_range(row, unit)}"
        if cell["key"] or cell["other"]:
            yield from self._draw_key(cell, f": {text}")
        else:
            yield Text(f"  {text}")

    def _draw_bars(self, cell: LogRecord, rows: list[BarRow], unit: str) -> Iterator[Text]:
        labels = [_format_range(row, unit) for row in rows]
        outside = {"below": "below", "above": "above"}
        labels_width = max((len(label) for label in labels), default=0)
        most = max((row.count for row in rows), default=0)
        room = self._width - labels_width - len(f"{most:,}") - 6
        width = max(_NARROWEST_BAR, min(_WIDEST_BAR, room))
        edge = "|" if self._ascii else "│"
        if cell["below"]:
            yield Text(f"  {outside['below']} the buckets: {cell['below']:,}")
        for label, row in zip(labels, rows, strict=True):
            drawn = draw_bar(row.count, most, width, ascii_only=self._ascii)
            yield Text(
                f"  {label:>{labels_width}} {edge}{drawn:<{width}}{edge} {row.count:,}",
                no_wrap=True,
                overflow="crop",
            )
        if cell["above"]:
            yield Text(f"  {outside['above']} the buckets: {cell['above']:,}")


def make_figure_table(figures: LogRecord) -> Table:
    """The derived figures, one in a row."""
    table = make_table(["figure"], ["value"])
    for name, value in figures["values"].items():
        table.add_row(
            make_printable(name), format_amount(value, figures["display_units"].get(name, ""))
        )
    return table


def draw_figures(figures: LogRecord, most: int | None = None) -> Iterator[RenderableType]:
    """The derived figures, and a table of the cells of each that is computed by key: at most
    `most` of them, or as many as there are."""
    yield make_figure_table(figures)
    for name, found in figures.get("by_key", {}).items():
        cells = [{**cell, "other": False} for cell in found["cells"]][:most]
        unit = figures["display_units"].get(name, "")
        keys = list(dict.fromkeys(key for cell in cells for key in cell["key"]))
        rows = [[format_amount(cell["value"], unit)] for cell in cells]
        yield Text(f"{make_printable(name)}, by {make_printable(', '.join(keys))}")
        yield from _draw_table(keys, ["value"], cells, rows)
        omitted = found["cells_omitted"] + len(found["cells"]) - len(cells)
        if omitted:
            yield Text(f"and {omitted:,} more")


def format_warnings(warnings: Sequence[LogRecord], units: Mapping[str, str]) -> Iterator[Text]:
    """A line for each cell for which a warning holds. `units`: as collect_units returns them."""
    for warning in warnings:
        name = _warning_name(warning)
        head = f"warning: {make_printable(name)}: {make_printable(warning['condition'])}"
        for cell in warning["cells"]:
            key = ", ".join(f"{name}={_in_line(value)}" for name, value in cell["key"].items())
            whose = f" {key or '(other)'}:" if key or cell["other"] else ""
            numbers = format_numbers(cell["numbers"], units, choose_unit(warning))
            yield Text(
                f"{head}:{whose} {make_printable(numbers)}", style=WARNING, overflow="ignore"
            )
        if warning["cells_omitted"]:
            yield Text(f"{head}: and {warning['cells_omitted']:,} more cells", style=WARNING)


def _warning_name(warning: LogRecord) -> str:
    """PROBE.METRIC, or the name of a figure."""
    owner = warning["probe"]
    return str(warning["metric"]) if owner is None else f"{owner}.{warning['metric']}"


def make_table(texts: list[str], figures: list[str]) -> Table:
    """An empty table with columns: `texts` aligned to the left, `figures` to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for text in texts:
        table.add_column(text, overflow="fold", vertical="top")
    for figure in figures:
        table.add_column(figure, justify="right", no_wrap=True)
    return table


def _draw_table(
    keys: Sequence[str],
    figures: list[str],
    cells: Sequence[LogRecord],
    rows: Sequence[list[str]],
    styles: Sequence[str] = (),
) -> Iterator[RenderableType]:
    """A row for each cell: its keys, then its values under the headings `figures`. Stacks are
    below their row, a frame a line."""
    stacks = [key for key in keys if any(_is_stack(cell["key"].get(key)) for cell in cells)]
    plain = [key for key in keys if key not in stacks]
    if stacks:
        headings = [*map(make_printable, plain), *figures]
        drawn = [
            StackRow(
                columns=[*_key_columns(cell, plain), *row],
                stacks=_name_stacks(cell, stacks),
                style=style,
            )
            for cell, row, style in zip(cells, rows, styles or [""] * len(rows), strict=True)
        ]
        yield from draw_stack_rows(headings, drawn, texts=len(plain))
        return
    table = make_table([make_printable(key) for key in plain], [name for name in figures if name])
    if "" in figures:
        table.add_column("", no_wrap=True)
    for index, (cell, row) in enumerate(zip(cells, rows, strict=True)):
        table.add_row(
            *_key_columns(cell, plain), *row, style=styles[index] or None if styles else None
        )
    yield table


def _is_stack(value: Any) -> bool:
    return isinstance(value, list)


def _name_stacks(cell: LogRecord, keys: Sequence[str]) -> list[tuple[str, list[str]]]:
    """A cell's stacks by the names of its keys; of `other`, a word in the place of them."""
    if cell["other"]:
        return [("", ["(other)"])]
    return [(make_printable(key), _value_lines(cell["key"].get(key))) for key in keys]


def _describe_kind(metric: LogRecord) -> str:
    sampled = metric.get("sample", 1)
    return f"{metric['kind']}, of 1 in {sampled:,}" if sampled > 1 else str(metric["kind"])


def _warned_cells(metric: LogRecord, warnings: Sequence[LogRecord]) -> list[LogRecord]:
    """The cells of a metric for which a warning holds."""
    return [
        {"key": cell["key"], "other": cell["other"]}
        for warning in warnings
        if (warning["probe"], warning["metric"]) == (metric["probe"], metric["metric"])
        for cell in warning["cells"]
    ]


def _key_columns(cell: LogRecord, keys: Sequence[str]) -> list[str]:
    """A cell's keys as columns."""
    if cell["other"]:
        return ["(other)", *[""] * (len(keys) - 1)] if keys else []
    return [_plain_text(cell["key"].get(key, "")) for key in keys]


def _plain_text(value: Any) -> str:
    """A value that is no stack; null: what there is none of, such as the error of a success."""
    return "-" if value is None else make_printable(value)


def _key_lines(cell: LogRecord, width: int) -> list[str]:
    """A cell's keys in as few lines as fit, stacks wrapped between frames."""
    if cell["other"]:
        return ["(other)"]
    plain = " ".join(_plain_text(value) for value in cell["key"].values() if not _is_stack(value))
    stacks = (_shorten_stack(value) for value in cell["key"].values() if _is_stack(value))
    lines = [line for stack in stacks for line in wrap_frames(stack, width)]
    return [plain, *lines] if plain else lines


def _value_lines(value: Any) -> list[str]:
    if value is None:
        return ["(unknown)"]
    if not isinstance(value, list):
        return [make_printable(value)]
    shown = [make_printable(frame) for frame in value[:_FRAMES]]
    return [*shown, f"and {len(value) - _FRAMES} more"] if len(value) > _FRAMES else shown


def _in_line(value: Any) -> str:
    """A key's value in one line; of a stack, only the innermost frames."""
    return " < ".join(_shorten_stack(value))


def _shorten_stack(value: Any) -> list[str]:
    lines = _value_lines(value)
    return [*lines[:_FRAMES_IN_LINE], "…"] if len(lines) > _FRAMES_IN_LINE else lines


def _format_range(row: BarRow, unit: str) -> str:
    return f"[{format_amount(row.low, unit)}, {format_amount(row.high, unit)})"


def _format_value(cell: LogRecord, metric: LogRecord) -> str:
    if metric["kind"] == "count":
        return format_count(cell["value"])
    beyond = "beyond " if cell.get("saturated") and metric["kind"] == "sum" else ""
    return beyond + format_amount(cell["value"], choose_unit(metric))


def _format_histogram(cell: LogRecord, unit: str) -> list[str]:
    shown = (cell["percentiles"][name] for name in _SHOWN_PERCENTILES)
    return [format_count(cell["count"]), *(format_amount(value, unit) for value in shown)]


def _percentile_line(cell: LogRecord, unit: str, width: int) -> str:
    """A cell's percentiles with their error, in one line; fewer on a narrow terminal."""
    relative = cell["relative_error"]
    exact = f"{100 * relative:.2g} %" if relative else format_amount(cell["absolute_error"], unit)
    for names in (tuple(cell["percentiles"]), _SHOWN_PERCENTILES):
        shown = ((name, cell["percentiles"][name]) for name in names)
        values = "  ".join(f"{name} {format_amount(value, unit)}" for name, value in shown)
        line = f"  count {format_count(cell['count'])}  {values}  (±{exact})"
        if len(line) <= width:
            break
    return line
