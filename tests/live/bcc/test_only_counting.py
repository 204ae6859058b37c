"""What the programs of a canary do with an event: they count it, and whose it is."""

from pathlib import Path

from orchestrator.backends import backend
from orchestrator.backends.bcc.attach.attaching import compile_artifact
from orchestrator.backends.protocol import SideCounts
from tests.live.bcc.test_counts import LIMITS, comm
from tests.support.bcc_runs import OnlyCounted, facts, only_count, program_of, run_artifact

CALLS = 1500
#: All that a program may keep: a record, cells by key, a span, a note, a stack, a call's frame.
PLAN = """
spans:
  call: {start: begins, end: ends, key: [tid], emit: {took: elapsed}, metrics: {n: {count: true}}}
notes:
  last: {set: begins, key: [tid], keep: {id: args.id}}
probes:
  begins: {attach: "tracepoint:raw_syscalls:sys_enter", where: args.id == 110}
  ends: {attach: "tracepoint:raw_syscalls:sys_exit", where: args.id == 110}
  paired:
    attach: syscall:getppid
    emit: {r: retval, took: elapsed, from: ustack, known: noted(last)}
    metrics: {n: {count: true, by: [comm, tid]}, h: {histogram: elapsed}}
"""


def counted(plan: str, *argv: str) -> OnlyCounted:
    artifact = backend("bcc").emit(program_of(plan), facts())
    return only_count(artifact, compile_artifact(artifact), argv)


def sides_of(made: OnlyCounted) -> dict[tuple[int, str], SideCounts]:
    return {(side.hook, side.side): side for side in made.counts.sides}


def test_events_are_counted_and_nothing_is_done_with_them(calls: Path) -> None:
    """Filters are not tried: all system calls of the program pass, and not only getppid. The same
    instructions do all of it in a run."""
    artifact = backend("bcc").emit(program_of(LIMITS + comm(calls) + PLAN), facts())
    code = compile_artifact(artifact)
    argv = [str(calls), f"getppid {CALLS}"]
    made = only_count(artifact, code, argv)
    assert (made.records, made.changed) == (0, ())
    sides = sides_of(made)
    for place in ((0, "hit"), (1, "hit")):
        assert sides[place].accepted >= CALLS
    assert sides[2, "entry"].accepted == CALLS
    for side in sides.values():
        counts = (side.expired, side.not_target, side.accepted)
        assert (side.fired, side.filtered) == (sum(counts), 0)
    run = run_artifact(artifact, code, argv)
    assert run.side(2, "return").accepted == len(run.metric("n")) * CALLS == CALLS


def test_returns_of_calls_are_not_attached(calls: Path) -> None:
    """Each doubles what an attach point costs, and their number is known from the entries."""
    made = counted(LIMITS + comm(calls) + PLAN, str(calls), f"getppid {CALLS}")
    assert sides_of(made)[2, "return"].fired == 0
    assert [expense.probes for expense in made.expenses] == [(0,), (1,), (2,)]
    hits = [expense.hits or 0 for expense in made.expenses]
    assert hits[2] >= CALLS
    assert min(hits[:2]) >= hits[2]


def test_what_is_not_the_targets_is_counted_apart(calls: Path) -> None:
    plan = LIMITS + "target: {comm: nothing-has-it}\n" + PLAN
    side = sides_of(counted(plan, str(calls), f"getppid {CALLS}"))[2, "entry"]
    assert side.accepted == 0
    assert side.not_target >= CALLS


def test_a_return_at_the_place_of_a_hit_is_not_counted_with_it(calls: Path) -> None:
    """The hit is another probe's, which may not be thought to happen twice."""
    plan = (
        LIMITS
        + comm(calls)
        + """
probes:
  paired: {attach: syscall:getppid, metrics: {n: {count: true}}}
  hit: {attach: "tracepoint:syscalls:sys_exit_getppid", metrics: {n: {count: true}}}
"""
    )
    made = counted(plan, str(calls), f"getppid {CALLS}")
    assert sorted(expense.probes for expense in made.expenses) == [(0,), (1,)]
    sides = sides_of(made)
    assert sides[0, "entry"].accepted == sides[1, "hit"].accepted == CALLS
    assert made.changed == ()
