"""Figures of metrics: what is derived, warned of, and stopped at."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cells.buckets import LOG, Buckets
from orchestrator.cells.cell import Cell, merge_all
from orchestrator.compile.program import MetricSpec
from orchestrator.plan.expression.parse import parse
from orchestrator.plan.figures import CELL_NUMBERS
from orchestrator.plan.model import Limits
from orchestrator.run.metrics.figure_eval import (
    FigureValue,
    evaluate_figure,
    list_references,
    number_of_cell,
)
from orchestrator.run.metrics.figures import Counted, PlanFigures
from tests.support.fake_backend import Script, program
from tests.support.fake_runs import Ran, plan_of

NAMES: dict[str, FigureValue] = {
    "a": 7,
    "b": -2,
    "zero": 0,
    "none": None,
    "half": 0.5,
    "yes": True,
    "word": "cat",
    "p.m": 11,
    "p.h.p99": 12_000_000,
}
WHOLE: dict[str, FigureValue] = {**NAMES, "a": 700}


def value(text: str) -> FigureValue:
    root = parse(text, fractions=True).root
    return evaluate_figure(
        root, lambda path: NAMES[".".join(path)], lambda path: WHOLE[".".join(path)]
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a / b", -3.5), ("a // b", -3), ("a % b", 1), ("-a // 2", -3), ("-a % 2", -1),
        ("a / zero", None), ("a // zero", None), ("a % zero", None), ("half // 0.25", 2),
        ("none + 1", None), ("none > 1", None), ("not none", None), ("none or a > 1", True),
        ("none and a > 100", False), ("none or a > 100", None), ("1 if none else 2", None),
        ("p.m + 1", 12), ("p.h.p99 > 10*ms", True), ("1 < p.m < 20", True), ("min(a, b)", -2),
        ("max(a, 2.5)", 7), ("total(a) - a", 693), ("total(a + total(a))", 1400),
        ("word == 'cat'", True), ("word not in ('cat', 'dog')", False), ("yes and a", True),
        ("2 if a in (1, 7) else 3", 2), ("4*KiB", 4096), ("1e308 * 10", None),
        ("1e308 * 10 - 1e308 * 10", None), ("half * half", 0.25),
    ],
)  # fmt: skip
def test_what_an_expression_over_metrics_is_worth(text: str, expected: FigureValue) -> None:
    """Whole numbers divide as in C, `/` makes fractions; what has no value spreads as null."""
    found = value(text)
    assert found == expected
    assert isinstance(found, bool) == isinstance(expected, bool)


whole = st.integers(-(2**80), 2**80)


@given(left=whole, right=whole.filter(bool))
def test_whole_numbers_divide_exactly_and_towards_zero(left: int, right: int) -> None:
    """However large: quotient and remainder make the number again, and the remainder is smaller."""
    names = {"l": left, "r": right}
    look = lambda path: names[path[0]]  # noqa: E731
    quotient = evaluate_figure(parse("l // r").root, look, look)
    rest = evaluate_figure(parse("l % r").root, look, look)
    assert isinstance(quotient, int)
    assert isinstance(rest, int)
    assert quotient == int(Fraction(left, right))
    assert quotient * right + rest == left


def test_what_a_condition_names_is_told_as_it_is_written() -> None:
    """Units are none of it; what is within total() says so."""
    root = parse("total(p.m + q.n) > 3*ms and elapsed > params.x").root
    assert [name for name, _, _ in list_references(root)] == [
        *("total(p.m)", "total(q.n)", "elapsed", "params.x")
    ]


# ---------------------------------------------------------------- numbers of cells


def spec(kind: Any) -> MetricSpec:
    return MetricSpec(
        index=0, probe="p", name="m", kind=kind, key=(), key_size=0, keys=1, buckets=Buckets(),
        signed=False, unit="",
    )  # fmt: skip


FULL = Cell(key=b"", count=4, sum=40, min=1, max=30, buckets={LOG.index(5): 3}, above=1)


@pytest.mark.parametrize("kind", list(CELL_NUMBERS))
def test_every_number_that_the_language_names_can_be_read(kind: Any) -> None:
    """Of a cell that holds something, null is but a percentile that lies above all buckets."""
    found = {name: number_of_cell(spec(kind), FULL, name) for name in CELL_NUMBERS[kind]}
    expected: dict[str, dict[str, Any]] = {
        "count": {"value": 4, "count": 4},
        "sum": {"value": 40, "sum": 40, "count": 4, "avg": 10},
        "min": {"value": 1, "min": 1},
        "max": {"value": 30, "max": 30},
        "avg": {"value": 10, "avg": 10, "sum": 40, "count": 4},
        "histogram": {
            "count": 4,
            "below": 0,
            "above": 1,
            "p50": 5,
            "p75": 5,
            **dict.fromkeys(("p90", "p95", "p99", "p99_9")),
        },
    }
    assert found == expected[kind]


def test_cells_are_merged_as_if_there_had_been_no_key() -> None:
    """Counts, sums and buckets add up; extremes compete; a cell without any has no say."""
    cells = [
        Cell(key=b"a", count=2, sum=5, min=2, max=9, buckets={3: 1, 4: 1}, below=1),
        Cell(key=b"b", count=1, sum=7, min=1, max=4, buckets={4: 5}, above=2),
        Cell(key=None, count=1),
    ]
    assert merge_all(cells) == Cell(
        key=b"", count=4, sum=12, min=1, max=9, buckets={3: 1, 4: 6}, below=1, above=2
    )
    assert merge_all([]) == Cell(key=b"")


# ---------------------------------------------------------------- figures of a plan


def counted(elapsed_ns: int = 10**9, **calls: int) -> Counted:
    cells = [Cell(key=comm.encode().ljust(16, b"\0"), count=n) for comm, n in calls.items()]
    return Counted(cells={0: cells}, elapsed_ns=elapsed_ns)


FIGURES = """
derive:
  share: {value: opens.calls / total(opens.calls), unit: "%", warn: value >= 0.5 and rate > 1}
  rate: {value: opens.calls * s / elapsed}
stop_when: rate > params.most and share < 1
"""


def test_figures_lean_on_each_other_and_on_what_was_counted_so_far() -> None:
    """A metric with a key is all its cells; a window's figure and the total one differ."""
    figures = PlanFigures(plan_of(FIGURES), program())
    now, so_far = counted(2 * 10**9, cat=6, dog=2), counted(8 * 10**9, cat=10, dog=6)
    assert figures.derive(now, so_far) == {"share": 0.5, "rate": 4.0}
    assert figures.derive(so_far, so_far) == {"share": 1.0, "rate": 2.0}
    assert figures.check_stop(now, so_far) == {
        "condition": "rate > params.most and share < 1",
        "numbers": {"rate": 4.0, "params.most": 3, "share": 0.5},
    }
    assert figures.check_stop(so_far, so_far) is None


def test_a_figure_without_a_value_warns_of_nothing_and_stops_nothing() -> None:
    """0 / 0 is null, and so is every comparison with it."""
    figures = PlanFigures(plan_of(FIGURES), program())
    nothing = counted()
    assert figures.derive(nothing, nothing) == {"share": None, "rate": 0}
    assert figures.list_warnings(nothing, nothing) == []
    assert figures.check_stop(nothing, nothing) is None


def test_a_warning_names_the_cells_that_it_holds_for_the_largest_first() -> None:
    """Each with the numbers it was judged by; what is too much is counted."""
    figures = PlanFigures(plan_of("", warn="value > params.most"), program())
    many = counted(**{f"c{i:02}": i for i in range(26)})
    [warning] = figures.list_warnings(many, many)
    assert (warning["probe"], warning["metric"], warning["condition"]) == (
        *("opens", "calls"),
        "value > params.most",
    )
    assert warning["cells"][0] == {
        "key": {"comm": "c25"},
        "other": False,
        "numbers": {"value": 25, "params.most": 3},
    }
    assert [cell["numbers"]["value"] for cell in warning["cells"]] == list(range(25, 5, -1))
    assert warning["cells_omitted"] == 2


# ---------------------------------------------------------------- in a run


def of_kind(ran: Ran, kind: str) -> list[dict[str, Any]]:
    return [line for line in ran.lines if line["event"] == kind]


def test_stop_when_ends_a_run_as_a_success_and_tells_its_numbers(ran: Ran) -> None:
    """The outcome says so, and the condition with what held is a separate record."""
    what = program(Limits(duration_ns=60_000_000_000), every_ns=20_000_000)
    result = ran.go(
        Script(batches=[[1, 2], [3]]),
        what,
        plan=plan_of("stop_when: total(opens.calls) > 2 and 0.5 < 1"),
    )
    assert (result.exit_code, result.outcome) == (0, "stop_when")
    [stop] = of_kind(ran, "stop.reached")
    assert stop["numbers"] == {"total(opens.calls)": 3}
    assert stop["condition"] == "total(opens.calls) > 2 and 0.5 < 1"
    assert result.stopped is not None
    assert result.stopped["numbers"] == stop["numbers"]
    assert ran.lines[-1]["outcome"] == "stop_when"


def test_stop_when_judges_each_second_where_there_are_no_windows(ran: Ran, monkeypatch) -> None:
    """And then no window is written: only the totals."""
    monkeypatch.setattr("orchestrator.run.metrics.windows.STOP_WINDOW_NS", 20_000_000)
    ran.go(
        Script(batches=[[1]]),
        program(Limits(duration_ns=60_000_000_000)),
        plan=plan_of("stop_when: opens.calls == 0 and total(opens.calls) == 1"),
    )
    assert ran.lines[-1]["outcome"] == "stop_when"
    assert [line["total"] for line in of_kind(ran, "metric.reported")] == [True]


def test_windows_and_totals_have_their_figures_and_warnings(ran: Ran) -> None:
    """Each window says what was derived of it and what it warns of; the exit code stays 0."""
    figures = "derive: {double: {value: opens.calls * 2 / 1, unit: things, warn: value > 3}}"
    result = ran.go(
        Script(batches=[[1, 2]]),
        program(Limits(duration_ns=50_000_000), every_ns=20_000_000),
        plan=plan_of(figures, warn="value >= 2"),
    )
    assert result.exit_code == 0
    derived = of_kind(ran, "figure.reported")
    values = [line["values"]["double"] for line in derived if not line["total"]]
    assert sum(values) == 4
    assert [line["values"] for line in derived if line["total"]] == [{"double": 4.0}]
    warnings = of_kind(ran, "metric.warned")
    assert {line["level"] for line in warnings} == {"warning"}
    assert [(line["probe"], line["metric"], line["total"]) for line in warnings] == [
        ("opens", "calls", False), (None, "double", False),
        ("opens", "calls", True), (None, "double", True),
    ]  # fmt: skip
    assert warnings[0]["cells"] == [
        {"key": {"comm": "cat"}, "other": False, "numbers": {"value": 2}}
    ]
    assert warnings[1]["cells"] == [{"key": {}, "other": False, "numbers": {"value": 4.0}}]
    assert result.figures is not None
    assert result.figures["display_units"] == {"double": "things"}
    assert len(result.warnings) == 2
