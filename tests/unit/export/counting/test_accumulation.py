"""However windows are lost, what the totals list is exact at the end, and nothing goes down."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cells.buckets import LOG
from orchestrator.export.series import SeriesStore
from orchestrator.export.snapshot import HistogramCounts, Snapshot
from tests.support.export_records import histogram_cell, metric_record, number_cell, record_of

#: What one window counted: values by key.
WINDOWS = st.lists(
    st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(0, 5000), min_size=1)),
    max_size=5,
)
#: Which of the windows are read.
READ = st.lists(st.booleans(), min_size=5, max_size=5)


def records_of(run: str, counted: dict[str, list[int]], *, total: bool) -> list[dict[str, Any]]:
    counts = [number_cell(len(values), {"name": key}) for key, values in counted.items()]
    histograms = [
        histogram_cell(_pairs(values), key={"name": key}) for key, values in counted.items()
    ]
    layout = {"metric": "took", "kind": "histogram", "layout": "log(16)"}
    return [
        metric_record(counts, total=total, run_id=run),
        metric_record(histograms, total=total, run_id=run, **layout),
    ]


def _pairs(values: list[int]) -> list[list[int]]:
    counts = Counter(LOG.upper_edge(LOG.index(value)) for value in values)
    return [[edge, counts[edge]] for edge in sorted(counts)]


def read_values(snapshot: Snapshot) -> dict[Any, float]:
    found: dict[Any, float] = {}
    for family in snapshot.families:
        for sample in family.samples:
            labels = dict(sample.labels)
            if isinstance(sample.value, HistogramCounts):
                for index, count in sample.value.counts.items():
                    found[labels["name"], index] = count
            elif family.name == "probeplan_calls":
                found[labels["name"]] = sample.value
    return found


@given(st.lists(st.tuples(WINDOWS, READ), min_size=1, max_size=3), st.booleans())
def test_totals_are_exact_and_nothing_goes_down(
    runs: list[tuple[list[dict[str, list[int]]], list[bool]]], at_once: bool
) -> None:
    streams, truth = [], Counter[Any]()
    for number, (windows, read) in enumerate(runs):
        run, whole = f"r{number}", dict[str, list[int]]()
        records = [record_of("run.started", run_id=run)]
        for window, is_read in zip(windows, read, strict=False):
            for key, values in window.items():
                whole.setdefault(key, []).extend(values)
            records += records_of(run, window, total=False) if is_read else []
        records += [*records_of(run, whole, total=True), record_of("run.finished", run_id=run)]
        streams.append(records)
        for key, values in whole.items():
            truth[key] += len(values)
            truth.update((key, LOG.index(value)) for value in values)
    store, before = SeriesStore(), dict[Any, float]()
    for record in _interleave(streams) if at_once else [one for each in streams for one in each]:
        store.accept(record)
        now = read_values(store.snapshot())
        assert all(now[place] >= count for place, count in before.items())
        before = now
    assert before == truth


def _interleave(streams: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    longest = max(map(len, streams))
    return [stream[at] for at in range(longest) for stream in streams if at < len(stream)]
