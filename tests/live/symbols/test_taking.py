"""How stacks are taken by programs of ours, looked at from inside a session."""

import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.backends.bcc import backend as bcc
from orchestrator.backends.bcc.attach.session import BccSession
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.protocol import AttachOptions, StackCounts
from orchestrator.compile.lower import compile_plan
from orchestrator.kernel.abi import perf
from orchestrator.kernel.facts import live_facts
from orchestrator.plan.load import load_plan
from orchestrator.symbols.frames import EMPTY_STACK, LOST_STACK

HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: taking, summary: for tests}
limits: {duration: 1m, memory: 8MiB, cpu: 100%}
"""
CALLS = """
target: {comm: chain}
probes:
  call:
    attach: tracepoint:syscalls:sys_enter_getppid
    metrics: {calls: {count: true, by: [ustack]}}
"""
IDLE = """
target: {comm: "kworker*"}
probes:
  switch:
    attach: rawtracepoint:sched_switch
    metrics: {times: {count: true, by: [ustack]}}
"""
N = 40


@contextmanager
def attached(text: str) -> Iterator[BccSession]:
    """The plan's probes, attached and not yet armed."""
    facts = live_facts()
    artifact = bcc.emit(compile_plan(load_plan((HEAD + text).encode()), facts), facts)
    session = bcc.attach(artifact, facts, AttachOptions(run_id="taking"))
    assert isinstance(session, BccSession)
    try:
        yield session
    finally:
        session.detach()


def arm(session: BccSession) -> None:
    session.arm(time.monotonic_ns() + 60_000_000_000)


def cells(session: BccSession) -> dict[int, int]:
    """Counts by the stack's number."""
    return {
        int.from_bytes(cell.key, "little"): cell.count
        for cell in session.metrics()[0]
        if cell.key is not None
    }


def call(chain: Path, folder: Path) -> None:
    """N times getppid by one way, and the end."""
    until = folder / "until"
    until.touch()
    subprocess.run([chain, "chain", until, str(N), "0"], check=True)


def hold(session: BccSession, busy: int) -> None:
    """Say of all scratch memory that someone is at work on it, or no one."""
    scratch = session._maps[layout.STACK_SCRATCH]
    size = scratch.spec.slot_size
    value = struct.pack("=Q", busy).ljust(size, b"\0") * perf.possible_cpus()
    for slot in range(layout.STACK_NESTING):
        scratch.update(struct.pack("=I", slot), value)


def test_without_scratch_memory_a_stack_is_lost_and_counted(tmp_path: Path, chain: Path) -> None:
    """Each of N: shown as null. Once it is free again they are kept."""
    with attached(CALLS) as session:
        hold(session, 1)
        arm(session)
        call(chain, tmp_path)
        assert cells(session) == {LOST_STACK: N}
        assert session.counts().stacks == StackCounts(kept=0, map_full=0, map_busy=N)
        assert not session.new_stacks()
        hold(session, 0)
        call(chain, tmp_path)
        [(number, count)] = [one for one in cells(session).items() if one[0] != LOST_STACK]
        assert count == N
        [stack] = session.new_stacks()
        assert (stack.id, stack.space) == (number, "user")


def test_scratch_memory_is_given_back(tmp_path: Path, chain: Path) -> None:
    with attached(CALLS) as session:
        arm(session)
        call(chain, tmp_path)
        scratch = session._maps[layout.STACK_SCRATCH]
        for _, value in scratch.items():
            assert [slot[:8] for slot in scratch.slots(value)] == [bytes(8)] * perf.possible_cpus()


def test_a_stack_is_read_once(tmp_path: Path, chain: Path) -> None:
    """By its number, or with all; what was read is not read again."""
    with attached(CALLS) as session:
        arm(session)
        call(chain, tmp_path)
        [number] = cells(session)
        assert [one.id for one in session.new_stacks({number, 12345})] == [number]
        assert list(session.new_stacks({number})) == list(session.new_stacks()) == []


def test_a_process_of_its_own_has_stacks_of_its_own(tmp_path: Path, chain: Path) -> None:
    """The same way in two processes: the same names, and two stacks."""
    with attached(CALLS) as session:
        arm(session)
        call(chain, tmp_path)
        call(chain, tmp_path)
        assert list(cells(session).values()) == [N, N]
        assert len({one.pid for one in session.new_stacks()}) == 2


def test_a_kernel_thread_has_an_empty_user_stack() -> None:
    """That is no loss."""
    with attached(IDLE) as session:
        arm(session)
        while not cells(session):
            time.sleep(0.01)
        assert set(cells(session)) == {EMPTY_STACK}
        assert session.counts().stacks == StackCounts()
