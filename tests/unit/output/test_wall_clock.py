"""The wall time of moments by CLOCK_MONOTONIC, while the system's clock is set."""

import time

import pytest

from orchestrator.output.wall_clock import WallClock, measure_offset

HOUR = 3_600_000_000_000


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch):
    """Sets the system's clock forward by so many ns, for this process alone."""
    real = time.time_ns

    def move(by_ns: int) -> None:
        monkeypatch.setattr(time, "time_ns", lambda: real() + by_ns)

    return move


def test_the_offset_is_the_distance_of_the_clocks() -> None:
    assert abs(time.time_ns() - time.monotonic_ns() - measure_offset()) < 1_000_000_000


def test_a_delayed_measurement_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process may be preempted between its reads of the two clocks."""
    monotonic = iter([0, 900, 1000, 1010, 2000, 2900])
    wall = iter([10_000, 6005, 20_000])
    monkeypatch.setattr(time, "monotonic_ns", lambda: next(monotonic))
    monkeypatch.setattr(time, "time_ns", lambda: next(wall))
    assert measure_offset() == 6005 - 1005


def test_a_clock_that_was_set_is_followed_once(set_clock) -> None:
    clock = WallClock()
    assert clock.follow() == 0
    set_clock(-2 * HOUR)
    assert clock.follow() == pytest.approx(-2 * HOUR, abs=1_000_000)
    assert clock.follow() == 0


def test_no_window_ends_before_it_starts(set_clock) -> None:
    """Its two ends are a second apart, whenever the clock was set."""
    clock, now = WallClock(), time.monotonic_ns()
    before = clock.window(now - 1_000_000_000, now)
    set_clock(-2 * HOUR)
    clock.follow()
    after = clock.window(now, now + 1_000_000_000)
    assert before["start"] < before["end"]
    assert after["start"] < after["end"] < before["start"]
