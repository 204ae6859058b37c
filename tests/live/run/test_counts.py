"""N calls are N on this machine's own kernel, by the command line, on both backends; limits hold to
the unit; and others who watch the same event see as much as before."""

import ctypes
import io
import os
import platform
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestrator.kernel.abi import perf
from orchestrator.kernel.facts import live_facts
from orchestrator.output.sink import Sink
from orchestrator.plan.load import load_plan
from orchestrator.run.runner import run_plan
from tests.support.product import Ran, check_accounts, check_sums, run_cli
from tests.support.small_programs import build_32_bit_program, require_it_runs

N = 700
HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: machine, summary: for tests}
limits: {duration: 1m, events: 100k, rate: 1M/s, at_cap: mute, cpu: 100%}
probes:
"""

backends = pytest.mark.parametrize("backend", ["bcc", "tracefs"])


def run_on(backend: str, folder: Path, probes: str, load: Path, *argv: str, **limits: Any) -> Ran:
    """The plan with these probes, run by the command line alongside `load argv…`."""
    plan = folder / "plan.yaml"
    plan.write_text(HEAD + probes)
    bounds = [word for name, value in limits.items() for word in ("--limit", f"{name}={value}")]
    return run_cli(str(plan), "--backend", backend, *bounds, command=[str(load), *argv])


SYSTEM = """
  point:
    attach: tracepoint:syscalls:sys_enter_getppid
    emit: {}
    metrics: {calls: {count: true}}
  call:
    attach: syscall:getppid
    emit: {parent: retval, took: elapsed}
    metrics: {calls: {count: true}, parents: {min: retval}, parents_too: {max: retval}}
"""


@backends
def test_system_calls_are_counted_by_tracepoint_and_as_pairs(
    backend: str, tmp_path: Path, load: Path
) -> None:
    """Records, metrics and the ledger say N; the result of each call is the parent's id."""
    ran = run_on(backend, tmp_path, SYSTEM, load, "getppid", str(N))
    mine = [line for line in ran.of_kind("event.recorded") if line["comm"] == load.name]
    assert [line["probe"] for line in mine].count("point") == N
    assert [line["probe"] for line in mine].count("call") == N
    parents = {line["data"]["parent"] for line in mine if line["probe"] == "call"}
    assert len(parents) == 1
    others = (
        len(ran.of_kind("event.recorded")) - 2 * N
    )  # the shell that waits before it becomes load
    assert ran.value("point", "calls") + ran.value("call", "calls") == 2 * N + others
    assert ran.side("point")["accepted"] == ran.value("point", "calls")
    assert ran.side("call", "return")["accepted"] == ran.value("call", "calls")


USER = """
  entry:
    attach: uprobe:LOAD:target_fn
    emit: {i: arg0, twice: arg1}
  exit:
    attach: uretprobe:LOAD:target_fn
    returns: s64
    emit: {got: retval}
  call:
    attach: ufunction:LOAD:target_fn
    args: {i: s64, twice: s64}
    returns: s64
    emit: {i: args.i, twice: args.twice, got: retval}
    metrics: {calls: {count: true}, sum: {sum: args.i}, least: {min: retval}, most: {max: retval}}
"""


@backends
def test_user_functions_are_counted_with_their_arguments_and_results(
    backend: str, tmp_path: Path, load: Path
) -> None:
    """target_fn(i, 2 i) returns i + 7: each call in order, at entry, at return and as a pair."""
    ran = run_on(backend, tmp_path, USER.replace("LOAD", str(load)), load, "call", str(N))
    assert ran.data("entry") == [{"i": i, "twice": 2 * i} for i in range(N)]
    assert ran.data("exit") == [{"got": i + 7} for i in range(N)]
    assert ran.data("call") == [{"i": i, "twice": 2 * i, "got": i + 7} for i in range(N)]
    assert ran.value("call", "calls") == N
    assert ran.value("call", "sum") == N * (N - 1) // 2
    assert (ran.value("call", "least"), ran.value("call", "most")) == (7, N + 6)


CALLED = """
  call:
    attach: uprobe:LOAD:target_fn
    emit: {i: arg0}
    metrics: {calls: {count: true}}
"""


@backends
def test_a_muted_cap_is_exact(backend: str, tmp_path: Path, load: Path) -> None:
    """As many records as allowed, the first ones; the metric counts on; the rest is reported."""
    probe = CALLED.replace("LOAD", str(load))
    ran = run_on(backend, tmp_path, probe, load, "call", str(N), events=77)
    assert ran.data("call") == [{"i": i} for i in range(77)]
    assert ran.value("call", "calls") == N
    assert ran.ledger("call")["emit"]["over_cap"] == N - 77
    assert [line["limit"] for line in ran.of_kind("limit.reached")] == ["events"]


def test_a_run_whose_probes_are_disabled_at_its_cap_is_incomplete(
    tmp_path: Path, load: Path
) -> None:
    """Whether or not the command ends before the cap is noticed. On tracefs it is then counted."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(HEAD + CALLED.replace("LOAD", str(load)))
    words = (str(plan), "--backend", "bcc", "--limit", "events=77", "--limit", "at_cap=stop")
    ran = run_cli(*words, command=[str(load), "call", str(N)], exit_code=4)
    check_sums(ran)
    assert ran.data("call") == [{"i": i} for i in range(77)]
    assert (ran.finished["complete"], ran.finished["counted"]) == (False, "part")
    [why] = ran.finished["incomplete_because"]
    assert why.startswith("limits.events (77) ")


@backends
def test_a_32_bit_command_whose_calls_are_not_seen_is_incomplete(
    backend: str, tmp_path: Path
) -> None:
    """The kernel leaves its calls out of those by name."""
    command, plan = build_32_bit_program(tmp_path / "small"), tmp_path / "plan.yaml"
    require_it_runs(command)
    plan.write_text(HEAD + SYSTEM)
    ran = run_cli(str(plan), "--backend", backend, command=[str(command)], exit_code=4)
    assert [line for line in ran.of_kind("event.recorded") if line["comm"] == "small"] == []
    [why] = ran.finished["incomplete_because"]
    assert why.startswith(f"{command} is a 32-bit program: call and point did not see its system")


@backends
def test_the_rate_is_exact(backend: str, tmp_path: Path, load: Path) -> None:
    """A record for each millisecond, and a burst of 100 at once; the rest is reported."""
    calls, gap_ns, burst = 20_000, 1_000_000, 100
    probe = CALLED.replace("LOAD", str(load)) + "    rate: {per: 1k/s, burst: 100}\n"
    ran = run_on(backend, tmp_path, probe, load, "call", str(calls))
    times = [line["time_unix_nano"] for line in ran.of_kind("event.recorded")]
    allowed = (times[-1] - times[0]) // gap_ns + burst
    assert allowed - 1 <= len(times) <= allowed + 2
    assert ran.ledger("call")["emit"]["rate_limited"] == calls - len(times)
    assert ran.value("call", "calls") == calls
    held = {"limit": "rate", "probe": "call", "bound": "1k/s, at most 100 at once"}
    assert ran.finished["held_back"] == [{**held, "records": calls - len(times)}]
    assert (ran.finished["counted"], ran.finished["recorded"]) == ("all", "part")
    assert ran.finished["complete"] is True


@backends
def test_a_whole_period_s_records_may_come_at_once(
    backend: str, tmp_path: Path, load: Path
) -> None:
    """A thousand in a few milliseconds, by default: none is held back."""
    probe = CALLED.replace("LOAD", str(load))
    ran = run_on(backend, tmp_path, probe, load, "call", "1000", rate="1k/s")
    assert ran.data("call") == [{"i": i} for i in range(1000)]
    assert ran.finished["held_back"] == []
    assert (ran.finished["counted"], ran.finished["recorded"]) == ("all", "all")


# ---------------------------------------------------------------- others


@contextmanager
def counting(category: str, event: str) -> Iterator[list[int]]:
    """What `perf stat` does: a counter of a tracepoint, for this process and all its children that
    are started meanwhile. Its count is in the list at the end."""
    tracepoint = live_facts().tracepoint(category, event)
    assert tracepoint is not None
    inherit = 2  # include/uapi/linux/perf_event.h: the second bit after read_format
    words = (perf.TYPE_TRACEPOINT, perf.ATTRIBUTE_BYTES, tracepoint.id, 0, 0, 0, inherit)
    attributes = struct.pack("=IIQQQQQ", *words).ljust(perf.ATTRIBUTE_BYTES, b"\0")
    buffer = ctypes.create_string_buffer(attributes, perf.ATTRIBUTE_BYTES)
    number = perf.SYSCALL[platform.machine()]
    libc = ctypes.CDLL(None, use_errno=True)
    counter = libc.syscall(number, buffer, 0, -1, -1, ctypes.c_ulong(perf.FLAG_FD_CLOEXEC))
    assert counter >= 0, os.strerror(ctypes.get_errno())
    counted: list[int] = []
    try:
        yield counted
        counted.append(int.from_bytes(os.read(counter, 8), "little"))
    finally:
        os.close(counter)


@backends
@pytest.mark.parametrize("probe", ["syscall:getppid", "tracepoint:syscalls:sys_enter_getppid"])
def test_perf_still_counts_what_we_probe(backend: str, probe: str, load: Path) -> None:
    """A program at a perf event that returned 0 would hide it from everybody's perf."""
    plan = load_plan(f"{HEAD}  call: {{attach: '{probe}', emit: {{}}}}".encode())
    lines = io.BytesIO()
    with counting("syscalls", "sys_enter_getppid") as counted:
        run_plan(
            plan,
            live_facts(),
            backend=backend,
            command=[str(load), "getppid", str(N)],
            log=Sink(lines),
        )
    ran = Ran.of(lines.getvalue())
    check_accounts(ran)
    seen = [line for line in ran.of_kind("event.recorded") if line["comm"] == load.name]
    assert len(seen) == N
    assert N <= counted[0] < N + 100  # a shell's start asks for its parent too
