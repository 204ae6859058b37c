"""`usym(x)`: an address with its process, where stacks are kept."""

from collections.abc import Callable

import pytest

from orchestrator.backends.bcc import artifact
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.output.fields import decode_field
from orchestrator.plan.findings import PlanError
from orchestrator.plan.load import load_plan
from tests.support.recorded import HEAD, recorded
from tests.support.shipped import every_kernel


@every_kernel
def test_it_compiles_on_every_kernel(kernel: str) -> None:
    """In records and keys. A name is shown; the address 0 as a number, and a lost one as null."""
    text = """
probes:
  p:
    attach: syscall:write
    emit: {a: usym(args.buf)}
    metrics: {n: {count: true, by: ["usym(args.buf)"]}}
"""
    facts = recorded(kernel)
    program = compile_plan(load_plan((HEAD + text).encode()), facts)
    assert artifact.emit(program, facts).text.count("pp_user_symbol(") == 2
    [field], [part] = program.emits[0].fields, program.metrics[0].key
    assert (field.form, part.form) == ("usym", "usym")
    names = {1: (), 2: ("main+0x0 (app)",)}
    shown = [decode_field(field, number.to_bytes(8, "little"), names.get) for number in range(3)]
    assert shown == [None, "0x0", "main+0x0 (app)"]


@pytest.mark.parametrize(
    ("point", "value", "reason"),
    [
        ("attach: 'syscall:write', task: none", "usym(args.buf)", "has no meaning"),
        ("attach: 'rawtracepoint:sched_switch', task: args.next", "usym(5)", "has no meaning"),
        ("attach: 'syscall:write'", "usym(comm)", "string"),
    ],
)
def test_other_addresses_are_findings(
    compiled: Callable[..., Program], point: str, value: str, reason: str
) -> None:
    with pytest.raises(PlanError, match=reason):
        compiled(f"probes: {{p: {{{point}, emit: {{a: {value}}}}}}}")
