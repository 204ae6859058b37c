"""Limits and sampling, enforced in this machine's kernel, to the unit."""

import subprocess
import time
from pathlib import Path

from orchestrator.accounting.count import at_least, is_known
from orchestrator.backends.bcc.attach.session import BccSession
from tests.live.bcc.test_counts import comm
from tests.support.bcc_runs import balanced, run

GETPPID = """
probes:
  p:
    attach: syscall:getppid
    emit: {r: retval}
    metrics: {n: {count: true}}
"""


def test_the_cap_is_exact_and_stops_all(calls: Path) -> None:
    """at_cap stop: as many records as allowed, from two CPUs at once; then the kernel disarms."""
    plan = "limits: {events: 777, rate: 100M/s}\n" + comm(calls) + GETPPID
    made = run(plan, [str(calls), "both 5000"])
    balanced(made)
    assert len(made.records) == 777
    assert made.metric("n")[0].count < 10_000
    back = made.side(0, "return")
    assert back.expired
    assert at_least(back.fired) >= 10_000


def test_a_muted_cap_lets_metrics_go_on(calls: Path) -> None:
    """at_cap mute: records end at the cap, the metric counts on, and the rest is over_cap."""
    plan = "limits: {events: 777, rate: 100M/s, at_cap: mute}\n" + comm(calls) + GETPPID
    made = run(plan, [str(calls), "both 5000"])
    balanced(made)
    assert len(made.records) == 777
    assert made.metric("n")[0].count == 10_000
    assert made.counts.emits[0].over_cap == 10_000 - 777


def test_a_probe_has_a_cap_of_its_own(calls: Path) -> None:
    """A noisy probe's own cap leaves the other probe its records."""
    made = run("limits: {events: 100k, rate: 100M/s}\n" + comm(calls) + """
probes:
  noisy: {attach: "syscall:getppid", events: 5, emit: {r: retval}}
  other: {attach: "syscall:getppid", emit: {r: retval}}
""", [str(calls), "getppid 500"])  # fmt: skip
    balanced(made)
    names = [r["probe"] for r in made.records]
    assert (names.count("noisy"), names.count("other")) == (5, 500)


def test_the_rate_is_one_for_all_cpus(calls: Path) -> None:
    """In any stretch of T at most T/gap records and the burst, and the one at its edge."""
    plan = "limits: {events: 1M, rate: 2k/s}\n" + comm(calls) + GETPPID
    made = run(plan, [str(calls), "both 150000"])
    balanced(made)
    limited = made.counts.emits[0].rate_limited
    assert limited
    assert limited + len(made.records) == 300_000
    # 0.5 ms a record, and a second's at once: the clock of each record that had to
    # wait for room is ahead of its number by less than the burst.
    gap, burst = 500_000, 1_000_000_000
    ahead = [r["time"] - n * gap for n, r in enumerate(made.records)]
    latest = ahead[0]
    for one in ahead:
        latest = max(latest, one)
        assert latest - one <= burst + 2 * gap
    spread = made.records[-1]["time"] - made.records[0]["time"]
    assert len(made.records) > (spread // gap + burst // gap) / 2


def test_nothing_is_recorded_after_the_deadline(calls: Path) -> None:
    """The kernel disarms by itself: no record is later, and the rest has expired."""

    def act(session: BccSession) -> None:
        child = subprocess.Popen([str(calls), "both 10000000"])
        time.sleep(0.5)  # the reader does nothing at all meanwhile
        child.terminate()
        child.wait()

    plan = "limits: {events: 10M, rate: 100M/s, memory: 8MiB}\n" + comm(calls) + GETPPID
    made = run(plan, during=act, seconds=0.2)  # type: ignore[arg-type]  # takes what attach gives
    balanced(made)
    assert made.records
    assert made.side(0, "return").expired
    assert max(r["time"] for r in made.records) < made.deadline_ns


def test_a_full_ring_loses_nothing_unseen(calls: Path) -> None:
    """What did not fit is counted to the unit, and the metric does not suffer."""
    plan = "limits: {events: 1M, rate: 100M/s, memory: 3MiB}\n" + comm(calls) + GETPPID
    made = run(plan, [str(calls), "both 40000"], drain=False)
    balanced(made)
    lost = made.counts.emits[0].ring_lost
    assert lost
    assert lost + len(made.records) == 80_000
    assert made.metric("n")[0].count == 80_000


def test_samples_account_for_every_event(calls: Path) -> None:
    """1/20 of 400,000: every event has its disposition, and the weighted count is near."""
    made = run("limits: {events: 1M, rate: 100M/s}\n" + comm(calls) + """
probes:
  p:
    attach: syscall:getppid
    sample: 1/20
    emit: {r: retval}
    metrics: {n: {count: true}, k: {count: true, by: [comm]}, h: {histogram: retval}}
""", [str(calls), "both 200000"])  # fmt: skip
    balanced(made)
    entry = made.side(0, "entry")
    assert entry.sampled_out is not None
    assert is_known(entry.accepted)
    assert entry.sampled_out + entry.accepted == 400_000
    kept = len(made.records)
    assert kept == entry.accepted
    assert {r["weight"] for r in made.records} == {20}
    # Gaps are uniform on 1…39: of 20,000 the mean varies by 0.4 %; five times that is 2 %.
    assert abs(kept * 20 - 400_000) < 8_000
    for name in ("n", "k", "h"):
        assert sum(cell.count for cell in made.metric(name)) == kept * 20


def test_exclude_self_is_the_default() -> None:
    """What the reader itself does is not the target's."""

    def act(_session: object) -> None:
        for _ in range(50):
            time.sleep(0)
            __import__("os").getppid()

    quiet = run("limits: {events: 1k}\n" + GETPPID, during=act)
    assert at_least(quiet.side(0, "entry").not_target) >= 50
    mine = run("limits: {events: 1k}\ntarget: {exclude_self: false}\n" + GETPPID, during=act)
    assert at_least(mine.side(0, "entry").accepted) >= 50


def test_children_of_the_command_are_all_seen(calls: Path) -> None:
    """300 short-lived children with a child each: every call of theirs, and no other process's."""
    made = run("limits: {events: 10k, rate: 10M/s}\ntarget: {children: true}\n" + GETPPID,
               [str(calls), "forks 300", "getppid 7"], root=True)  # fmt: skip
    balanced(made)
    assert [r for r in made.records if r["comm"] != calls.name] == []
    assert len(made.records) == 607
    assert made.counts.children_lost == 0


def test_a_lease_that_ran_out_is_taken_up_again(calls: Path) -> None:
    """While the reader is stopped nothing is recorded; when it extends, records go on."""
    seen: list[int] = []

    def act(session: BccSession) -> None:
        subprocess.run([str(calls), "getppid 10"], check=True)
        session.extend(time.monotonic_ns())
        time.sleep(0.05)  # some ticks, so that every CPU looks at the clock again
        subprocess.run([str(calls), "getppid 20"], check=True)
        seen.append(sum(len(batch) for batch in session.read()))
        session.extend(time.monotonic_ns() + 10**10)
        subprocess.run([str(calls), "getppid 30"], check=True)

    plan = "limits: {events: 10k, rate: 1M/s}\n" + comm(calls) + GETPPID
    made = run(plan, during=act)  # type: ignore[arg-type]  # takes what attach gives
    balanced(made)
    assert seen == [10]
    assert len(made.records) == 40
    assert at_least(made.side(0, "entry").expired) >= 20
