"""The values of an expectation's subject over the repeats, as series that are judged alone."""

from collections.abc import Iterable, Sequence

from orchestrator.check.expectation.figures import CellKey, RunCounts, SubjectReader, Valued
from orchestrator.plan.expression.syntax import SyntaxNode
from orchestrator.values import dataclass

__all__ = ["SeriesId", "build_series", "list_series", "runs_of_series"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesId:
    """What a series is of. `key`: of the only cell (None: all). `sizes`: the numbers of operations
    of its runs, two for their difference; empty: whichever there is."""

    key: CellKey | None = None
    sizes: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """In words; "" for the only series of an expectation."""
        parts = [f"{name} {value}" for name, value in self.key or ()]
        if len(self.sizes) == 1:
            parts.append(f"ops {self.sizes[0]}")
        return ", ".join(parts)


def list_series(
    subject: SyntaxNode,
    reader: SubjectReader,
    runs: Sequence[RunCounts],
    *,
    each: bool,
    ops: tuple[int, ...],
) -> list[SeriesId]:
    """The series of a subject: one, or one for each cell (`each`); with two numbers of operations
    that it does not name, those of each number. Raises UnlikeKey."""
    sizes: list[tuple[int, ...]] = [()]
    if len(ops) == 2:
        differs = reader.names.reads_operations(subject)
        sizes = [(min(ops), max(ops))] if differs else [(size,) for size in ops]
    keys: list[CellKey | None] = [None]
    if each:
        found = {key for run in runs for key in reader.list_keys(subject, run)}
        keys = [*sorted(found, key=repr)] or [None]
    return [SeriesId(key=key, sizes=size) for key in keys for size in sizes]


def build_series(
    series: SeriesId, subject: SyntaxNode, reader: SubjectReader, runs: Iterable[RunCounts]
) -> list[Valued]:
    """The values of a series, in order of the repeats. Raises UnlikeKey."""
    pairs = runs_of_series(series, runs)
    return [reader.value(subject, run, less, series.key) for run, less in pairs]


def runs_of_series(
    series: SeriesId, runs: Iterable[RunCounts]
) -> list[tuple[RunCounts, RunCounts | None]]:
    """The runs that a series has a value of, in order of the repeats: each with the smaller run
    that is subtracted, if one is."""
    by_size: dict[int, list[RunCounts]] = {}
    everything: list[RunCounts] = []
    for run in runs:
        by_size.setdefault(run.ops, []).append(run)
        everything.append(run)
    match series.sizes:
        case (low, high):
            pairs = zip(by_size.get(low, []), by_size.get(high, []), strict=False)
            return [(more, less) for less, more in pairs]
        case (size,):
            everything = by_size.get(size, [])
    return [(run, None) for run in everything]
