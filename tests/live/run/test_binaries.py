"""Probes in files that have several functions of a name, or that change: on both backends."""

import subprocess
from pathlib import Path

import pytest

from orchestrator.kernel.facts import live_facts
from orchestrator.plan.findings import HostError
from orchestrator.plan.load import load_plan
from orchestrator.run.options import RunOptions
from orchestrator.run.prepare import prepare
from orchestrator.run.runner import run_prepared
from tests.live.run.test_counts import HEAD, backends
from tests.support.binaries import build_twins, build_versions
from tests.support.paths import WORKLOADS
from tests.support.product import run_cli

FIRST, SECOND = 300, 500


def run_calls(backend: str, folder: Path, point: str, program: Path) -> list[tuple[int, int]]:
    """(argument, result) of each call of `point` while `program FIRST SECOND` runs."""
    plan = folder / "plan.yaml"
    plan.write_text(f"""{HEAD}
  calls: {{attach: "{point}", args: {{v: s64}}, returns: s64, emit: {{v: args.v, r: retval}}}}
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
def test_a_file_replaced_after_it_was_read_gets_no_breakpoint(backend: str, tmp_path: Path) -> None:
    """As a package manager replaces it. The offset of the function in the old file would be inside
    an instruction of the new one."""
    victim, new = tmp_path / "victim", tmp_path / "new"
    for name, definition in ((victim, "-DPADDED=0"), (new, "-DPADDED=1")):
        source = WORKLOADS / "padded.c"
        subprocess.run(["gcc", "-O2", definition, "-o", name, source], check=True)
    text = f"{HEAD}  call: {{attach: 'uprobe:{victim}:target', emit: {{}}}}\n"
    prepared = prepare(load_plan(text.encode()), live_facts(), backend=backend)
    new.rename(victim)
    with pytest.raises(HostError, match="replaced or changed"):
        run_prepared(prepared, RunOptions())
    assert str(victim) not in Path("/sys/kernel/tracing/uprobe_events").read_text()
    assert subprocess.run([victim], check=False).returncode == 0
