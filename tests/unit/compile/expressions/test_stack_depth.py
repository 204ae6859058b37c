"""Stacks of few frames: their C on every kernel, and what is refused."""

from collections.abc import Callable

import pytest

from orchestrator.backends.bcc import artifact
from orchestrator.compile.program import Program
from orchestrator.plan.findings import PlanError
from orchestrator.plan.load import load_plan
from tests.support.recorded import HEAD, recorded
from tests.support.shipped import every_kernel


@every_kernel
def test_both_stacks_compile_in_records_and_keys(kernel: str) -> None:
    """Of kernel stacks the way to the program is kept in addition; a stack is taken once."""
    from orchestrator.compile.lower import compile_plan

    text = """
probes:
  p:
    attach: rawtracepoint:sched_switch
    emit: {k: kstack(5), u: ustack(3)}
    metrics: {n: {count: true, by: ["kstack(5)"]}}
"""
    facts = recorded(kernel)
    program = compile_plan(load_plan((HEAD + text).encode()), facts)
    written = artifact.emit(program, facts).text
    assert written.count("kstack_5 = pp_stack(ctx, 0, 0, 1, -1, 5, 13)") == 1
    assert written.count(", 3, 3);") == 1


@pytest.mark.parametrize("depth", ["0", "128", "pid", '"5"'])
def test_a_depth_is_a_number_of_frames(compiled: Callable[..., Program], depth: str) -> None:
    with pytest.raises(PlanError, match="how many frames is not known") as refused:
        compiled(f"probes: {{p: {{attach: 'syscall:read', emit: {{a: 'kstack({depth})'}}}}}}")
    assert [finding.code for finding in refused.value.findings] == ["PP086"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("probes: {p: {attach: 'syscall:read', task: none, emit: {a: ustack(5)}}}", "PP028"),
        ("probes: {p: {attach: 'syscall:read', emit: {a: 'kstack(5, 6)'}}}", "PP024"),
        (
            "probes: {p: {attach: 'syscall:read'}}\n"
            "spans: {s: {start: p, end: p, key: [tid], emit: {a: kstack(5)}}}",
            "PP022",
        ),
    ],
)
def test_stacks_have_the_conditions_of_those_without_a_depth(text: str, code: str) -> None:
    with pytest.raises(PlanError) as refused:
        load_plan((HEAD + text).encode())
    assert code in {finding.code for finding in refused.value.findings}
