"""Targets by program and namespace, and what is left out: what each backend makes of them."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.backends import backend
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.kernel.abi.executables import ExecutableId, find_executable
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding
from orchestrator.plan.load import load_plan
from orchestrator.run.report.records import started_target
from tests.support.recorded import HEAD, recorded
from tests.support.shipped import every_kernel

Compile = Callable[..., Program]
PROBES = "probes: {p: {attach: 'syscall:getppid', emit: {}}}\n"


@pytest.fixture
def program_file(tmp_path: Path) -> Path:
    made = tmp_path / "program"
    made.write_bytes(b"\x7fELF")
    return made


def test_a_program_is_its_file_as_the_kernel_names_it(program_file: Path) -> None:
    status = program_file.stat()
    found = find_executable(str(program_file))
    assert found is not None
    assert found.inode == status.st_ino
    link = program_file.with_name("link")
    link.symlink_to(program_file)
    assert find_executable(str(link)) == found
    device = os.major(status.st_dev) << 20 | os.minor(status.st_dev)
    assert found == ExecutableId(device=device, inode=status.st_ino)
    assert find_executable(str(program_file) + "s") is None


def test_numbers_of_files_and_namespaces_stay_open(
    compiled: Compile, facts: KernelFacts, program_file: Path
) -> None:
    """So that one program serves all hosts."""

    def emitted(exe: Path, number: int) -> tuple[str, dict[str, int]]:
        left = f"not: {{exe: {exe}, pidns: {number}, pid: {number % 1000 + 1}, uid: 3}}"
        made = compiled(f"target: {{exe: {exe}, {left}}}\n{PROBES}")
        artifact = backend("bcc").emit(made, facts)
        numbers = {one.name: one.value for one in artifact.numbers}
        return re.sub(r"/\*.*?\*/", "", artifact.text, flags=re.DOTALL), numbers

    other = program_file.with_name("other")
    other.write_bytes(b"")
    first, numbers = emitted(program_file, 4026532201)
    second, _ = emitted(other, 4026532202)
    assert first == second
    assert numbers[f"target.exe {program_file}, inode"] == program_file.stat().st_ino
    assert numbers["target.not.pidns"] == 4026532201
    assert numbers["target.not.pid"] == 202


@every_kernel
def test_every_kernel_has_what_the_tests_read(kernel: str, program_file: Path) -> None:
    facts = recorded(kernel)
    plan = f"{HEAD}target: {{exe: {program_file}, pidns: [host, container, 5]}}\n{PROBES}"
    assert not backend("bcc").unsupported(
        compile_plan(load_plan(plan.encode()), facts), facts, user_space=False
    )


def test_a_program_that_is_not_there_is_refused(compiled: Compile, facts: KernelFacts) -> None:
    for target in ("exe: /nonexistent/program", "not: {exe: /nonexistent/program}"):
        made = compiled(f"target: {{{target}}}\n{PROBES}")
        [reason] = backend("bcc").unsupported(made, facts, user_space=False)
        assert "there is no file '/nonexistent/program' on this host" in reason.message


def by_tracefs(compiled: Compile, facts: KernelFacts, target: str) -> tuple[Finding, ...]:
    made = compiled(f"target: {{{target}}}\n{PROBES}")
    return backend("tracefs").unsupported(made, facts, user_space=True)


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("pidns: host", "target.pidns"),
        ("not: {pidns: host}", "target.not.pidns"),
        ("not: {pid: 1, children: true}", "target.not.children"),
        ("exe: /bin/sh", "target.exe"),
        ("not: {cgroup: /}", "target.not.cgroup"),
    ],
)
def test_tracefs_says_what_it_cannot_test(
    compiled: Compile, facts: KernelFacts, target: str, named: str
) -> None:
    [reason] = by_tracefs(compiled, facts, target)
    assert reason.message == f"tracefs cannot test {named}"


def test_tracefs_leaves_out_by_number_and_name_in_user_space(
    compiled: Compile, facts: KernelFacts
) -> None:
    target = "not: {pid: 1, tid: 2, uid: 3, comm: a}"
    assert not by_tracefs(compiled, facts, target)
    made = compiled(f"target: {{{target}}}\n{PROBES}")
    asked = backend("tracefs").unsupported(made, facts, user_space=False)
    assert {finding.code for finding in asked} == {"PP112"}
    assert [f"target.not.{key}" in str(asked) for key in ("pid", "tid", "uid", "comm")] == [
        True
    ] * 4
    assert backend("tracefs").emit(made, facts).enforced["target.not"] == "user"


def test_the_log_has_paths_and_what_is_left_out(compiled: Compile, program_file: Path) -> None:
    made = compiled(f"target: {{exe: {program_file}, not: {{comm: a, pid: 1}}}}\n{PROBES}")
    assert started_target(made.target) == {
        "exe": [str(program_file)],
        "exclude_self": True,
        "not": {"pid": (1,), "comm": ("a",)},
    }
