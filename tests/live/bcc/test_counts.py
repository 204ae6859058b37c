"""Exact counts on this machine's kernel."""

from pathlib import Path

from orchestrator.accounting.count import at_least
from tests.support.bcc_runs import balanced, run

LIMITS = "limits: {events: 100k, rate: 10M/s}\n"


def comm(path: Path) -> str:
    return f"target: {{comm: {path.name}}}\n"


def test_a_perf_tracepoint_sees_every_call(load: Path) -> None:
    """N calls are N accepted events, N records and a count of N."""
    made = run(LIMITS + comm(load) + """
probes:
  p:
    attach: tracepoint:raw_syscalls:sys_enter
    where: args.id == 110
    emit: {id: args.id}
    metrics: {n: {count: true}}
""", [str(load), "getppid", "3000"])  # fmt: skip
    balanced(made)
    assert made.side().accepted == 3000
    assert [r["id"] for r in made.records] == [110] * 3000
    assert {r["comm"] for r in made.records} == {load.name}
    assert made.metric("n")[0].count == 3000
    assert all(a["time"] <= b["time"] for a, b in zip(made.records, made.records[1:], strict=False))


def test_a_raw_tracepoint_sees_every_call(load: Path) -> None:
    """Without fields of the record a tracepoint is attached as a raw one."""
    made = run(LIMITS + comm(load) + """
probes:
  p:
    attach: rawtracepoint:sys_enter
    where: args.id == 110
    metrics: {n: {count: true}, s: {sum: args.id}}
""", [str(load), "getppid", "2000"])  # fmt: skip
    balanced(made)
    assert made.metric("n")[0].count == 2000
    assert made.metric("s")[0].sum == 2000 * 110


def test_a_syscall_is_one_event_with_its_arguments_and_result(calls: Path) -> None:
    """Entry and return are paired: arguments as of entry, the return value, the time between."""
    made = run(LIMITS + comm(calls) + """
probes:
  p:
    attach: syscall:openat
    where: startswith(str(args.filename), "/tmp/pp-")
    emit: {dfd: args.dfd, file: str(args.filename), flags: args.flags, ret: retval, took: elapsed}
    metrics: {n: {count: true}}
""", [str(calls), "open /tmp/pp-none", "open /etc/hostname", "open /tmp/pp-other"])  # fmt: skip
    balanced(made)
    assert [r["file"] for r in made.records] == [b"/tmp/pp-none", b"/tmp/pp-other"]
    assert {(r["dfd"], r["flags"], r["ret"]) for r in made.records} == {(-100, 0, -2)}
    assert all(0 < r["took"] < 10**9 for r in made.records)
    assert made.side(0, "entry").accepted == (
        at_least(made.side(0, "return").accepted) + at_least(made.side(0, "return").filtered)
    )


def test_two_threads_lose_nothing(calls: Path) -> None:
    """Counters and records of two CPUs at once are exact."""
    made = run(LIMITS + comm(calls) + """
probes:
  p:
    attach: syscall:getppid
    emit: {r: retval}
    metrics: {n: {count: true, by: [tid]}, lo: {min: retval}, hi: {max: retval}}
""", [str(calls), "both 20000"])  # fmt: skip
    balanced(made)
    assert made.side(0, "return").accepted == 40000
    assert len(made.records) == 40000
    assert sorted(cell.count for cell in made.metric("n")) == [20000, 20000]
    parents = {r["r"] for r in made.records}
    assert (made.metric("lo")[0].min, made.metric("hi")[0].max) == (min(parents), max(parents))


def test_a_null_is_told_and_counted(calls: Path) -> None:
    """A pointer that cannot be read: null in `emit`, false in `where`, counted as faulted."""
    text = (
        LIMITS
        + comm(calls)
        + """
probes:
  seen:
    attach: syscall:openat
    where: retval == -14
    emit: {file: str(args.filename), ret: retval}
  unseen:
    attach: syscall:openat
    where: retval == -14 and str(args.filename) != "x"
    emit: {ret: retval}
"""
    )
    made = run(text, [str(calls), "bad"])
    balanced(made)
    assert [(r["probe"], r["file"], r["ret"]) for r in made.records] == [("seen", None, -14)]
    assert made.counts.faulted == 2
    assert made.side(1, "return").filtered == made.side(1, "entry").accepted


def test_a_string_is_told_as_cut_only_when_it_is(calls: Path) -> None:
    """A string that just fits the field is whole; one byte more is cut, and counted."""
    made = run(LIMITS + comm(calls) + """
probes:
  p:
    attach: syscall:openat
    where: startswith(str(args.filename), "/tmp/pp")
    emit: {file: "str(args.filename, 12)"}
""", [str(calls), "open /tmp/pp-1234", "open /tmp/pp-123"])  # fmt: skip
    balanced(made)
    assert [(r["file"], r["truncated"]) for r in made.records] == [
        (b"/tmp/pp-123", ["file"]),
        (b"/tmp/pp-123", []),
    ]
    assert made.counts.truncated == 1


def test_strings_are_compared_whole(calls: Path) -> None:
    """Equality, beginnings, ends: no longer or shorter string is taken for another."""
    made = run(LIMITS + comm(calls) + """
let: {name: str(args.filename)}
probes:
  equal: {attach: "syscall:openat", where: name == "/tmp/pp-a", emit: {name: name}}
  prefix: {attach: "syscall:openat", where: 'startswith(name, "/tmp/pp-ab")', emit: {name: name}}
  suffix: {attach: "syscall:openat", where: 'glob(name, "*.log")', emit: {name: name}}
""", [str(calls), "open /tmp/pp-a", "open /tmp/pp-ab", "open /tmp/pp-", "open /tmp/pp-abc",
      "open /tmp/" + "d" * 90 + ".log", "open .log", "open log", "open /x.log2"])  # fmt: skip
    found = {p: [r["name"] for r in made.records if r["probe"] == p]
             for p in ("equal", "prefix", "suffix")}  # fmt: skip
    assert found["equal"] == [b"/tmp/pp-a"]
    assert found["prefix"] == [b"/tmp/pp-ab", b"/tmp/pp-abc"]
    assert found["suffix"] == [b"/tmp/" + b"d" * 90 + b".log", b".log"]
