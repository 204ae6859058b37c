"""Execs are pairs in booted kernels, which differ in where they give a task its new number."""

from typing import Any

import pytest

from tests.guest.run.test_attach_kinds import HEAD, ran_in
from tests.support.guest_cases import CaseResult

PLAN = f"""{HEAD}
    attach_all: [syscall:execve, syscall:execveat]
    emit: {{f: func, r: retval, took: elapsed, file: "entry(str(args.filename, 64))"}}
  left:
    attach: "tracepoint:syscalls:sys_exit_exec*"
    emit: {{f: func, r: args.ret}}
"""
STEPS = "failing-exec execve thread execve execveat thread execveat"
SUCCEEDED = [("execve", 0)] * 2 + [("execveat", 0)] * 2
FAILED = [("execve", -2), ("execveat", -2)]


def exec_case(backend: str) -> Any:
    return pytest.mark.guest(
        "tests.guest.tasks:run",
        prepare="tests.guest.tasks:prepare",
        plan=PLAN,
        backend=backend,
        argv=STEPS.split(),
    )


def check_execs(guest: CaseResult) -> None:
    """Each call is one pair, with what was passed to it, while the kernel shows the exits of
    execve."""
    ran = ran_in(guest)
    calls = [(row["f"], row["r"]) for row in ran.data("call")][-6:]
    assert calls == [*FAILED, *SUCCEEDED]
    assert all(row["took"] > 0 for row in ran.data("call"))
    files = [row["file"] for row in ran.data("call")][-6:]
    assert files[:2] == ["/no/such/program"] * 2
    assert len(set(files[2:6])) == 1
    assert files[2]
    left = [(row["f"].removeprefix("sys_exit_"), row["r"]) for row in ran.data("left")][-6:]
    assert left == [*FAILED, *[("execve", 0)] * 4]
    for hook in ran.ledger("call")["hooks"]:
        assert [hook[fate] for fate in ("abandoned", "execed", "exited", "in_flight")] == [0] * 4
        entry, back = hook["sides"]["entry"], hook["sides"]["return"]
        assert back["accepted"] == entry["accepted"]
        if "unknown" not in (back["unpaired"], entry["not_target"]):
            assert back["unpaired"] == entry["not_target"]


@pytest.mark.kernels("6.1", "6.12", "7.x")
@exec_case("bcc")
def test_execs_are_pairs_by_bcc(guest: CaseResult) -> None:
    check_execs(guest)


@pytest.mark.kernels("6.1", "6.12", "7.x")
@exec_case("tracefs")
def test_execs_are_pairs_by_tracefs(guest: CaseResult) -> None:
    """With entries at the functions, which can read the file's name."""
    check_execs(guest)
