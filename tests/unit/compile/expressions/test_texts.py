"""Text of a length that the event gives: its C on every kernel, and what is refused."""

from collections.abc import Callable

import pytest

from orchestrator.backends.bcc import artifact
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.output.text import kernel_from_text, text_from_bytes
from orchestrator.plan.findings import PlanError
from orchestrator.plan.load import load_plan
from tests.support.recorded import HEAD, recorded
from tests.support.shipped import every_kernel


@every_kernel
def test_texts_compile_on_every_kernel(kernel: str) -> None:
    """Of one length in records, keys and conditions."""
    text = """
probes:
  p:
    attach: syscall:write
    where: str(args.buf, args.count) == "x"
    emit: {a: "str(args.buf, min(args.count, 64))", b: "text(buf(args.buf, 8))"}
    metrics: {n: {count: true, by: ["text(buf(args.buf, 8))"]}}
"""
    facts = recorded(kernel)
    program = compile_plan(load_plan((HEAD + text).encode()), facts)
    assert [(part.form, part.size) for part in program.emits[0].fields] == [
        ("string", 65),
        ("text", 16),
    ]
    assert [part.form for part in program.metrics[0].key] == ["text"]
    assert artifact.emit(program, facts).text.count("pp_read_text(") == 2


@pytest.mark.parametrize(
    ("value", "code", "reason"),
    [
        ("str(args.buf, min(args.count, 4096))", "PP086", "a string of 4096 bytes"),
        ("str(args.buf, comm)", "PP084", "the length"),
        ("str(comm, args.count)", "PP084", "cut to a constant length"),
        ("text(args.buf)", "PP084", "shows a buffer"),
        ("text(str(args.buf))", "PP084", "shows a buffer"),
    ],
)
def test_other_texts_are_findings(
    compiled: Callable[..., Program], value: str, code: str, reason: str
) -> None:
    with pytest.raises(PlanError, match=reason) as refused:
        compiled(f"probes: {{p: {{attach: 'syscall:write', emit: {{a: '{value}'}}}}}}")
    assert code in {finding.code for finding in refused.value.findings}


def test_no_byte_of_a_text_is_lost() -> None:
    every = bytes(range(256))
    assert kernel_from_text(text_from_bytes(every)) == every
    assert "\0" not in text_from_bytes(every)
