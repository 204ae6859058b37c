"""What others see while we probe, and what we say when something cannot be done."""

import ctypes
import os
import platform
import struct
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.backends import backend
from orchestrator.backends.bcc.attach.attaching import attach_compiled, compile_artifact
from orchestrator.backends.bcc.attach.session import BccSession
from orchestrator.backends.protocol import AttachOptions
from orchestrator.kernel.abi import perf
from orchestrator.plan.findings import HostError
from tests.live.bcc.test_counts import LIMITS, comm
from tests.support.bcc_runs import facts, program_of, run


def counter_of(event_id: int) -> int:
    """A perf event that counts a tracepoint for this process, as `perf stat` does."""
    attributes = struct.pack("=IIQ", perf.TYPE_TRACEPOINT, 112, event_id)
    buffer = ctypes.create_string_buffer(attributes, 112)
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.syscall(perf.SYSCALL[platform.machine()], buffer, 0, -1, -1, ctypes.c_ulong(8))
    assert fd >= 0, os.strerror(ctypes.get_errno())
    return fd


def test_perf_still_counts_an_event_that_we_probe() -> None:
    """A counter of the same tracepoint, of a process that is not our target, sees every call."""
    tracepoint = facts().tracepoint("syscalls", "sys_enter_getppid")
    assert tracepoint is not None
    assert tracepoint.id is not None
    counts: list[int] = []

    def act(_session: object) -> None:
        counter = counter_of(tracepoint.id or 0)
        for _ in range(1000):
            os.getppid()
        counts.append(int.from_bytes(os.read(counter, 8), "little"))
        os.close(counter)

    run("limits: {events: 1k}\nprobes: {p: {attach: 'syscall:getppid', emit: {r: retval}}}\n",
        during=act)  # fmt: skip
    assert counts == [1000]


def test_all_or_nothing(load: Path) -> None:
    """When one hook cannot be attached nothing of ours is left, and the finding names it."""
    program = program_of(
        LIMITS
        + f"""
probes:
  good: {{attach: "uprobe:{load}:target_fn", emit: {{}}}}
  bad: {{attach: "tracepoint:raw_syscalls:sys_enter", where: args.id == 1, emit: {{}}}}
"""
    )
    broken = program.probes[1].hooks[0]
    assert broken.tracepoint is not None
    broken = replace(broken, tracepoint=replace(broken.tracepoint, id=1 << 30))
    bad = replace(program, probes=(program.probes[0], replace(program.probes[1], hooks=(broken,))))
    artifact = backend("bcc").emit(bad, facts())
    reported: list[str] = []
    options = AttachOptions(
        run_id="broken",
        journal=lambda _kind, what: reported.append(f"+{what}"),
        unjournal=lambda _kind, what: reported.append(f"-{what}"),
    )
    with pytest.raises(HostError, match="raw_syscalls:sys_enter"):
        backend("bcc").attach(artifact, facts(), options)
    assert str(load) not in Path("/sys/kernel/tracing/uprobe_events").read_text()
    assert [what[1:] for what in reported] == ["probeplan_broken/pp_broken_0_hit"] * 2


def test_an_optional_hook_is_left_out_with_its_reason(calls: Path) -> None:
    """The rest of the plan runs."""
    program = program_of(
        LIMITS
        + comm(calls)
        + """
probes:
  p:
    attach_all:
      - {to: "tracepoint:raw_syscalls:sys_enter", optional: true}
      - "tracepoint:raw_syscalls:sys_exit"
    where: args.id == 110
    emit: {id: args.id}
"""
    )
    probe = program.probes[0]
    broken = probe.hooks[0]
    assert broken.tracepoint is not None
    broken = replace(broken, tracepoint=replace(broken.tracepoint, id=1 << 30))
    some = replace(program, probes=(replace(probe, hooks=(broken, probe.hooks[1])),))
    artifact = backend("bcc").emit(some, facts())
    session = backend("bcc").attach(artifact, facts(), AttachOptions(run_id="some"))
    try:
        assert [skipped.hook for skipped in session.skipped] == [broken.id]
        assert session.skipped[0].reason.startswith("cannot attach by perf tracepoint")
        assert [attached.hook for attached in session.attached] == [probe.hooks[1].id]
        session.arm(time.monotonic_ns() + 10**10)
        subprocess.run([str(calls), "getppid 25"], check=True)
        assert sum(len(batch) for batch in session.read()) == 25
    finally:
        session.detach()


def test_what_the_verifier_refuses_is_told_by_probe(calls: Path) -> None:
    """The finding names the attach point and its place in the plan."""
    program = program_of(
        LIMITS
        + comm(calls)
        + """
probes:
  p: {attach: "tracepoint:raw_syscalls:sys_enter", where: args.id == 110, emit: {id: args.id}}
"""
    )
    artifact = backend("bcc").emit(program, facts())
    code = dict(compile_artifact(artifact))
    code["hook_0_hit"] = code["hook_0_hit"][:-8]  # without its last instruction, the exit
    with pytest.raises(HostError) as refused:
        attach_compiled(artifact, code, AttachOptions(run_id="refused"))
    finding = refused.value.findings[0]
    assert "tracepoint:raw_syscalls:sys_enter" in finding.message
    assert finding.position.line > 0
    assert finding.hint.startswith("the program computes `args.id == 110`, `args.id`;")
    assert "the verifier's log ends with\n" in finding.hint


def test_memory_is_as_promised(calls: Path) -> None:
    """What emit computed is what the kernel says it took, within 2 %."""
    program = program_of(
        LIMITS
        + comm(calls)
        + """
probes:
  p:
    attach: syscall:getppid
    emit: {r: retval}
    metrics:
      n: {count: true, by: [comm]}
      h: {histogram: elapsed}
      k: {histogram: elapsed, by: [pid]}
"""
    )
    artifact = backend("bcc").emit(program, facts())
    session = backend("bcc").attach(artifact, facts(), AttachOptions(run_id="memory"))
    try:
        assert isinstance(session, BccSession)
        taken = [made.memory_bytes() for made in session._maps.values()]
        if None in taken:
            pytest.skip("this kernel's fdinfo has no memlock")
        promised = sum(artifact.memory.values())
        assert sum(size or 0 for size in taken) == pytest.approx(promised, rel=0.02)
    finally:
        session.detach()


def test_detaching_twice_is_once(calls: Path) -> None:
    """And counters and cells stay readable after it."""
    program = program_of(
        LIMITS
        + comm(calls)
        + """
probes: {p: {attach: "syscall:getppid", metrics: {n: {count: true}}}}
"""
    )
    artifact = backend("bcc").emit(program, facts())
    session = backend("bcc").attach(artifact, facts(), AttachOptions(run_id="twice"))
    session.arm(time.monotonic_ns() + 10**10)
    subprocess.run([str(calls), "getppid 12"], check=True)
    session.detach()
    session.detach()
    assert session.metrics()[0][0].count == 12
    assert session.counts().sides[1].accepted == 12
