"""Stacks in plans: where they may be asked for, and what they take of the kernel's memory."""

import re
from functools import cache
from typing import Any

import pytest

from orchestrator.backends.bcc import backend as bcc
from orchestrator.backends.bcc.design.detail import BccDetail
from orchestrator.backends.bcc.design.memory import map_bytes
from orchestrator.backends.protocol import Artifact
from orchestrator.backends.tracefs import backend as tracefs
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts, load_facts
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import load_plan
from orchestrator.run.safety.privileges import capabilities_for_names
from tests.support.bcc_maps import recorded_program
from tests.support.paths import KERNELS

HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: stacks, summary: for tests}
limits: {memory: MEMORY}
probes:
  call:
    attach: tracepoint:syscalls:sys_enter_openat
"""
BY = "    metrics: {calls: {count: true, by: [ustack]}}\n"


@cache
def facts(name: str = "6.1") -> KernelFacts:
    return load_facts(KERNELS / f"{name}.facts.xz")


def program(body: str, memory: str = "32MiB") -> Program:
    return compile_plan(load_plan((HEAD.replace("MEMORY", memory) + body).encode()), facts())


def artifact(body: str, memory: str = "32MiB") -> Artifact[Any]:
    return bcc.emit(program(body, memory), facts())


def test_a_process_has_no_stack_where_there_is_no_task() -> None:
    """The kernel's own stack is there all the same."""
    with pytest.raises(PlanError) as refused:
        program("    task: none\n    emit: {s: ustack}\n")
    assert [finding.code for finding in refused.value.findings] == ["PP028"]
    program("    task: none\n    emit: {s: kstack}\n")


@pytest.mark.parametrize("where", ["kstack == 3", "kstack", "not ustack", "ustack + 1 > 2"])
def test_a_stack_is_nothing_to_reckon_with(where: str) -> None:
    with pytest.raises(PlanError) as refused:
        program(f"    where: {where}\n    emit: {{}}\n")
    assert "stack" in str(refused.value)


def test_tracefs_refuses_stacks_with_the_reason() -> None:
    body = "    let: {s: kstack}\n    emit: {s: s}\n"
    [finding] = tracefs.unsupported(program(body), facts(), user_space=True)
    assert "tracefs cannot fetch 'kstack'" in finding.message
    with pytest.raises(HostError):
        tracefs.emit(program(body), facts())


def test_stacks_take_a_fourth_of_the_memory_and_are_told() -> None:
    made = artifact(BY)
    assert 0.2 < made.memory["stacks"] / (32 << 20) <= 0.26
    detail = made.detail
    assert isinstance(detail, BccDetail)
    mine = [spec for spec in detail.maps.values() if spec.name in ("pp_stacks", "pp_scratch")]
    assert made.memory["stacks"] >= sum(map_bytes(spec, facts().possible_cpus) for spec in mine)


def test_with_less_memory_stacks_are_shorter_rather_than_few() -> None:
    depths = {}
    for memory in ("64MiB", "8MiB", "1MiB"):
        detail = artifact("    emit: {s: ustack}\n", memory).detail
        assert isinstance(detail, BccDetail)
        depths[memory] = detail.layout.stack_depth
    assert depths == {"64MiB": 128, "8MiB": 32, "1MiB": 32}


def test_a_plan_without_stacks_pays_for_none() -> None:
    made = artifact("    emit: {}\n")
    assert "stacks" not in made.memory
    assert "pp_stack" not in made.text


def test_a_stack_of_several_uses_is_taken_once() -> None:
    made = artifact(f"    emit: {{a: ustack, b: kstack}}\n{BY}")
    assert made.text.count("pp_stack(ctx, 1,") == made.text.count("pp_stack(ctx, 0,") == 1


def test_a_kernel_stack_is_marked_with_the_hook_whose_trampoline_takes_it() -> None:
    """No other kind of probe marks it, and no user stack is."""
    body = "    emit: {k: kstack, u: ustack}\n"
    places = ("fentry:vfs_read", "fexit:vfs_write", "rawtracepoint:sched_switch")
    probes = (f"  p{n}:\n    attach: {place}\n{body}" for n, place in enumerate(places))
    text = bcc.emit(recorded_program("probes:\n" + "".join(probes)), facts()).text
    assert [re.findall(rf"pp_stack\(ctx, {user}, (\d+),", text) for user in (0, 1)] == [
        ["1", "2", "0"],
        ["0", "0", "0"],
    ]


def test_what_names_take_of_privileges_is_kept_and_no_more() -> None:
    assert capabilities_for_names(program("    emit: {}\n")) == ()
    assert capabilities_for_names(program("    emit: {s: kstack}\n")) == ("CAP_SYSLOG",)
    assert set(capabilities_for_names(program(BY))) == {
        "CAP_SYS_PTRACE",
        "CAP_CHECKPOINT_RESTORE",
        "CAP_DAC_READ_SEARCH",
    }
