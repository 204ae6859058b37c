"""A run that is stopped (SIGSTOP) records nothing after its deadline: with bcc the kernel sees to
it, with tracefs the watchdog. When it goes on it ends as it should."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from tests.faults.cli import TRACEPOINT, UPROBE, caller, first_event, gone, plan_of, probeplan, rest
from tests.faults.kernel_state import TRACING, waited, watchdogs
from tests.faults.rings import produced

JOURNALS = Path("/run/probeplan")
SHORT = "4s"  # time enough to be stopped before, on a busy host too
SHORT_NS = 4_000_000_000
LATER_S = 0.3  # as long as that again nothing must happen


def recorded_by_tracefs(run_id: str) -> int:
    """Events in the buffers of its instance, read ones included."""
    stats = TRACING.glob(f"instances/probeplan-{run_id}/per_cpu/cpu*/stats")
    lines = [line for file in stats for line in file.read_text().splitlines()]
    return sum(int(line.split()[-1]) for line in lines if line.startswith(("entries", "read ev")))


def calls_of(pid: int) -> int:
    """System calls' switches of a process: that it goes on."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("voluntary_ctxt_switches:")[2].split()[0])


def still(count: Callable[[], int], pid: int) -> bool:
    """Whether `count` does not change while the process `pid` calls on."""
    before, calls = count(), calls_of(pid)
    assert waited(lambda: calls_of(pid) > calls + 50, 10)
    return count() == before


@pytest.mark.parametrize("probe", [TRACEPOINT, UPROBE], ids=["tracepoint", "uprobe"])
@pytest.mark.parametrize("backend", ["bcc", "tracefs"])
def test_a_stopped_run_records_nothing_after_its_deadline(
    backend: str, probe: str, tmp_path: Path
) -> None:
    with caller() as pid:
        run = probeplan("run", plan_of(tmp_path, probe, pid, SHORT), "--backend", backend)
        try:
            event = first_event(run)
            os.kill(run.pid, signal.SIGSTOP)
            stopped_at = time.monotonic()
            run_id = event["run_id"]

            def count() -> int:
                return produced(run.pid) if backend == "bcc" else recorded_by_tracefs(run_id)

            before = count()
            assert waited(lambda: count() > before, 5)  # it was not over yet
            time.sleep(SHORT_NS / 1e9)  # since it was armed before, its deadline is over now
            assert still(count, pid)
            os.kill(run.pid, signal.SIGCONT)
            ran = rest(run)
        finally:
            gone(run)
    assert time.monotonic() > stopped_at + SHORT_NS / 1e9
    assert (ran.finished["outcome"], ran.finished["exit_code"]) == ("duration", 0)
    last = max(line["time_unix_nano"] for line in ran.of_kind("event.recorded"))
    assert last - event["time_unix_nano"] <= SHORT_NS
    side = ran.side("call")
    print(f"{backend}: {side['expired']} calls after the deadline were seen, and none reported")
    if backend == "bcc":
        others = side["not_target"]  # every shell calls it once
        assert side["fired"] == side["accepted"] + side["expired"] + others


LEASED = """
import sys
from orchestrator.run import arming, loop
arming.LEASE_NS = loop.LEASE_NS = 300_000_000
loop._RENEW_NS = 250_000_000
from orchestrator.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize("backend", ["bcc", "tracefs"])
def test_an_unlimited_run_that_was_stopped_goes_on(backend: str, tmp_path: Path) -> None:
    """While it is stopped its lease runs out and nothing is recorded; then it takes it up again."""
    with caller() as pid:
        plan = plan_of(tmp_path, UPROBE, pid, "unlimited")
        run = probeplan("run", plan, "--backend", backend, program=LEASED)
        try:
            run_id = first_event(run)["run_id"]
            os.kill(run.pid, signal.SIGSTOP)
            time.sleep(0.3 + LATER_S)

            def count() -> int:
                return produced(run.pid) if backend == "bcc" else recorded_by_tracefs(run_id)

            assert still(count, pid)
            before = count()
            with ThreadPoolExecutor() as threads:  # it must not wait for a reader
                reported = threads.submit(rest, run)
                os.kill(run.pid, signal.SIGCONT)
                goes_on = waited(lambda: count() > before + 20, 10)
                os.kill(run.pid, signal.SIGINT)
                ran = reported.result()
            assert goes_on
        finally:
            gone(run)
    assert ran.finished["outcome"] == "interrupted"
    times = [line["time_unix_nano"] for line in ran.of_kind("event.recorded")]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gaps) >= LATER_S * 1e9 / 2


def test_bcc_needs_no_watchdog_where_nothing_outlives_it(tmp_path: Path) -> None:
    with caller() as pid:
        run = probeplan("run", plan_of(tmp_path, TRACEPOINT, pid), "--backend", "bcc")
        try:
            run_id = first_event(run)["run_id"]
            journal = JOURNALS / f"{run_id}.journal"
            assert journal.exists()
            assert watchdogs(journal) == []
        finally:
            gone(run)
            journal.unlink()
