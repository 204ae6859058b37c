"""A metric over windows: columns in the order of time, which are joined two by two when there are
too many."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from orchestrator.html_report.cell_text import describe_cell

__all__ = ["MOST_COLUMNS", "WindowAmount", "WindowAmounts", "WindowColumn", "WindowSeries"]
__all__ += ["join_amounts", "order_by_weight"]

#: A screen has no more that can be distinguished.
MOST_COLUMNS = 240


class WindowAmount(NamedTuple):
    """What one key has in one window: the number, and for averages how many values it is of."""

    number: float
    values: int


WindowAmounts = Mapping[Any, WindowAmount]


class WindowColumn(NamedTuple):
    """One window, or several: RFC 3339 times, and amounts by key or by bucket."""

    start: str
    end: str
    amounts: dict[Any, WindowAmount]


class WindowSeries:
    """The windows of one metric. `kind` as in metric.reported: it says how windows are joined.
    `per_column`: how many windows one column stands for, at most; `cells_omitted`: cells that the
    log left out, over all windows."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.columns: list[WindowColumn] = []
        self.per_column = 1
        self.windows = 0
        self.cells_omitted = 0
        self._pending = 0

    @property
    def is_histogram(self) -> bool:
        """Whether amounts are by bucket."""
        return self.kind == "histogram"

    def add_metric(self, record: Mapping[str, Any]) -> None:
        """Add a metric.reported record of a window. Raises LookupError, TypeError, ValueError."""
        cells = record["cells"]
        amounts = self._add_buckets(cells) if self.is_histogram else self._read_cells(cells)
        self.cells_omitted += int(record["cells_omitted"])
        self._add(record["window"], amounts)

    def add_value(self, window: Mapping[str, Any], value: float | None) -> None:
        """Add a single number, which may be missing."""
        self._add(window, {} if value is None else {"": WindowAmount(_check_number(value), 1)})

    def keys_by_weight(self) -> list[Any]:
        """All keys, those first that have the most over all windows."""
        return order_by_weight(column.amounts for column in self.columns)

    def _read_cells(self, cells: Iterable[Mapping[str, Any]]) -> dict[Any, WindowAmount]:
        return {
            describe_cell(cell): WindowAmount(
                _check_number(cell["value"]), int(cell.get("count", 1))
            )
            for cell in cells
            if cell["value"] is not None
        }

    @staticmethod
    def _add_buckets(cells: Iterable[Mapping[str, Any]]) -> dict[Any, WindowAmount]:
        counts: dict[int, int] = {}
        for cell in cells:
            for edge, count in cell["buckets"]:
                counts[int(edge)] = counts.get(int(edge), 0) + int(count)
        return {edge: WindowAmount(count, count) for edge, count in counts.items()}

    def _add(self, window: Mapping[str, Any], amounts: dict[Any, WindowAmount]) -> None:
        column = WindowColumn(str(window["start"]), str(window["end"]), amounts)
        self.windows += 1
        if self._pending:
            self.columns[-1] = self._join(self.columns[-1], column)
        else:
            self.columns.append(column)
        self._pending = (self._pending + 1) % self.per_column
        if len(self.columns) > MOST_COLUMNS and not self._pending:
            self._join_pairs()

    def _join_pairs(self) -> None:
        """Half as many columns. With an odd number the last stays open for more windows."""
        joined = [
            self._join(first, second)
            for first, second in zip(self.columns[::2], self.columns[1::2], strict=False)
        ]
        if len(self.columns) % 2:
            joined.append(self.columns[-1])
            self._pending = self.per_column
        self.columns = joined
        self.per_column *= 2

    def _join(self, first: WindowColumn, second: WindowColumn) -> WindowColumn:
        amounts = join_amounts(self.kind, first.amounts, second.amounts)
        return WindowColumn(first.start, second.end, amounts)


def order_by_weight(windows: Iterable[WindowAmounts]) -> list[Any]:
    """All keys of some windows, those first that have the most over all of them."""
    weights: dict[Any, float] = {}
    for amounts in windows:
        for key, amount in amounts.items():
            weights[key] = weights.get(key, 0) + abs(amount.number)
    return sorted(weights, key=lambda key: -weights[key])


def join_amounts(kind: str, first: WindowAmounts, second: WindowAmounts) -> dict[Any, WindowAmount]:
    """What a metric of this kind has by key in two windows together."""
    amounts = dict(first)
    for key, amount in second.items():
        before = amounts.get(key)
        amounts[key] = amount if before is None else _join_two(kind, before, amount)
    return amounts


def _join_two(kind: str, first: WindowAmount, second: WindowAmount) -> WindowAmount:
    values = first.values + second.values
    match kind:
        case "min":
            return WindowAmount(min(first.number, second.number), values)
        case "max":
            return WindowAmount(max(first.number, second.number), values)
        case "avg":
            total = first.number * first.values + second.number * second.values
            return WindowAmount(total / values if values else first.number, values)
    return WindowAmount(first.number + second.number, values)


def _check_number(value: Any) -> float:
    """The value, if it is a number; raises TypeError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r:.40} is no number")
    return value
