"""Metrics that figures combine are read at one moment where events leave a gap for it."""

import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from orchestrator.accounting.count import UNKNOWN, Count
from orchestrator.backends.protocol import MetricsReading
from orchestrator.cells.cell import Cell
from orchestrator.output.wall_clock import WallClock
from orchestrator.run.metrics.figures import combined_metrics
from orchestrator.run.metrics.reading import read_together
from orchestrator.run.metrics.reporter import MetricReporter
from tests.support.fake_backend import program
from tests.support.fake_runs import plan_of

SIZE = 4093


@dataclass
class MovingSession:
    """Each event counts 1 in metric 0 and SIZE in metric 1. `between`: how many events come between
    reading the one and the other, for each reading; then none."""

    between: list[int] = field(default_factory=list)
    counted: int = 0
    asked: list[frozenset[int]] = field(default_factory=list)

    def metrics_together(self, together: Collection[int]) -> MetricsReading:
        self.asked.append(frozenset(together))
        calls = Cell(key=b"", count=self.counted)
        moved = self.between.pop(0) if self.between else 0
        self.counted += moved
        volume = Cell(key=b"", count=self.counted, sum=self.counted * SIZE)
        apart = moved if together else 0
        return MetricsReading(cells={0: [calls], 1: [volume]}, events_apart=apart)

    def ratio(self, together: Collection[int] = (0, 1)) -> float:
        cells = read_together(self.metrics_together, together).cells
        return cells[1][0].sum / cells[0][0].count


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of this test goes on by pauses alone."""
    now = [0]

    def sleep(seconds: float) -> None:
        now[0] += int(seconds * 1e9)

    monkeypatch.setattr(time, "monotonic_ns", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)


def test_metrics_that_move_between_their_reads_are_read_again_until_they_do_not() -> None:
    """Their ratio is then exact; without the second reading it is not."""
    assert MovingSession(between=[3, 2, 1], counted=10).ratio() == SIZE
    assert MovingSession(between=[3], counted=10).ratio(together=()) == SIZE * 13 / 10


def test_one_reading_is_enough_when_nothing_is_combined_or_nothing_moves() -> None:
    """Plans without such figures do not pay."""
    moving, still = MovingSession(between=[5]), MovingSession(counted=5)
    read_together(moving.metrics_together, ())
    read_together(still.metrics_together, (0, 1))
    assert (moving.asked, still.asked) == ([frozenset()], [frozenset({0, 1})])


def test_without_a_gap_the_reading_with_the_fewest_events_in_between_is_taken() -> None:
    """After 10 ms at most; how far apart its metrics are is reported."""
    session = MovingSession(between=[9, 4, *[7] * 100], counted=10)
    taken = read_together(session.metrics_together, (0, 1))
    assert taken.events_apart == 4
    assert (taken.cells[0][0].count, taken.cells[1][0].count) == (19, 23)
    assert 3 < len(session.asked) < 20


def test_what_is_not_known_is_not_tried_again() -> None:
    """As of metrics in two places of which one is behind."""
    asked = []

    def read(together: Collection[int]) -> MetricsReading:
        asked.append(together)
        return MetricsReading(cells={}, events_apart=UNKNOWN)

    assert read_together(read, (0, 1)).events_apart == UNKNOWN
    assert len(asked) == 1


# ---------------------------------------------------------------- which metrics are combined


RATIO = """
derive:
  mean: {value: opens.bytes / opens.calls, unit: B}
  double: {value: opens.calls * 2}
"""


def two_metrics() -> Any:
    """`opens.calls` and `opens.bytes`, without keys."""
    what = program(every_ns=10**9)
    [probe] = what.probes
    calls = replace(probe.metrics[0], key=(), key_size=0)
    volume = replace(calls, index=1, name="bytes", kind="sum")
    return replace(what, probes=(replace(probe, metrics=(calls, volume)),))


@pytest.mark.parametrize(
    ("figures", "combined"),
    [
        (RATIO, {0, 1}),
        ("", set()),
        ("derive: {share: {value: opens.calls / total(opens.calls)}}", set()),
        ("derive: {one: {value: opens.calls * 2}, other: {value: opens.bytes * 2}}", set()),
        ("derive: {one: {value: opens.calls * 2, warn: value < opens.bytes}}", {0, 1}),
        ("derive: {one: {value: opens.calls * 2}}\nstop_when: one > opens.bytes", {0, 1}),
        ("stop_when: opens.calls > params.most and opens.bytes > 0", {0, 1}),
        ("stop_when: opens.calls > params.most", set()),
    ],
)
def test_only_metrics_in_one_expression_have_to_be_of_one_moment(
    figures: str, combined: set[int]
) -> None:
    """Also by way of other figures; units, params and totals of the same metric do not count."""
    assert combined_metrics(plan_of(figures, more="bytes: {sum: arg0}"), two_metrics()) == combined


def test_a_figure_that_many_use_is_looked_into_once() -> None:
    """Sixty that double each other have 2^60 ways to the metric."""
    figures = "derive:\n  f0: {value: opens.calls}\n"
    figures += "".join(f"  f{n}: {{value: f{n - 1} + f{n - 1}}}\n" for n in range(1, 60))
    plan = plan_of(f"{figures}stop_when: f59 > opens.bytes", more="bytes: {sum: arg0}")
    assert combined_metrics(plan, two_metrics()) == {0, 1}


# ---------------------------------------------------------------- in the log


@dataclass
class Records:
    """In place of a RunOutput."""

    written: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def write_record(self, event: str, _level: str = "info", /, **fields: Any) -> None:
        self.written.append((event, fields))

    def of_kind(self, event: str) -> list[dict[str, Any]]:
        return [fields for kind, fields in self.written if kind == event]


def reporter(session: MovingSession, figures: str) -> tuple[MetricReporter, Records]:
    records = Records()
    made = MetricReporter(
        plan_of(figures, more="bytes: {sum: arg0}"),
        two_metrics(),
        records,  # type: ignore[arg-type]  # only write_record is called
        WallClock(),
        lambda metrics: read_together(session.metrics_together, metrics),
    )
    made.begin(0)
    return made, records


def test_a_ratio_of_two_metrics_is_right_in_each_window_while_events_go_on() -> None:
    """And `stop_when` on it holds, which it never did when the metrics were apart."""
    session = MovingSession(between=[300, 2], counted=100)
    made, records = reporter(
        session, RATIO + f"stop_when: total(mean) == {SIZE} and mean == {SIZE}"
    )
    assert made.end_window(), "2 + 1 readings"
    session.between, session.counted = [50, 1], session.counted + 298
    made.end_window()
    made.finish(10**9)
    figures = records.of_kind("figure.reported")
    assert [line["values"]["mean"] for line in figures] == [SIZE, SIZE, None, SIZE]
    assert [line["events_apart"] for line in figures] == [0, 0, 0, 0]
    [stop] = records.of_kind("stop.reached")
    assert stop["events_apart"] == 0


def test_windows_report_how_far_their_metrics_are_apart() -> None:
    """What a window began with and what it ended with add up; the totals begin with nothing."""
    session = MovingSession(between=[3] * 1000)
    made, records = reporter(session, RATIO)
    made.end_window()
    made.end_window()
    session.between.clear()
    made.finish(10**9)
    apart: list[Count] = [line["events_apart"] for line in records.of_kind("figure.reported")]
    assert apart == [3, 6, 3, 0]
