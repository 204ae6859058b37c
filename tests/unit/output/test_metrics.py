"""Records of metrics: keys decoded, values by kind, the largest cells first."""

import json
from typing import Any

import orjson
import pytest

from orchestrator.cells.buckets import LOG, Buckets
from orchestrator.cells.cell import Cell
from orchestrator.compile.program import KeyField, MetricSpec, Presentation
from orchestrator.output.fields import no_stacks
from orchestrator.output.metrics import (
    bound_cells,
    describe_layout,
    merge_same_names,
    metric_fields,
)
from orchestrator.output.percentiles import histogram_fields
from tests.support.records import COMMON
from tests.support.samples import STAMP
from tests.unit.output.json_lines.test_lines import VALIDATOR


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


def test_one_address_seen_by_sockets_of_both_versions_is_one_cell() -> None:
    """They are two keys in the kernel and one text here: a reader would take the first for all."""
    address = bytes([192, 0, 2, 1])
    ip = KeyField(name="to", form="ip", offset=0, size=20)
    keys = (
        b"\4\0\0\0" + address + bytes(12),
        b"\6\0\0\0" + bytes(10) + b"\xff\xff" + address,
        b"\6\0\0\0" + bytes(15) + b"\1",
    )
    cells = [Cell(key=key, count=count) for key, count in zip(keys, (3, 4, 5), strict=True)]
    record = metric_fields(
        spec("count", key=(ip,), key_size=20), cells, start=STAMP, end=STAMP, total=True
    )
    shown = [(cell["key"], cell["value"]) for cell in record["cells"]]
    assert shown == [({"to": "192.0.2.1"}, 7), ({"to": "::1"}, 5)]


def test_all_that_is_no_error_is_one_cell_of_a_key_by_error() -> None:
    """Results such as numbers of bytes are many keys in the kernel, and none of them has a name."""
    error = KeyField(
        name="error", form="s64", offset=0, size=8, presentation=Presentation(form="errno")
    )
    cells = [
        Cell(key=number.to_bytes(8, "little", signed=True), count=count)
        for number, count in ((4096, 3), (100, 4), (-2, 9))
    ]
    record = metric_fields(
        spec("count", key=(error,), key_size=8), cells, start=STAMP, end=STAMP, total=True
    )
    shown = [(cell["key"], cell["value"]) for cell in record["cells"]]
    assert shown == [({"error": "ENOENT"}, 9), ({"error": None}, 7)]
    VALIDATOR.validate(
        {"ts": STAMP, "level": "info", "event": "metric.reported", **COMMON, **record}
    )


@pytest.mark.parametrize("kind", ["count", "sum", "min", "max", "avg", "histogram"])
def test_metric_records_are_valid_and_sorted_with_other_last(kind: str) -> None:
    """Keys by name, largest first, `other` last, whatever the kind."""
    cells = [
        Cell(key=None, count=99, sum=990, min=1, max=99, buckets={LOG.index(50): 99}),
        Cell(
            key=key(b"caf\xe9", -2),
            count=2,
            sum=10,
            min=9,
            max=9,
            buckets={LOG.index(9): 2},
            below=1,
        ),
        Cell(key=key(b"big", 5), count=7, sum=70, min=3, max=30, buckets={LOG.index(10): 7}),
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
    cells = [Cell(key=key(b"c", i), count=i) for i in range(5)] + [Cell(key=None, count=3)]
    record = metric_fields(spec("count", top=2), cells, start=STAMP, end=STAMP, total=False)
    assert [cell["value"] for cell in record["cells"]] == [4, 3, 3]
    assert record["cells_omitted"] == 3


def test_a_whole_record_has_all_cells_and_is_bounded_like_the_logged_one() -> None:
    cells = [Cell(key=key(b"c", i), count=i) for i in range(5)] + [Cell(key=None, count=3)]
    bounded = spec("count", top=2)
    times = {"start": STAMP, "end": STAMP, "total": True}
    whole = metric_fields(bounded, cells, **times, whole=True)
    assert [cell["value"] for cell in whole["cells"]] == [4, 3, 2, 1, 0, 3]
    assert whole["cells_omitted"] == 0
    assert bound_cells(bounded, whole) == metric_fields(bounded, cells, **times)


def test_a_layout_is_written_as_in_a_plan() -> None:
    linear = Buckets(kind="linear", low=-10, high=30, step=10)
    assert describe_layout(spec("histogram", buckets=linear)) == "linear(-10, 30, 10)"
    assert describe_layout(spec("histogram")) == "log(16)"
    assert describe_layout(spec("sum")) is None


def test_a_histogram_cell_says_all_of_its_values() -> None:
    """Count includes what lies outside; edges are whole numbers and included."""
    linear = Buckets(kind="linear", low=0, high=30, step=10)
    cell = Cell(key=b"", buckets={0: 4, 2: 5}, below=1, above=2, sum=120)
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


@pytest.mark.parametrize(
    ("total", "shown"), [(1 << 65, (1 << 64) - 1), (-(1 << 64), -(1 << 63)), (1 << 63, 1 << 63)]
)
def test_sums_beyond_64_bits_are_marked_and_the_nearest_word(total: int, shown: int) -> None:
    """Readers of JSON expect 64 bits; an average is of the whole sum."""
    cell = Cell(key=b"", count=4, sum=total)
    mark = {} if shown == total else {"saturated": True}
    for kind, name in (("sum", "value"), ("avg", "sum")):
        record = metric_fields(
            spec(kind, key=()), [cell], start=STAMP, end=STAMP, total=True
        )  # fmt: skip
        VALIDATOR.validate(
            {"ts": STAMP, "level": "info", "event": "metric.reported", **COMMON, **record}
        )
        (made,) = record["cells"]
        assert made[name] == shown
        assert {key: made[key] for key in made if key == "saturated"} == mark
        assert json.loads(orjson.dumps(made)) == made
    assert made["value"] == total / 4


def test_cells_of_one_label_are_one() -> None:
    """Numbers that are shown alike add up, under a key that does not depend on which there are."""
    part = KeyField(
        name="op",
        form="u32",
        offset=0,
        size=4,
        presentation=Presentation(names={1: "a", 2: "a", 0: "b"}, otherwise="rest"),
    )
    of = spec("count", key=(part,), key_size=8)

    def keys(*numbers: int) -> list[tuple[bytes | None, int]]:
        cells = [Cell(key=n.to_bytes(4, "little") + bytes(4), count=1) for n in numbers]
        merged = merge_same_names(of, cells, no_stacks)
        return [(cell.key, cell.count) for cell in merged]

    assert keys(2, 1, 0, 9, 8) == [
        (bytes([1, *[0] * 7]), 2),
        (bytes(8), 1),
        (bytes([3, *[0] * 7]), 2),
    ]
    assert keys(8) == [(bytes([3, *[0] * 7]), 1)]
