"""Histogram arithmetic and what metric records make of it."""

import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.compile.histogram import (
    BUCKETS,
    RELATIVE_ERROR,
    LinearBuckets,
    bucket_index,
    bucket_middle,
    lower_edge,
    upper_edge,
)
from orchestrator.compile.program import KeyField, MetricSpec
from orchestrator.output.metrics import metric_fields
from orchestrator.output.percentiles import PERCENTILES, histogram_fields, percentile
from orchestrator.plan.model import Buckets
from tests.support.records import COMMON
from tests.support.samples import STAMP
from tests.unit.output.json_lines.test_lines import VALIDATOR

U64 = st.integers(0, 2**64 - 1)
VALUES = st.one_of(U64, st.integers(0, 64).flatmap(lambda bits: st.integers(0, 2**bits - 1)))
LINEAR = st.builds(
    lambda low, size, step: LinearBuckets(low=low, high=low + size, step=step),
    st.integers(-1000, 1000), st.integers(1, 500), st.integers(1, 60),
)  # fmt: skip


@given(value=VALUES)
def test_a_value_lies_within_its_bucket_and_near_its_middle(value: int) -> None:
    """At most 3.2 % away, over all 64 bits; exact below 16."""
    index = bucket_index(value)
    assert 0 <= index < BUCKETS
    assert lower_edge(index) <= value <= upper_edge(index)
    assert abs(bucket_middle(index) - value) <= RELATIVE_ERROR * value
    assert RELATIVE_ERROR <= 0.032


def test_buckets_cover_all_values_without_gap_or_overlap() -> None:
    """976 buckets from 0 to 2**64 - 1, as the kernel's programs have them."""
    edges = [(lower_edge(index), upper_edge(index)) for index in range(BUCKETS)]
    assert edges[0] == (0, 0)
    assert edges[-1][1] == 2**64 - 1
    assert all(upper + 1 == lower for (_, upper), (lower, _) in pairwise(edges))
    for index, (lower, upper) in enumerate(edges):
        assert bucket_index(lower) == bucket_index(upper) == index


@given(buckets=LINEAR, value=st.integers(-2000, 3000))
def test_linear_buckets_hold_their_values_and_say_what_lies_outside(
    buckets: LinearBuckets, value: int
) -> None:
    """-1 below all, count above all."""
    index = buckets.index(value)
    assert (index == -1) == (value < buckets.low)
    assert (index == buckets.count) == (value >= buckets.high)
    if 0 <= index < buckets.count:
        assert buckets.lower_edge(index) <= value <= buckets.upper_edge(index)


def true_percentile(values: list[int], permille: int) -> int:
    """Nearest rank, by sorting."""
    return sorted(values)[max(1, math.ceil(len(values) * permille / 1000)) - 1]


@given(values=st.lists(VALUES, min_size=1, max_size=200))
def test_percentiles_are_within_their_error(values: list[int]) -> None:
    """Of the true percentile of the values themselves."""
    counts = Counter(map(bucket_index, values))
    for permille in PERCENTILES.values():
        true = true_percentile(values, permille)
        found = percentile(counts, permille)
        assert found is not None
        assert abs(found - true) <= RELATIVE_ERROR * true


@given(buckets=LINEAR, values=st.lists(st.integers(-2000, 3000), min_size=1, max_size=100))
def test_linear_percentiles_are_within_half_a_step_or_null(
    buckets: LinearBuckets, values: list[int]
) -> None:
    """Null where the true one lies outside of the buckets."""
    counts = Counter(map(buckets.index, values))
    below, above = counts.pop(-1, 0), counts.pop(buckets.count, 0)
    for permille in PERCENTILES.values():
        true = true_percentile(values, permille)
        found = percentile(counts, permille, below=below, above=above, linear=buckets)
        assert (found is None) == (not buckets.low <= true < buckets.high)
        assert found is None or abs(found - true) <= buckets.step / 2


def test_nothing_counted_has_no_percentiles() -> None:
    """Null, not zero."""
    fields = histogram_fields({})
    assert fields["count"] == 0
    assert set(fields["percentiles"].values()) == {None}


@dataclass(frozen=True)
class Cell:
    """A cell as a backend delivers it."""

    key: bytes | None
    count: int = 0
    sum: int = 0
    min: int | None = None
    max: int | None = None
    buckets: dict[int, int] = field(default_factory=dict)
    below: int = 0
    above: int = 0


def spec(kind: Any, **changes: Any) -> MetricSpec:
    """A metric keyed by comm and a signed number."""
    key = (
        KeyField(name="comm", form="string", offset=0, size=16),
        KeyField(name="code", form="s32", offset=16, size=4),
    )
    values = {
        "index": 0, "probe": "read", "name": "m", "kind": kind, "key": key, "key_size": 24,
        "keys": 10, "buckets": Buckets(), "signed": True, "unit": "ns", **changes,
    }  # fmt: skip
    return MetricSpec(**values)


def key(comm: bytes, code: int) -> bytes:
    """A packed key with its padding."""
    return comm.ljust(16, b"\0") + code.to_bytes(4, "little", signed=True) + bytes(4)


@pytest.mark.parametrize("kind", ["count", "sum", "min", "max", "avg", "histogram"])
def test_metric_records_are_valid_and_sorted_with_other_last(kind: str) -> None:
    """Keys by name, largest first, `other` last, whatever the kind."""
    cells = [
        Cell(None, 99, 990, 1, 99, {bucket_index(50): 99}),
        Cell(key(b"caf\xe9", -2), 2, 10, 9, 9, {bucket_index(9): 2}, below=1),
        Cell(key(b"big", 5), 7, 70, 3, 30, {bucket_index(10): 7}),
    ]
    record = metric_fields(spec(kind), cells, start=STAMP, end=STAMP, total=True)
    VALIDATOR.validate(
        {"ts": STAMP, "level": "info", "event": "metric.reported", **COMMON, **record}
    )
    assert [cell["other"] for cell in record["cells"]] == [False, False, True]
    assert record["cells"][0]["key"] == {"comm": "big", "code": 5}
    assert record["cells"][1]["key"] == {"comm": "caf\\xe9", "code": -2}


def test_top_bounds_the_cells_and_tells_how_many_are_left_out() -> None:
    """The cell `other` is not one of them."""
    cells = [Cell(key(b"c", i), count=i) for i in range(5)] + [Cell(None, count=3)]
    record = metric_fields(spec("count", top=2), cells, start=STAMP, end=STAMP, total=False)
    assert [cell["value"] for cell in record["cells"]] == [4, 3, 3]
    assert record["cells_omitted"] == 3


def test_a_histogram_cell_says_all_of_its_values() -> None:
    """Count includes what lies outside; edges are whole numbers and included."""
    linear = Buckets(kind="linear", low=0, high=30, step=10)
    cell = Cell(b"", buckets={0: 4, 2: 5}, below=1, above=2, sum=120)
    made = metric_fields(
        spec("histogram", buckets=linear, key=()), [cell], start=STAMP, end=STAMP, total=True
    )
    (shown,) = made["cells"]
    assert shown["count"] == 12
    assert shown["buckets"] == [[9, 4], [29, 5]]
    assert shown["percentiles"] == {
        "p50": 24.5,
        "p75": 24.5,
        "p90": None,
        "p95": None,
        "p99": None,
        "p99.9": None,
    }
    assert (shown["relative_error"], shown["absolute_error"]) == (None, 5)
    assert histogram_fields({1: 1})["absolute_error"] is None
    assert "sum" not in shown, "the kernel keeps none, and 0 would look like one"
