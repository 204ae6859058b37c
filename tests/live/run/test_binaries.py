"""Probes in files that have several functions of a name, or that change: on both backends."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.kernel.abi.cgroups import cgroup2_mount
from orchestrator.kernel.facts import live_facts
from orchestrator.plan.findings import HostError
from orchestrator.plan.load import load_plan
from orchestrator.run.options import RunOptions
from orchestrator.run.prepare import prepare
from orchestrator.run.runner import run_prepared
from tests.live.run.test_counts import HEAD, backends
from tests.support.binaries import build_library, build_twins, build_versions, compile_to
from tests.support.paths import WORKLOADS
from tests.support.product import Ran, check_sums, run_cli

FIRST, SECOND = 300, 500
#: A library with the mark of C++.
THROWER = """
#pragma weak __cxa_throw
extern char __cxa_throw[];
char *mark(void) { return __cxa_throw; }
int work(int v) { return v + 1; }
"""


def run_calls(
    backend: str, folder: Path, point: str, program: Path, more: str = ""
) -> list[tuple[int, int]]:
    """(argument, result) of each call of `point` while `program FIRST SECOND` runs. `more`: keys of
    the probe."""
    plan = folder / "plan.yaml"
    plan.write_text(f"""{HEAD}
  calls:
    attach: "{point}"
    args: {{v: s64}}
    returns: s64
    emit: {{v: args.v, r: retval}}
    {more}
""")
    command = [str(program), str(FIRST), str(SECOND)]
    ran = run_cli(str(plan), "--backend", backend, command=command)
    assert ran.finished["complete"] is True
    return [(record["v"], record["r"]) for record in ran.data("calls")]


@backends
def test_two_static_functions_of_one_name_are_both_seen(backend: str, tmp_path: Path) -> None:
    program = build_twins(tmp_path)
    calls = run_calls(backend, tmp_path, f"ufunction:{program}:twin", program)
    first, second = [(v, v + 1) for v in range(FIRST)], [(v, 2 * v) for v in range(SECOND)]
    assert calls == [*first, *second]


@backends
def test_functions_of_one_name_are_one_cell(backend: str, tmp_path: Path) -> None:
    """Two static functions; a key that is shown twice would split the count."""
    program = build_twins(tmp_path)
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"""{HEAD}
  calls: {{attach: "uprobe:{program}:twin", metrics: {{n: {{count: true, by: [func]}}}}}}
""")
    ran = run_cli(str(plan), "--backend", backend, command=[str(program), str(FIRST), str(SECOND)])
    cells = [(cell["key"], cell["value"]) for cell in ran.cells("calls", "n")]
    assert cells == [({"func": "twin"}, FIRST + SECOND)]


@backends
def test_all_versions_of_a_function_are_seen_or_the_one_that_is_named(
    backend: str, tmp_path: Path
) -> None:
    library, program = build_versions(tmp_path)
    old, new = [(v, v + 1) for v in range(FIRST)], [(v, v + 2) for v in range(SECOND)]
    point = f"ufunction:{library}:versioned"
    assert run_calls(backend, tmp_path, point, program) == [*old, *new]
    assert run_calls(backend, tmp_path, f"{point}@V1", program) == old
    assert run_calls(backend, tmp_path, f"{point}@@V2", program) == new


@backends
def test_a_plan_may_accept_what_a_return_probe_risks(backend: str, tmp_path: Path) -> None:
    """A library that could throw, and does not here. Without the plan's word it is refused."""
    library = build_library(tmp_path, THROWER)
    main = tmp_path / "main.c"
    main.write_text("int work(int); int main(void) { for (int i = 0; i < 300; i++) work(i); }\n")
    program = compile_to(tmp_path / "main", main, library, flags=(f"-Wl,-rpath,{tmp_path}",))
    point = f"ufunction:{library}:work"
    with pytest.raises(AssertionError, match="return probe on work may kill"):
        run_calls(backend, tmp_path, point, program)
    calls = run_calls(backend, tmp_path, point, program, "unsafe_return: true")
    assert calls == [(v, v + 1) for v in range(300)]


def run_incomplete(*words: str, command: list[str]) -> tuple[Ran, str]:
    """A run that is not complete, for one reason, and fails because of it alone."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "run", *words, "--no-progress", "--", *command],
        capture_output=True,
        check=False,
    )
    ran = Ran.of(done.stdout)
    check_sums(ran)
    assert ran.finished["complete"] is False
    assert (done.returncode, ran.finished["exit_code"]) == (4, 4)
    [reason] = ran.finished["incomplete_because"]
    return ran, str(reason)


@backends
@pytest.mark.parametrize("upgrade", ["mv PROGRAM.new PROGRAM", "cat PROGRAM.new > PROGRAM"])
def test_a_run_says_that_a_file_was_replaced_or_written_during_it(
    backend: str, upgrade: str, tmp_path: Path
) -> None:
    """As an upgrade does it: the calls before are counted, and the run is not complete."""
    program = build_twins(tmp_path)
    shutil.copy(program, f"{program}.new")
    script = f"PROGRAM {FIRST} {SECOND} && {upgrade} && sleep 0.3 && PROGRAM 5 5"
    shell = ["sh", "-c", script.replace("PROGRAM", str(program))]
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"{HEAD}  calls: {{attach: 'uprobe:{program}:twin', emit: {{}}}}\n")
    ran, reason = run_incomplete(str(plan), "--backend", backend, command=shell)
    assert len(ran.data("calls")) == FIRST + SECOND
    done = "was replaced by another file" if upgrade.startswith("mv") else "was written"
    assert reason.startswith(f"{program} {done}")


def test_a_run_says_that_its_cgroup_was_made_again(tmp_path: Path) -> None:
    """As the restart of a service does it."""
    mount = cgroup2_mount()
    if mount is None:
        pytest.skip("this kernel lacks cgroup2")
    cgroup = mount / f"probeplan-test-{os.getpid()}"
    cgroup.mkdir()
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"{HEAD}  calls: {{attach: 'syscall:getppid', emit: {{}}}}\n")
    words = (str(plan), "--target", f"cgroup=/{cgroup.name}")
    restart = ["sh", "-c", f"rmdir {cgroup} && mkdir {cgroup}"]
    try:
        _, reason = run_incomplete(*words, command=restart)
    finally:
        cgroup.rmdir()
    assert reason.startswith(f"the cgroup /{cgroup.name} was removed and made again")


@backends
def test_a_file_replaced_after_it_was_read_gets_no_breakpoint(backend: str, tmp_path: Path) -> None:
    """As a package manager replaces it. The offset of the function in the old file would be inside
    an instruction of the new one."""
    victim, new = tmp_path / "victim", tmp_path / "new"
    for name, definition in ((victim, "-DPADDED=0"), (new, "-DPADDED=1")):
        compile_to(name, WORKLOADS / "padded.c", flags=(definition,))
    text = f"{HEAD}  call: {{attach: 'uprobe:{victim}:target', emit: {{}}}}\n"
    prepared = prepare(load_plan(text.encode()), live_facts(), backend=backend)
    new.rename(victim)
    with pytest.raises(HostError, match="replaced or changed"):
        run_prepared(prepared, RunOptions())
    assert str(victim) not in Path("/sys/kernel/tracing/uprobe_events").read_text()
    assert subprocess.run([victim], check=False).returncode == 0
