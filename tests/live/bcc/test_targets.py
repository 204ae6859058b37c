"""Which tasks are chosen by their program and PID namespace, and which are left out."""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.bcc.test_counts import LIMITS
from tests.support.bcc_runs import Run, balanced, run

PLAN = """
probes: {p: {attach: "syscall:getppid", emit: {}}}
"""


@pytest.fixture
def programs(calls: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Two programs that do the same, under names that no other process has."""
    paths = (tmp_path / f"pa{os.getpid()}", tmp_path / f"pb{os.getpid()}")
    for path in paths:
        shutil.copy(calls, path)
    return paths


def calling(*commands: list[str]) -> Callable[[object], None]:
    """Runs the commands one after another."""

    def act(_session: object) -> None:
        for command in commands:
            subprocess.run(command, check=True)

    return act


def counts(made: Run, *names: str) -> list[int]:
    """How many calls each of these names made."""
    seen = Counter(record["comm"] for record in made.records)
    return [seen[name] for name in names]


def chosen(target: str, *commands: list[str]) -> list[int]:
    made = run(LIMITS + f"target: {target}\n" + PLAN, during=calling(*commands))
    balanced(made)
    return counts(made, *(Path(command[-2]).name for command in commands))


def test_a_program_is_chosen_by_its_file_whatever_its_name(programs: tuple[Path, Path]) -> None:
    """By a symbolic link, too; the other file, which has the same content, is another program."""
    one, other = programs
    link = one.with_name("link")
    link.symlink_to(one)
    acts = [str(one), "getppid 30"], [str(other), "getppid 20"]
    assert chosen(f"{{exe: {one}}}", *acts) == [30, 0]
    assert chosen(f"{{exe: {link}}}", *acts) == [30, 0]
    assert chosen(f"{{exe: [{other}, {one}]}}", *acts) == [30, 20]
    assert chosen(f"{{exe: /bin/sh, comm: {one.name}}}", *acts) == [0, 0]


def test_tasks_are_left_out_by_each_key(programs: tuple[Path, Path]) -> None:
    """Of those that the target chooses."""
    one, other = programs
    acts = [str(one), "getppid 30"], [str(other), "getppid 20"]
    both = f"comm: [{one.name}, {other.name}]"
    for key, seen in (
        (f"exe: {one}", [0, 20]),
        (f"comm: '{other.name[:3]}*'", [30, 0]),
        ("uid: 0", [0, 0]),
        ("uid: 4242", [30, 20]),
        ("pidns: container", [30, 20]),
        ("pidns: host", [0, 0]),
        ("pid: 1", [30, 20]),
        ("cgroup: /", [0, 0]),
    ):
        assert chosen(f"{{{both}, not: {{{key}}}}}", *acts) == seen, key


def test_a_pid_namespace_is_chosen_by_kind_and_by_number(calls: Path) -> None:
    """unshare makes the namespace; its child is the first process there."""
    inside = ["unshare", "--pid", "--fork", str(calls), "getppid 30"]
    number = Path("/proc/self/ns/pid").stat().st_ino
    for namespace, seen in (("container", 30), ("host", 0), (number, 0), (f"[host, {number}]", 0)):
        assert chosen(f"{{comm: {calls.name}, pidns: {namespace}}}", inside) == [seen], namespace
    outside = [str(calls), "getppid 20"]
    for namespace, seen in (("container", 0), ("host", 20), (number, 20)):
        assert chosen(f"{{comm: {calls.name}, pidns: {namespace}}}", outside) == [seen], namespace


def test_descendants_are_left_out_those_there_are_and_those_to_come(calls: Path) -> None:
    """A shell that has one child from before and makes others; what it has not made is seen."""
    script = f"sleep 60 & while read act; do {calls} \"$act\"; {calls} 'forks 2'; echo; done"
    with subprocess.Popen(
        ["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None

        def act(_session: object) -> None:
            shell.stdin.write("getppid 30\n")
            shell.stdin.flush()
            shell.stdout.readline()
            subprocess.run([str(calls), "getppid 20"], check=True)

        plan = LIMITS + f"target: {{comm: {calls.name}, not: {{pid: {shell.pid}%s}}}}\n" + PLAN
        alone = run(plan % "", during=act)
        family = run(plan % ", children: true", during=act)
        shell.stdin.close()
        subprocess.run(["pkill", "-P", str(shell.pid), "sleep"], check=False)
    balanced(family)
    assert counts(alone, calls.name) == [54]
    assert counts(family, calls.name) == [20]
    assert family.counts.children_lost == 0


def test_the_event_of_another_task_is_judged_by_that_tasks_program(
    programs: tuple[Path, Path],
) -> None:
    """`task: EXPR`: the parent's program and namespace, not the child's."""
    one, _ = programs
    made = run(LIMITS + f"target: {{exe: {one}, pidns: host, not: {{uid: 77}}}}\n" + """
probes:
  p:
    attach: tracepoint:sched:sched_process_exec
    task: task.real_parent
    emit: {}
""", during=calling([str(one), "getppid 1"]))  # fmt: skip
    balanced(made)
    assert counts(made, one.name) == [0]  # it starts no program
    assert made.side().not_target > 0
