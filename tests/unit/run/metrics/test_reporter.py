"""What a run writes of its metrics: windows, totals, figures, warnings and its stop."""

from typing import Any

from orchestrator.plan.model import Limits
from tests.support.fake_backend import Script, program
from tests.support.fake_runs import Ran, plan_of


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
