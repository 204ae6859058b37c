"""What `--update` makes of a baseline. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

from orchestrator.cells.cell import merge_all
from orchestrator.check.baseline.model import (
    MAX_CELLS,
    Baseline,
    BaselineEntry,
    RecordedMetric,
    RecordedProbe,
    RecordedRepeat,
    key_of_measurement,
)
from orchestrator.check.measurement import MeasuredCell, Measurement

__all__ = ["UpdateMode", "record_entry", "update_baseline"]

#: new: what the baseline has not; all: everything of this architecture and kernel again.
UpdateMode = Literal["new", "all"]


def update_baseline(
    stored: Baseline | None,
    check: str,
    measurement: Measurement,
    recorded: str,
    mode: UpdateMode,
) -> Baseline:
    """The baseline with what was measured. Entries of other keys stay as they are. `recorded`: the
    time, in UTC. With nothing to change, it is `stored` itself."""
    fresh = record_entry(measurement, recorded)
    if stored is None:
        return Baseline(check=check, entries=(fresh,))
    own = next((entry for entry in stored.entries if entry.key == fresh.key), None)
    if own is None:
        return replace(stored, check=check, entries=(*stored.entries, fresh))
    changed = fresh if mode == "all" else _add_missing(own, fresh)
    if changed is own:
        return stored
    entries = tuple(changed if entry is own else entry for entry in stored.entries)
    return replace(stored, check=check, entries=entries)


def _add_missing(own: BaselineEntry, fresh: BaselineEntry) -> BaselineEntry:
    """The entry with the metrics that it has not; what it has is not touched."""
    missing = {name: one for name, one in fresh.metrics.items() if name not in own.metrics}
    if not missing:
        return own
    return replace(own, metrics={**own.metrics, **missing}, probes={**fresh.probes, **own.probes})


def record_entry(measurement: Measurement, recorded: str) -> BaselineEntry:
    """An entry with all that was measured."""
    return BaselineEntry(
        key=key_of_measurement(measurement),
        environment=measurement.environment,
        recorded=recorded,
        probes={
            name: RecordedProbe(
                mechanisms=probe.mechanisms, alternative=probe.alternative, place=probe.place
            )
            for name, probe in measurement.probes.items()
        },
        metrics={
            f"{owner}.{name}": RecordedMetric(
                digest=identity.digest,
                repeats=tuple(
                    RecordedRepeat(ops=run.ops, cells=_keep_cells(run.cells[owner][name]))
                    for run in measurement.repeats
                    if name in run.cells.get(owner, {})
                ),
            )
            for owner, metrics in measurement.metrics.items()
            for name, identity in metrics.items()
        },
        maxrss=tuple((run.ops, run.maxrss_bytes) for run in measurement.repeats),
        times=tuple(_list_times(measurement)),
    )


def _list_times(measurement: Measurement) -> Iterator[tuple[int, int, int, int]]:
    """Of a machine alone: those of a host are no measure for later ones."""
    if measurement.environment.machine:
        for run in measurement.repeats:
            yield run.ops, run.wall_ns, run.user_ns, run.sys_ns


def _keep_cells(cells: Iterable[MeasuredCell]) -> tuple[MeasuredCell, ...]:
    """The cells in order of their keys; of more than MAX_CELLS the ones with the most events, and
    the others as one without a key."""
    by_size = sorted(cells, key=lambda cell: (cell.key is None, -cell.count, _order(cell)))
    kept, cut = by_size[:MAX_CELLS], by_size[MAX_CELLS:]
    rest = (_merge_cells(cut),) if cut else ()
    return (*sorted(kept, key=_order), *rest)


def _order(cell: MeasuredCell) -> str:
    return "" if cell.key is None else repr(sorted(cell.key.items()))


def _merge_cells(cells: list[MeasuredCell]) -> MeasuredCell:
    merged = merge_all(cell.to_cell() for cell in cells)
    return MeasuredCell(
        key=None,
        value=merged.count,
        count=merged.count,
        sum=merged.sum,
        min=merged.min,
        max=merged.max,
        buckets=merged.buckets,
        below=merged.below,
        above=merged.above,
    )
