"""Several results next to each other: cells by key, and how they differ from the first."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from orchestrator.accounting.vocabulary import UNMADE_OUTCOMES
from orchestrator.fleet.sums import CellIdentity, describe_key, identify_cell
from orchestrator.html_report.budget import Budget
from orchestrator.html_report.cell_text import OTHER, describe_cell, key_column
from orchestrator.html_report.histogram_data import clean_buckets, list_buckets
from orchestrator.html_report.markup import clean_value
from orchestrator.html_report.metric_table import MetricTable, TableColumn
from orchestrator.html_report.model import RunSource
from orchestrator.output.terminal.human_units import choose_unit
from orchestrator.values import dataclass

__all__ = ["MOST_RUNS", "ComparedMetric", "compare_metrics", "compare_table", "letter_of"]
__all__ += ["list_compared_histograms", "list_differences"]

#: More do not fit next to each other.
MOST_RUNS = 8
_SAME_DURATION = 0.01
_COUNTED = ("count", "sum", "histogram")

ComparedCells = Mapping[CellIdentity, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMetric:
    """One metric. `records`: of each run, None where it has none; `cells`: of each run by their
    identity; `seconds`: how long each run took."""

    records: Sequence[Mapping[str, Any] | None]
    cells: Sequence[ComparedCells]
    seconds: Sequence[float]

    @property
    def record(self) -> Mapping[str, Any]:
        """That of the first run which has it: all have its name, kind and unit."""
        return next(record for record in self.records if record is not None)

    @property
    def hashed(self) -> Sequence[str]:
        """Names whose values are digests, which cannot be compared."""
        return sorted({name for record in self.records if record for name in record["hashed"]})

    @property
    def has_same_time(self) -> bool:
        """Whether all runs took as long, so that counts can be compared as they are."""
        return max(self.seconds) - min(self.seconds) <= _SAME_DURATION * max(self.seconds)

    def scale_of(self, number: int) -> float:
        """What counts of the first run are multiplied by to be compared with those of another:
        1 where both took as long, or where one has no time."""
        first, other = self.seconds[0], self.seconds[number]
        return 1.0 if self.has_same_time or not first or not other else other / first

    def list_identities(self) -> list[CellIdentity]:
        """Of all cells; those of the first run come first."""
        return list(dict.fromkeys(identity for cells in self.cells for identity in cells))


def letter_of(number: int) -> str:
    """What a run is called on the page: A is the first."""
    return chr(ord("A") + number)


def compare_metrics(sources: Sequence[RunSource]) -> list[ComparedMetric]:
    """Metrics that are the same in name, kind, unit and buckets, next to each other."""
    made = [source.run["outcome"] not in UNMADE_OUTCOMES for source in sources]
    found: dict[tuple[Any, ...], list[Mapping[str, Any] | None]] = {}
    for number, source in enumerate(sources):
        for record in source.document["metrics"] if made[number] else ():
            name = tuple(record[part] for part in ("probe", "metric", "kind", "unit", "layout"))
            found.setdefault(name, [None] * len(sources))[number] = record
    seconds = [
        source.run["duration_ns"] / 1e9 if made[number] else 0.0
        for number, source in enumerate(sources)
    ]
    return [
        ComparedMetric(records=records, cells=[*map(_index_cells, records)], seconds=seconds)
        for records in found.values()
    ]


def _index_cells(record: Mapping[str, Any] | None) -> ComparedCells:
    cells = record["cells"] if record else ()
    return {identify_cell(cell["key"], cell["other"]): cell for cell in cells}


# ---------------------------------------------------------------- tables

Reader = Callable[[Mapping[str, Any]], Any]


def compare_table(metric: ComparedMetric) -> MetricTable:
    """A row for each key, with the numbers of each run, and of each but the first its change and
    its ratio to the first. The largest changes come first."""
    identities = metric.list_identities()
    keys = list(dict.fromkeys(name for one in identities for name in describe_key(one)["key"]))
    columns = [TableColumn(name=name) for name in keys]
    numbers = _list_numbers(metric)
    for title, unit, _, _ in numbers:
        columns += _number_columns(title, unit, len(metric.records))
    rows = [_make_row(metric, identity, keys, numbers) for identity in identities]
    sort = len(keys) + len(metric.records)
    rows.sort(key=lambda row: -_size_of(row[sort]))
    return MetricTable(columns=columns, rows=rows, sort=sort)


def _size_of(change: Any) -> float:
    return abs(float(change)) if change is not None else -1.0


_ComparedNumber = tuple[str, str, Reader, bool]


def _list_numbers(metric: ComparedMetric) -> list[_ComparedNumber]:
    """What is compared: title, unit, what reads it from a cell, and whether it grows with time."""
    record = metric.record
    unit = choose_unit(record)
    if record["kind"] == "histogram":
        return [
            ("count", "", lambda cell: cell["count"], True),
            ("p50", unit, lambda cell: cell["percentiles"].get("p50"), False),
            ("p99", unit, lambda cell: cell["percentiles"].get("p99"), False),
        ]
    counts = record["kind"] == "count"
    title = "" if counts else str(record["kind"])
    return [(title, "" if counts else unit, lambda cell: cell["value"], _grows(record["kind"]))]


def _grows(kind: str) -> bool:
    return kind in _COUNTED


def _number_columns(title: str, unit: str, runs: int) -> Iterator[TableColumn]:
    letters = [letter_of(number) for number in range(runs)]
    for letter in letters:
        yield TableColumn(name=f"{title} {letter}".strip(), unit=unit)
    for letter in letters[1:]:
        yield TableColumn(name=f"{letter} - A", unit=unit, form="change")
        yield TableColumn(name=f"{letter} / A", unit="", form="ratio")


def _make_row(
    metric: ComparedMetric,
    identity: CellIdentity,
    keys: Sequence[str],
    numbers: Sequence[_ComparedNumber],
) -> list[Any]:
    described = describe_key(identity)
    row: list[Any] = [clean_value(key_column(described["key"].get(name, ""))) for name in keys]
    if described["other"] and row:
        row[0] = OTHER
    for _, _, read, grows in numbers:
        values = [
            _read_value(metric, number, identity, read, grows=grows)
            for number in range(len(metric.records))
        ]
        row += [clean_value(value) for value in values]
        for number, value in enumerate(values[1:], 1):
            row += _list_changes(metric, number, values[0], value, grows=grows)
    return row


def _read_value(
    metric: ComparedMetric, number: int, identity: CellIdentity, read: Reader, *, grows: bool
) -> Any:
    """None: not known. What a run did not count is 0, unless it may be in the cell `other`."""
    cells = metric.cells[number]
    if (cell := cells.get(identity)) is not None:
        return read(cell)
    has_all = metric.records[number] is not None and not any(one[0] for one in cells)
    return 0 if grows and has_all else None


def _list_changes(
    metric: ComparedMetric, number: int, first: Any, value: Any, *, grows: bool
) -> list[Any]:
    """The difference and the ratio; the ratio of rates, where runs took different times."""
    if first is None or value is None:
        return [None, None]
    change = clean_value(value - first)
    if not first:
        return [change, "new" if value else None]
    if not value:
        return [change, "gone" if grows else 0]
    ratio = value / first / (metric.scale_of(number) if grows else 1.0)
    return [change, round(ratio, 5)]


# ---------------------------------------------------------------- histograms


def list_compared_histograms(metric: ComparedMetric, budget: Budget) -> tuple[list[Any], int]:
    """Label and, of each run, values below and above and buckets (None: it has no such cell), as
    long as they fit; and how many keys are left out."""
    shown: list[Any] = []
    identities = metric.list_identities()
    for identity in identities:
        cells = [cells.get(identity) for cells in metric.cells]
        parts = [
            None
            if cell is None
            else [cell["below"], cell["above"], clean_buckets(list_buckets(metric.record, cell))]
            for cell in cells
        ]
        label = describe_cell(next(cell for cell in cells if cell is not None))
        entry = [clean_value(label) or "all", parts]
        if not budget.takes(entry):
            break
        shown.append(entry)
    return shown, len(identities) - len(shown)


# ---------------------------------------------------------------- what differs


def list_differences(sources: Sequence[RunSource]) -> Iterator[str]:
    """What keeps the numbers from being compared as they are."""
    if len({source.run["plan_sha256"] for source in sources}) > 1:
        yield "The plans' texts differ: numbers of the same name may mean different things."
    settings = [source.document["settings"] for source in sources]
    if names := [
        name for name in settings[0] if any(one[name] != settings[0][name] for one in settings)
    ]:
        yield f"The settings differ in {', '.join(names)}."
    for name, words in (("kernel", "kernels"), ("host", "hosts")):
        if len({source.run[name] for source in sources}) > 1:
            yield f"The {words} differ."
    if len({source.document["backend"] for source in sources}) > 1:
        yield "The backends differ."
    made = [source for source in sources if source.run["outcome"] not in UNMADE_OUTCOMES]
    seconds = [source.run["duration_ns"] / 1e9 for source in made]
    if seconds and max(seconds) - min(seconds) > _SAME_DURATION * max(seconds):
        yield "The runs took different times: ratios of counts and sums are those of their rates."
    for number, source in enumerate(sources):
        if source in made and source.run["complete"] is not True:
            letter = letter_of(number)
            yield f"{letter} is not known to be complete: its numbers are at least so much."
