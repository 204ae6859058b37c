"""Whatever a line says, it is counted once, and what is exported can be read."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.export.prometheus.exposition import render_text
from orchestrator.export.series import SeriesStore
from tests.support.export_records import histogram_cell, metric_record, number_cell, record_of
from tests.support.samples import lifecycle

NUMBERS = st.integers(-(1 << 70), 1 << 70) | st.just(10**400) | st.floats()
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(max_size=8) | st.just("2026-01-01")
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
RECORDS = [
    *(record_of(event) for event in lifecycle()),
    metric_record([number_cell(3, {"comm": "a"}), number_cell(1, other=True)]),
    metric_record([{**number_cell(3), "count": 2}], kind="sum", unit="ns", total=True),
    metric_record([{**number_cell(3), "sum": 6, "count": 2}], kind="avg", metric="mean"),
    metric_record([histogram_cell([[5, 2]])], kind="histogram", layout="log(16)", metric="took"),
]


def _list_places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            found += _list_places(item, (*path, key))
    return found


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A record with another value in one or two places, or without one."""
    record = copy.deepcopy(draw(st.sampled_from(RECORDS)))
    for _ in range(draw(st.integers(0, 2))):
        places = _list_places(record)
        if not places:
            continue
        *path, last = draw(st.sampled_from(places))
        holder = record
        for key in path:
            holder = holder[key]
        if draw(st.booleans()) and isinstance(holder, dict):
            del holder[last]
        else:
            holder[last] = draw(VALUES)
    return record


@given(st.lists(damaged(), max_size=12))
def test_each_line_is_counted_once_and_all_can_be_read(records: list[dict[str, Any]]) -> None:
    store = SeriesStore(max_series=3)
    for record in records:
        store.accept(record)
    text = render_text(store.snapshot(), 4).decode()
    series: dict[Any, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            place = (sample.name, *sorted(sample.labels.items()))
            assert place not in series
            series[place] = sample.value
    lines = sum(
        value
        for (name, *_), value in series.items()
        if name in ("probeplan_export_records_total", "probeplan_export_lines_skipped_total")
    )
    assert lines == len(records)
