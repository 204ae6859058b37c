"""Which metrics hist triggers count, and the text of the triggers."""

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.backends.tracefs.design.hist_triggers import (
    hist_use,
    table_bytes,
    trigger_text,
)
from orchestrator.backends.tracefs.design.layout import HistUse
from orchestrator.cells.buckets import LOG
from orchestrator.compile.expressions.nodes import Builtin, Comparison, Const, Convert, Node
from orchestrator.compile.expressions.types import U32, U64, Int
from orchestrator.compile.program import KeyField, MetricSpec, MetricUse

TID, COUNT = Builtin("tid", U32), Builtin("retval", U64)
NAMES: dict[Node, str] = {TID: "common_pid", COUNT: "ret"}


def spec(kind: Any = "count", keys: int = 1000) -> MetricSpec:
    return MetricSpec(
        index=4,
        probe="p",
        name="m",
        kind=kind,
        key=(KeyField(name="tid", form="u32", offset=0, size=4),),
        key_size=8,
        keys=keys,
        buckets=LOG,
        signed=False,
        unit="",
    )


def metric(*key: Node, value: Node | None = None, where: Node | None = None) -> MetricUse:
    return MetricUse(metric=4, key=key, value=value, where=where)


def use(**changes: Any) -> HistUse:
    made = hist_use(spec(), metric(TID), 2, NAMES, None)
    assert made is not None
    return replace(made, **changes)


def test_a_count_by_a_field_is_a_trigger() -> None:
    made = use()
    assert (made.metric, made.source, made.keys, made.value) == (4, 2, ("common_pid",), None)


@pytest.mark.parametrize(("kind", "to"), [(U32, U64), (Int(16, True), Int(64, True))])
def test_a_sum_needs_its_field(kind: Int, to: Int) -> None:
    field = Builtin("retval", kind)
    names: dict[Node, str] = {TID: "common_pid", field: "ret"}
    made = hist_use(spec("sum"), metric(TID, value=Convert(field, to)), 2, names, None)
    assert made is not None
    assert made.value == "ret"
    unknown = metric(TID, value=Builtin("elapsed", U64))
    assert hist_use(spec("sum"), unknown, 2, NAMES, None) is None


@pytest.mark.parametrize(
    ("kind", "uses"),
    [
        ("histogram", metric(TID, value=COUNT)),
        ("max", metric(TID, value=COUNT)),
        ("count", metric()),
        ("count", metric(TID, TID, TID, TID)),
        ("count", metric(Builtin("cpu", U32))),
        ("count", metric(TID, where=Comparison("==", TID, Const(1, U32)))),
    ],
    ids=["histogram", "max", "no key", "four keys", "key of no field", "condition"],
)
def test_everything_else_is_aggregated_in_user_space(kind: str, uses: MetricUse) -> None:
    assert hist_use(spec(kind), uses, 2, NAMES, None) is None


@pytest.mark.parametrize("value", [COUNT, Convert(COUNT, Int(64, True))])
def test_values_whose_sum_may_leave_64_bits_are_not_summed_by_the_kernel(value: Node) -> None:
    """A table keeps sums modulo 2^64, without a sign that one left them."""
    for kind in ("sum", "avg"):
        assert hist_use(spec(kind), metric(TID, value=value), 2, NAMES, None) is None


@pytest.mark.parametrize(
    ("keys", "size"), [(1, 128), (128, 128), (129, 256), (1 << 17, 1 << 17), (1 << 20, 1 << 17)]
)
def test_a_table_has_room_for_the_keys_as_far_as_the_kernel_allows(keys: int, size: int) -> None:
    made = hist_use(spec(keys=keys), metric(TID), 2, NAMES, None)
    assert made is not None
    assert made.size == size
    assert table_bytes(made) == 288 * size


@pytest.mark.parametrize(
    ("changes", "own", "state", "text"),
    [
        ({}, (), "", "hist:keys=common_pid:size=1024"),
        ({"value": "ret"}, (), "pause", "hist:keys=common_pid:vals=ret:size=1024:pause"),
        (
            {},
            ("7", "8"),
            "",
            "hist:keys=common_pid:size=1024 if common_pid != 7 && common_pid != 8",
        ),
        (
            {"condition": "a || b"},
            ("7",),
            "continue",
            "hist:keys=common_pid:size=1024:continue if (a || b) && common_pid != 7",
        ),
    ],
    ids=["plain", "sum", "own threads", "condition"],
)
def test_a_trigger_s_text(changes: dict[str, Any], own: Any, state: str, text: str) -> None:
    """A condition is put in brackets, so that our own threads stay excluded from all of it."""
    assert trigger_text(use(**changes), own, state) == text
