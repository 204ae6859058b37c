"""Sampling changed, and probes dropped, while they run."""

import os

from orchestrator.accounting.count import UNKNOWN, at_least
from orchestrator.backends.protocol import Session
from tests.support.bcc_runs import balanced, run

LIMITS = "limits: {duration: 60s}\n"
CALLS, ROUNDS, SAMPLE = 200, 1600, 100
#: Of the counts below by equilibrium sampling (about N² CALLS/3N a round), with room to spare.
DEVIATION = (ROUNDS * CALLS * SAMPLE / 3) ** 0.5


def calls(count: int) -> None:
    """So many that only this process makes: no other process has its pid."""
    for _ in range(count):
        os.getppid()


def test_counts_stay_right_through_every_change_of_n() -> None:
    """N is another one every 200 calls. Were a first gap after a change drawn like the others, the
    count would be a sixth too low: more than twice what is allowed here."""

    def resampling(session: Session) -> None:
        for number in range(ROUNDS):
            session.resample(0, SAMPLE + number % 2)
            calls(CALLS)

    text = f"""target: {{pid: {os.getpid()}, exclude_self: false}}
probes:
  p:
    attach: tracepoint:syscalls:sys_enter_getppid
    metrics: {{n: {{count: true}}, by: {{count: true, by: [pid]}}, s: {{sum: '3'}}}}
"""
    made = run(LIMITS + text, during=resampling)
    balanced(made)
    side = made.side()
    [plain], [keyed], [summed] = (made.metric(name) for name in ("n", "by", "s"))
    assert at_least(side.accepted) + at_least(side.sampled_out) == ROUNDS * CALLS
    assert abs(plain.count - ROUNDS * CALLS) < 6 * DEVIATION
    assert keyed.count == plain.count
    assert summed.sum == 3 * plain.count


def test_without_sampling_nothing_is_left_out_and_then_weights_follow() -> None:
    """1,000 calls before the change count 1,000 exactly; what is dropped is not counted at all."""
    seen: list[int] = []

    def steps(session: Session) -> None:
        calls(1000)
        seen.append(session.metrics()[0][0].count)
        session.detach_probe(1)
        calls(500)
        session.resample(0, 2)
        calls(10_000)

    text = f"""target: {{pid: {os.getpid()}, exclude_self: false}}
probes:
  p:
    attach: tracepoint:syscalls:sys_enter_getppid
    metrics: {{n: {{count: true}}}}
  q:
    attach: tracepoint:syscalls:sys_exit_getppid
    metrics: {{m: {{count: true}}}}
"""
    made = run(LIMITS + text, during=steps)
    balanced(made)
    assert seen == [1000]
    [kept], [dropped] = made.metric("n"), made.metric("m")
    assert abs(kept.count - 11_500) < 6 * (10_000 * 2 / 3) ** 0.5
    assert dropped.count == 1000
    assert made.side(1).kernel_missed in (0, UNKNOWN)
