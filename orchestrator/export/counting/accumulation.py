"""The cumulative series of one metric: windows are added, and the totals at a run's end add what
windows did not have.

A window has what was counted since the last one; a total has what was counted in the whole run.
Where all windows were read, a total adds nothing. Where the log left out cells (`top`), or where a
line was torn, a total adds the rest, so that counts are exact at the end of each run for every cell
that the total lists. What was read of a run whose beginning was not read, such as by an export that
was started again, is its windows alone: an earlier export has the rest.
"""

from collections.abc import Iterable

from orchestrator.export.counting.metric_record import ExportedMetric, MetricRecord
from orchestrator.export.names import OTHER
from orchestrator.export.snapshot import SeriesLabels
from orchestrator.fleet.sums import CellNumbers, CellSum

__all__ = ["MetricAccumulation"]

_CellSums = dict[SeriesLabels, CellSum]
_Numbers = dict[SeriesLabels, CellNumbers]
_OTHER: SeriesLabels = (OTHER,)


class MetricAccumulation:
    """All cells of one metric over all runs, at most `max_series` and the cell `other`. `shrinks`:
    whether a sum went down, so that it is no counter."""

    def __init__(self, metric: ExportedMetric, max_series: int) -> None:
        self.metric = metric
        self._max_series = max_series
        self._is_extreme = metric.kind in ("min", "max")
        self.cells: _CellSums = {}
        self.shrinks = False
        self._windows_of_run: dict[str, _CellSums] = {}

    def accept(self, record: MetricRecord, *, whole_run: bool) -> int:
        """Add a record. `whole_run`: its run was read from the beginning. Returns how many cells
        went into `other`, since there is no room for more series."""
        placed, overflowed = self._place_cells(record.cells)
        if self._is_extreme:  # of the run so far, in windows too
            self._keep_extremes(placed)
        elif record.is_total:
            self._add_totals(record.run_id, placed, whole_run=whole_run)
        else:
            self._add_window(record.run_id, placed)
        return overflowed

    def has_windows(self, run_id: str) -> bool:
        """Whether windows of this run were read."""
        return run_id in self._windows_of_run

    def begin_run(self) -> None:
        """A run begins: extremes are those of the latest run."""
        if self._is_extreme:
            self.cells.clear()

    def end_run(self, run_id: str) -> None:
        """No records of this run follow."""
        self._windows_of_run.pop(run_id, None)

    def _place_cells(
        self, cells: Iterable[tuple[SeriesLabels, CellNumbers]]
    ) -> tuple[_Numbers, int]:
        """The cells by the series that they belong to."""
        placed: _Numbers = {}
        overflowed = 0
        room = self._max_series - len(self.cells) + (_OTHER in self.cells)
        for key, numbers in cells:
            labels = key
            if key not in self.cells and key not in placed and key != _OTHER:
                if room > 0:
                    room -= 1
                else:
                    overflowed += 1
                    labels = _OTHER
            before = placed.get(labels)
            placed[labels] = numbers if before is None else _sum_up(before, numbers).numbers
        return placed, overflowed

    def _add_window(self, run_id: str, placed: _Numbers) -> None:
        windows = self._windows_of_run.setdefault(run_id, {})
        for labels, numbers in placed.items():
            self._add(labels, numbers)
            _add_to(windows, labels, numbers)

    def _add_totals(self, run_id: str, placed: _Numbers, *, whole_run: bool) -> None:
        windows = self._windows_of_run.get(run_id, {})
        if windows and not whole_run:
            return
        for labels, numbers in placed.items():
            counted = windows.get(labels)
            rest = numbers if counted is None else _subtract(numbers, counted, self.metric.kind)
            self._add(labels, rest)

    def _keep_extremes(self, placed: _Numbers) -> None:
        """They are of the run so far; a window in which nothing was counted has none."""
        for labels, numbers in placed.items():
            cell = _sum_up(numbers)
            if cell.min is not None:
                self.cells[labels] = cell

    def _add(self, labels: SeriesLabels, numbers: CellNumbers) -> None:
        self.shrinks = self.shrinks or numbers[1] < 0
        _add_to(self.cells, labels, numbers)


def _add_to(cells: _CellSums, labels: SeriesLabels, numbers: CellNumbers) -> None:
    cell = cells.get(labels)
    if cell is None:
        cell = cells[labels] = CellSum()
    cell.add(numbers, 0)


def _sum_up(*parts: CellNumbers) -> CellSum:
    cell = CellSum()
    for numbers in parts:
        cell.add(numbers, 0)
    return cell


def _subtract(total: CellNumbers, counted: CellSum, kind: str) -> CellNumbers:
    """What the total has and the windows did not. No count is negative: a total may have less,
    where it omits cells that were added to `other`."""
    rest = CellSum()
    events, added, _, _, below, above, edges, counts, _ = total
    if kind != "histogram":
        if events > counted.events:
            rest.events, rest.sum = events - counted.events, added - counted.sum
        return rest.numbers
    rest.below, rest.above = max(0, below - counted.below), max(0, above - counted.above)
    for edge, count in zip(edges, counts, strict=True):
        if (more := count - counted.buckets.get(edge, 0)) > 0:
            rest.buckets[edge] = more
    rest.events = rest.below + rest.above + sum(rest.buckets.values())
    return rest.numbers
