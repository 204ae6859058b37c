"""The system's clock is set while a run goes on."""

from datetime import datetime

import pytest

from tests.support.guest_cases import CaseResult
from tests.support.product import Ran

PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: guest-clock, summary: for tests}
limits: {duration: 1m, cpu: 100%}
every: 1s
probes:
  call:
    attach: tracepoint:syscalls:sys_enter_getppid
    emit: {}
    metrics: {n: {count: true}}
"""
HOURS = -2 * 3600
SECOND = 1_000_000_000
STEPS = ["getppid", "3", "sleep", "1200", "set-clock", str(HOURS), "sleep", "1500", "getppid", "2"]


@pytest.mark.guest(
    "tests.guest.tasks:run_and_reset_clock",
    prepare="tests.guest.tasks:prepare",
    plan=PLAN,
    backend="tracefs",
    argv=STEPS,
)
def test_records_and_windows_follow_the_clock(guest: CaseResult) -> None:
    """Records agree with date(1), no window ends before it starts, and the log reports it."""
    reported = guest.result()
    ran = Ran.of(reported["lines"])
    [stepped] = ran.of_kind("clock.stepped")
    assert stepped["by_ns"] == pytest.approx(HOURS * SECOND, abs=SECOND)
    times = [record["time_unix_nano"] for record in ran.of_kind("event.recorded")]
    assert len(times) == 5
    assert 0 < reported["now"] - times[-1] < 60 * SECOND
    for time in times:  # one that is read before the clock is set has the time of then
        assert min(abs(time - reported["now"]), abs(time + stepped["by_ns"] - reported["now"])) < (
            60 * SECOND
        )
    windows = [
        [datetime.fromisoformat(metric["window"][end]) for end in ("start", "end")]
        for metric in ran.of_kind("metric.reported")
    ]
    assert len(windows) > 2
    for start, end in windows:
        assert 0 <= (end - start).total_seconds() < 60
