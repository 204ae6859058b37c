"""Each row of the ledger, driven by itself: a workload of known counts, the exact number in that
row and in no other, and whether the run is complete with it.

What a test here says nothing of is proved elsewhere: the table in this package's docstring."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.accounting.count import at_least
from orchestrator.backends.bcc.attach import session_maps
from orchestrator.backends.bcc.design import layout as bcc_layout
from orchestrator.backends.bcc.design import maps
from orchestrator.backends.bcc.handles.maps import Map, create_map
from orchestrator.backends.protocol import Session
from orchestrator.backends.tracefs.reader import pipeline
from orchestrator.kernel.abi import bpf
from tests.ledger.measured import ROOM, calling, drained, held, measured

pytestmark = pytest.mark.root

N = 300
T = 12


def calls(load: Path, rest: str) -> str:
    """A probe at target_fn(i, 2 i), which no one but the workload calls."""
    return f"""
probes:
  p:
    attach: "uprobe:{load}:target_fn"
    args: {{i: s64, twice: s64}}
    {rest}
"""


#: What the workload's sleeping threads are in, and no other process ever is.
READS = "probes: {p: {attach: 'syscall:preadv2', emit: {got: retval}}}\n"


#: A system call's tracepoint, whose hits the kernel does not count.
POINT = """
probes: {p: {attach: 'tracepoint:syscalls:sys_enter_sched_get_priority_max', emit: {}}}
"""


# ---------------------------------------------------------------- before anything is kept


def test_other_tasks_are_not_target(backend: str, load: Path) -> None:
    text = f"target: {{comm: not-{load.name[:8]}}}" + calls(load, "emit: {i: args.i}")
    made = measured(backend, text, calling(load, "call", N))
    assert made.side() == {"fired": N, "not_target": N, **_unknown(backend)}
    assert made.emit() == {}
    assert made.verdict.complete is True


def _unknown(backend: str) -> dict[str, str]:
    """What a side always says of what the kernel does not count there."""
    return {"recursion_misses": "unknown"} if backend == "tracefs" else {}


def test_other_tasks_at_a_tracepoint_are_unknown_to_tracefs(backend: str, load: Path) -> None:
    """The kernel's own tracepoints do not count what a filter rejects, so tracefs cannot."""
    text = f"target: {{comm: not-{load.name[:8]}}}\n" + POINT
    made = measured(backend, text, calling(load, "rare", N))
    side = made.side()
    if backend == "bcc":
        assert side == {"fired": N, "not_target": N}
    else:
        assert (side["not_target"], side["fired"]) == ("unknown", "unknown")
    assert made.verdict.complete is True


def test_what_where_refuses_is_filtered(backend: str, load: Path) -> None:
    """100 of 300 calls."""
    text = calls(load, "where: args.i >= 100\n    emit: {i: args.i}")
    made = measured(backend, text, calling(load, "call", N))
    side = {"fired": N, "filtered": 100, "accepted": 200, **_unknown(backend)}
    assert made.side() == side
    assert made.emit() == {"accepted": 200, "recorded": 200, "delivered": 200}
    assert made.verdict.complete is True


def test_a_metrics_own_where_is_its_own_row(backend: str, load: Path) -> None:
    """The event is accepted; the metric counts a third of it."""
    text = calls(load, "metrics: {n: {count: true, where: args.i < 100}}")
    made = measured(backend, text, calling(load, "call", N))
    assert made.side()["accepted"] == N
    assert made.metric("n") == {"counted": 100, "filtered": 200}
    assert [cell.count for cell in made.cells["n"]] == [100]


def test_what_sampling_leaves_out_is_sampled_out(backend: str, load: Path) -> None:
    text = calls(load, "sample: 1/10\n    emit: {i: args.i}")
    made = measured(backend, text, calling(load, "call", N))
    kept = made.emit()["recorded"]
    side = {"fired": N, "sampled_out": N - kept, "accepted": kept, **_unknown(backend)}
    assert made.side() == side
    assert 0 < kept < N
    assert made.verdict.complete is True


def test_what_comes_after_the_deadline_is_expired(backend: str, load: Path) -> None:
    text = calls(load, "emit: {i: args.i}\n    metrics: {n: {count: true}}")
    made = measured(backend, text, calling(load, "call", N), seconds=0)
    assert made.side() == {"fired": N, "expired": N, **_unknown(backend)}
    assert (made.emit(), made.metric("n")) == ({}, {})
    assert made.verdict.complete is True


# ---------------------------------------------------------------- pairs


def test_returns_without_their_entry_are_unpaired(backend: str, load: Path) -> None:
    """The threads were in the call before there was a probe."""
    with held(load, T) as release:
        made = measured(backend, READS, lambda _session: release())
    assert made.side("entry") == _unknown(backend)
    assert made.side("return") == {"fired": T, "unpaired": T, **_unknown(backend)}
    assert made.hook()["in_flight"] == 0
    assert made.emit() == {}
    assert made.verdict.complete is True


def test_calls_that_are_open_at_the_end_are_in_flight(backend: str, load: Path) -> None:
    """Accepted at their entry, and in no record: not lost, since they have not ended."""
    holding = held(load, T)
    made = measured(backend, READS, lambda _session: holding.__enter__())
    holding.__exit__(None, None, None)
    assert made.side("entry") == {"fired": T, "accepted": T, **_unknown(backend)}
    assert made.side("return") == _unknown(backend)
    assert made.hook()["in_flight"] == T
    assert made.emit() == {}
    assert made.verdict.complete is True


def test_calls_without_room_are_map_full_and_make_a_run_incomplete(
    backend: str, load: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four frames for twelve threads: eight entries find no room, their returns no entry."""
    monkeypatch.setattr(bcc_layout, "OPEN_ENTRIES", 4)
    monkeypatch.setattr(pipeline, "_MOST_OPEN", 4)

    def act(session: Session) -> None:
        with held(load, T) as release:
            while _entered(session) < T:  # a reader may hold back what is young
                drained(session)
            release()

    made = measured(backend, READS, act)
    unknown = _unknown(backend)
    assert made.side("entry") == {"fired": T, "map_full": T - 4, "accepted": 4, **unknown}
    assert made.side("return") == {"fired": T, "unpaired": T - 4, "accepted": 4, **unknown}
    assert made.hook()["in_flight"] == 0
    assert made.emit() == {"accepted": 4, "recorded": 4, "delivered": 4}
    assert made.verdict.complete is False
    assert made.verdict.lost == T - 4


def test_calls_that_end_with_their_thread_leave_their_room(
    backend: str, frames: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten processes, each of which ends with four threads in the call, and frames for eight."""
    monkeypatch.setattr(bcc_layout, "OPEN_ENTRIES", 8)
    text = f"probes: {{p: {{attach: 'ufunction:{frames}:hold', emit: {{}}}}}}\n"
    made = measured(backend, text, calling(frames, "waves", 4))
    assert made.side("entry") == {"fired": 40, "accepted": 40, **_unknown(backend)}
    assert made.verdict.complete is True
    if backend == "bcc":
        assert (made.hook()["exited"], made.hook()["in_flight"]) == (40, 0)


def _entered(session: Session) -> int:
    """Entries that have been judged so far."""
    entry = session.counts().sides[0]
    return at_least(entry.accepted) + at_least(entry.map_full)


# ---------------------------------------------------------------- metrics


def test_keys_without_room_go_to_other_and_lose_nothing(backend: str, load: Path) -> None:
    """Eight of twenty keys fit; the others' events are in the cell `other`, reported as
    map_full."""
    metrics = "metrics: {n: {count: true, by: [args.i], keys: 8}}"
    made = measured(backend, calls(load, metrics), calling(load, "call", 20))
    assert made.side()["accepted"] == 20
    assert made.metric("n") == {"counted": 8, "map_full": 12}
    *keyed, other = made.cells["n"]
    assert (len(keyed), other.key, other.count) == (8, None, 12)
    assert made.verdict.complete is True


def test_updates_that_the_kernel_refuses_are_map_busy(
    load: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A map's lock that is held on the same CPU cannot be had on purpose, so a map stands for it
    that refuses an update with another error than that it is full: a trie, by too long a prefix.
    (tracefs: what the reader did not get is ring_lost, as the test of that has it.)"""
    monkeypatch.setitem(maps.KINDS, "lpm_trie", 11)  # type: ignore[arg-type, misc]  # no kind of ours
    monkeypatch.setattr(session_maps, "create_map", _refusing)
    text = "where: args.i >= 100\n    metrics: {n: {count: true, by: [args.i]}}"
    made = measured("bcc", calls(load, text), calling(load, "call", N))
    assert made.side()["accepted"] == 200
    assert made.metric("n") == {"map_busy": 200}
    assert made.verdict.complete is False
    assert made.verdict.lost == 200


def _refusing(spec: maps.MapSpec) -> Map:
    """A trie instead of the metric's hash: of its keys the first four bytes are a prefix's length,
    at most 32 here."""
    if spec.kind == "hash":
        kind: Any = "lpm_trie"
        spec = replace(spec, kind=kind, flags=maps.NO_PREALLOC)
    return create_map(spec)


# ---------------------------------------------------------------- what the kernel passes over


def test_programs_that_are_passed_over_are_told(
    load: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that a program of ours does fires its own probe, so the counter is given to it: what
    the kernel says is the row, and is what was missed where nothing else can be."""
    reported = bpf.program_statistics

    def passed_over(program: int) -> bpf.ProgramStatistics:
        return replace(reported(program), recursion_misses=3)

    monkeypatch.setattr(bpf, "program_statistics", passed_over)
    text = "probes: {p: {attach: 'rawtracepoint:sys_enter', metrics: {n: {count: true}}}}"
    made = measured("bcc", text, calling(load, "getppid", N))
    assert (made.side()["recursion_misses"], made.side()["kernel_missed"]) == (3, 3)
    assert made.verdict.complete is False


# ---------------------------------------------------------------- reading


def test_reads_that_fail_are_faulted_or_unknown(backend: str, load: Path) -> None:
    """Every third address is not mapped. tracefs reads in the kernel, which reports no failure of a
    number, and says that it does not know."""
    text = calls(load, "emit: {x: \"load('u8', cast(args.i, 'char *'))\"}")
    made = measured(backend, text, calling(load, "call", N))
    assert made.ledger["faulted"] == (N if backend == "bcc" else "unknown")
    assert made.emit()["recorded"] == N
    assert made.verdict.complete is True


def test_strings_that_are_cut_are_truncated(backend: str, load: Path) -> None:
    """The path of the program that is started, in eight bytes."""
    text = f"""
target: {{comm: {load.name}}}
probes:
  p: {{attach: "tracepoint:sched:sched_process_exec", emit: {{file: "str(args.filename, 8)"}}}}
"""
    made = measured(backend, text, calling(load, "call", 1))
    assert made.ledger["truncated"] == 1
    assert made.emit()["recorded"] == 1


def test_divisions_by_zero_are_counted(backend: str, load: Path) -> None:
    """i % 3 is 0 for 100 of 300 calls."""
    text = calls(load, "emit: {x: 7 // (args.i % 3)}")
    made = measured(backend, text, calling(load, "call", N))
    assert made.ledger["divisions_by_zero"] == N // 3


# ---------------------------------------------------------------- records


def test_records_without_room_are_ring_lost_and_make_a_run_incomplete(
    backend: str, load: Path
) -> None:
    """No one reads; what did not fit is counted to the unit."""
    many = 60_000
    room = ROOM.replace("}", ", memory: 3MiB}" if backend == "bcc" else ", memory: 64KiB}")
    text = calls(load, "emit: {i: args.i}\n    metrics: {n: {count: true}}")
    made = measured(backend, text, calling(load, "call", many), room=room)
    emit = made.emit()
    assert made.side()["fired"] == made.side()["accepted"] == many
    assert emit["ring_lost"] > 0
    assert emit["delivered"] + emit["ring_lost"] == many
    metric = made.metric("n")
    if backend == "bcc":
        assert metric == {"counted": many}
    else:  # counted by the reader: what it did not get is lost to the metric too
        assert metric == {"counted": emit["delivered"], "ring_lost": emit["ring_lost"]}
    assert made.verdict.complete is False
    assert made.verdict.lost == emit["ring_lost"]


TWO = """
probes:
  one: {attach: 'tracepoint:syscalls:sys_enter_sched_get_priority_max', emit: {}}
  two: {attach: 'tracepoint:syscalls:sys_exit_sched_get_priority_max', emit: {}}
"""


def test_what_several_events_lose_together_is_told_as_a_whole(backend: str, load: Path) -> None:
    """Where the kernel reports one buffer how much did not fit and not what, each probe's part is
    unknown, the whole is not, and the run is not complete. A program knows its own."""
    many = 60_000
    room = ROOM.replace("}", ", memory: 3MiB}" if backend == "bcc" else ", memory: 64KiB}")
    made = measured(backend, TWO, calling(load, "rare", many), room=room)
    one, two = made.emit("one"), made.emit("two")
    delivered = one["delivered"] + two["delivered"]
    if backend == "bcc":
        assert (one["accepted"], two["accepted"]) == (many, many)
        assert made.ledger["lost_unattributed"] == 0
        assert delivered + one["ring_lost"] + two["ring_lost"] == 2 * many
    else:
        assert (one["ring_lost"], two["ring_lost"]) == ("unknown", "unknown")
        assert made.ledger["lost_unattributed"] == 2 * many - delivered
    assert made.verdict.complete is False
