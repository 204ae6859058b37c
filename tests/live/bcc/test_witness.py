"""Perf tracepoints whose program the kernel passes over without counting it: a witness does."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.accounting.count import UNKNOWN
from orchestrator.backends.bcc.attach import attachments, links
from orchestrator.backends.bcc.attach.links import AttachRefused
from orchestrator.backends.protocol import Session
from orchestrator.kernel.abi import bpf, dynamic_events
from tests.live.bcc.test_counts import LIMITS
from tests.support.bcc_runs import balanced, run

N, PLAIN = 300, 40
#: Ignored by default by every program.
URGENT = signal.SIGURG
SEND_SIGNAL = 109  # bpf_send_signal, include/uapi/linux/bpf.h
PLAN = (
    LIMITS
    + f"""
probes:
  p:
    attach: tracepoint:signal:signal_generate
    where: args.sig == {int(URGENT)}
    metrics: {{n: {{count: true}}}}
"""
)


@contextlib.contextmanager
def sending_at_rare_calls() -> Iterator[None]:
    """A program at a system call that no other program makes sends its caller a signal. So the
    event of the signal happens within the handler of another perf event: there the kernel drops it
    for all programs at perf tracepoints, and counts nothing."""
    code = (
        bpf.make_instruction(bpf.MOV64_IMM, to=1, value=int(URGENT))
        + bpf.make_instruction(bpf.CALL, value=SEND_SIGNAL)
        + bpf.make_instruction(bpf.MOV64_IMM, to=0, value=1)
        + bpf.make_instruction(bpf.EXIT)
    )
    program, _ = bpf.prog_load(bpf.TRACEPOINT, code, name="sender")
    number = dynamic_events.event_id("syscalls/sys_enter_sched_get_priority_max")
    attached = links.attach_perf_tracepoint(number, program)
    try:
        yield
    finally:
        attached.detach()
        os.close(program)


def signals(load: Path) -> Callable[[Session], None]:
    """Some in a handler, and some outside."""

    def act(_session: Session) -> None:
        with sending_at_rare_calls():
            words = [str(load), "rare", str(N)]
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        kill = f"import os; [os.kill(os.getpid(), {int(URGENT)}) for _ in range({PLAIN})]"
        subprocess.run([sys.executable, "-c", kill], check=True)

    return act


def test_events_in_another_handler_are_missed_to_the_unit(load: Path) -> None:
    made = run(PLAN, during=signals(load))
    balanced(made)
    side = made.side()
    assert side.kernel_missed == N
    assert made.metric("n")[0].count == side.accepted == PLAIN
    assert side.fired != UNKNOWN


def test_without_a_miss_none_is_reported(load: Path) -> None:
    """A record field is read, so that no raw tracepoint will do; a busy event, from all CPUs."""
    plan = (
        LIMITS
        + """
probes:
  p: {attach: "tracepoint:sched:sched_waking", metrics: {n: {sum: args.prio}}}
  q: {attach: "tracepoint:sched:sched_waking", metrics: {n: {max: args.target_cpu}}}
"""
    )
    made = run(plan, [str(load), "threads", "50"])
    balanced(made)
    assert [side.kernel_missed for side in made.counts.sides] == [0, 0]
    assert made.side(0).accepted == made.side(1).accepted != 0


def test_without_a_witness_misses_are_unknown(load: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, _program: int) -> None:
        raise AttachRefused("raw tracepoint", name, 22, "no")

    monkeypatch.setattr(attachments, "attach_raw_tracepoint", refuse)
    made = run(PLAN, during=signals(load))
    assert made.side().kernel_missed == UNKNOWN
    assert made.metric("n")[0].count == PLAIN
