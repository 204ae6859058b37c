"""System calls that execute a program return, and each is one pair, on both backends.

The kernel leaves a successful execveat by the exit of execve, and a thread that does not lead its
process takes the leader's number meanwhile.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.live.run.test_counts import HEAD, backends
from tests.support.product import Ran, run_cli
from tests.support.small_programs import build_32_bit_program, require_it_runs

EXECVE, EXECVEAT = "syscall:execve", "syscall:execveat"
BOTH = f"attach_all: [{EXECVE}, {EXECVEAT}]"
FAILED = [("execve", -2), ("execveat", -2)]


@pytest.fixture
def script(tmp_path: Path) -> str:
    """A script that does nothing."""
    path = tmp_path / "script"
    path.write_text("#!/bin/true\n")
    path.chmod(0o755)
    return str(path)


def run_tasks(backend: str, tasks: Path, probes: str, steps: str, *arguments: str) -> Ran:
    """The probes alongside `tasks steps…`."""
    plan = tasks.parent / "execs.yaml"
    plan.write_text(HEAD + probes)
    command = [str(tasks), *steps.split()]
    return run_cli(str(plan), "--backend", backend, *arguments, command=command)


def without_first(calls: list[Any]) -> list[Any]:
    """Without the execve by which the run starts its command, where that was seen."""
    return calls[1:] if calls[0] == ("execve", 0) else calls


def accounts(ran: Ran, probe: str) -> dict[str, Any]:
    """The account of each attach point."""
    return {hook["to"]: hook for hook in ran.ledger(probe)["hooks"]}


def check_none_open(hook: Any) -> None:
    """Each call has returned."""
    fates = [hook[fate] for fate in ("abandoned", "execed", "exited", "in_flight")]
    assert fates == [0, 0, 0, 0]
    entry, back = hook["sides"]["entry"], hook["sides"]["return"]
    assert entry["accepted"] == back["accepted"]
    assert back["kernel_missed"] == 0


@backends
@pytest.mark.parametrize("attach", [BOTH, 'attach: "syscall:execve*"'])
def test_each_call_is_one_pair(backend: str, tasks: Path, script: str, attach: str) -> None:
    """From the leader and from another thread, by each call, a script too; and those that fail."""
    probe = f"  ex: {{{attach}, emit: {{f: func, r: retval, took: elapsed}}}}\n"
    steps = "failing-exec execve thread execve execveat thread execveat fexecve thread fexecve "
    steps += f"failing-exec thread become {script}"
    ran = run_tasks(backend, tasks, probe, steps)
    calls = [(record["f"], record["r"]) for record in ran.data("ex")]
    succeeded = [("execve", 0)] * 2 + [("execveat", 0)] * 4
    assert without_first(calls) == [*FAILED, *succeeded, *FAILED, ("execveat", 0)]
    assert all(record["took"] > 0 for record in ran.data("ex"))
    assert ran.finished["complete"] is True
    found = accounts(ran, "ex")
    for hook in found.values():
        check_none_open(hook)
        if backend == "tracefs":  # it records the target's tasks only
            assert hook["sides"]["return"]["unpaired"] == 0
    assert found[EXECVEAT]["sides"]["return"]["accepted"] == 7


@backends
def test_an_execveat_alone_takes_no_returns_of_others(backend: str, tasks: Path) -> None:
    """Conditions are tested on returns by either exit."""
    probe = f"  ex: {{attach: {EXECVEAT}, where: retval == 0, emit: {{r: retval}}}}\n"
    steps = "failing-exec execve execveat execve thread execve fexecve"
    ran = run_tasks(backend, tasks, probe, steps)
    assert [record["r"] for record in ran.data("ex")] == [0, 0]
    side = ran.side("ex", "return")
    assert (side["filtered"], side["unpaired"]) == (1, 0)


@backends
def test_an_execveat_that_was_refused_at_its_entry_is_no_execve(backend: str, tasks: Path) -> None:
    """Several probes of each call have each its own part of them."""
    probes = f"""
  refused: {{attach: {EXECVEAT}, where: entry(args.flags == 77), emit: {{r: retval}}}}
  seen: {{attach: {EXECVEAT}, emit: {{r: retval, took: elapsed}}}}
  other: {{attach: {EXECVE}, emit: {{r: retval, took: elapsed}}}}
  again: {{attach: {EXECVE}, where: retval < 0, emit: {{r: retval}}}}
"""
    steps = "execve execveat failing-exec thread execveat execve"
    ran = run_tasks(backend, tasks, probes, steps)
    assert ran.data("refused") == []
    assert [record["r"] for record in ran.data("seen")] == [0, -2, 0]
    assert [record["r"] for record in ran.data("other")][-3:] == [0, -2, 0]
    assert [record["r"] for record in ran.data("again")] == [-2]
    assert ran.finished["complete"] is True
    for name in ("seen", "other"):
        for hook in ran.ledger(name)["hooks"]:
            check_none_open(hook)


@backends
def test_the_time_of_an_execveat_is_that_from_its_entry_to_the_exit(
    backend: str, tasks: Path
) -> None:
    """As the tracepoints themselves show it: of an event, probes read the clock in their order."""
    enter, leave = "tracepoint:syscalls:sys_enter_execveat", "tracepoint:syscalls:sys_exit_execve"
    probes = f"""
  begun: {{attach: "{enter}", emit: {{t: now}}}}
  ends: {{attach: "{leave}", emit: {{t: now}}}}
  ex: {{attach: {EXECVEAT}, emit: {{took: elapsed}}}}
  begins: {{attach: "{enter}", emit: {{t: now}}}}
  ended: {{attach: "{leave}", emit: {{t: now}}}}
"""
    ran = run_tasks(backend, tasks, probes, "execveat thread fexecve")
    begun, begins, ends, ended = (
        [row["t"] for row in ran.data(name)][-2:] for name in ("begun", "begins", "ends", "ended")
    )
    took = [row["took"] for row in ran.data("ex")]
    assert len(took) == 2
    for i, time in enumerate(took):
        assert 0 < ends[i] - begins[i] <= time <= ended[i] - begun[i]


def test_what_was_passed_to_an_exec_is_kept_to_its_return(tasks: Path) -> None:
    """The file from the caller's memory, the arguments from that of the new program. (By bcc;
    tracefs reads no memory at a tracepoint.)"""
    emit = "{r: retval, file: 'entry(str(args.filename, 256))', argv: argv(64), flags: args.flags}"
    probe = f"  ex: {{attach: {EXECVEAT}, emit: {emit}}}\n"
    ran = run_tasks("bcc", tasks, probe, "execveat getppid 1 thread fexecve getppid 2")
    assert [(row["file"], row["flags"]) for row in ran.data("ex")] == [
        (str(tasks), 0),
        ("", 0x1000),
    ]
    argv = [row["argv"].split(" ", 1)[1] for row in ran.data("ex")]
    assert argv == ["getppid 1 thread fexecve getppid 2"[: len(argv[0])], "getppid 2"]


def test_a_span_from_an_exec_to_its_end_is_joined_by_the_process(tasks: Path) -> None:
    """The thread's number may be another one at the end."""
    spans = """
  enter: {attach: "tracepoint:syscalls:sys_enter_exec*"}
  leave: {attach: "tracepoint:syscalls:sys_exit_exec*"}
spans:
  exec: {start: enter, end: leave, key: [pid], emit: {took: elapsed}}
"""
    steps = "failing-exec execve thread execveat thread execve fexecve"
    ran = run_tasks("bcc", tasks, spans, steps)
    counts = ran.finished["ledger"]["spans"]["exec"]["counts"]
    assert counts["ended"] == counts["started"] in (6, 7)
    assert counts["in_flight"] == 0


@backends
def test_an_exec_whose_return_was_not_seen_takes_no_return_of_another(
    backend: str, tmp_path: Path
) -> None:
    """The shell's execve starts a 32-bit program, which executes a 64-bit one: the return from the
    first and the entry of the second are a 32-bit program's, which the tracepoints omit."""
    small = build_32_bit_program(tmp_path / "small", becomes="/bin/true")
    require_it_runs(small)
    plan = tmp_path / "execs.yaml"
    plan.write_text(HEAD + f"  ex: {{attach: {EXECVE}, emit: {{comm: comm, r: retval}}}}\n")
    ran = run_cli(str(plan), "--backend", backend, command=["sh", "-c", f"exec {small}"])
    succeeded = [record["comm"] for record in ran.data("ex") if record["r"] == 0]
    assert "sh" not in succeeded
    entry, back = ran.side("ex", "entry"), ran.side("ex", "return")
    assert back["unpaired"] >= 1
    assert entry["accepted"] == back["accepted"] + 1
    if backend == "bcc":
        assert ran.ledger("ex")["hooks"][0]["execed"] == 1
