"""Names for numbers on recorded kernels: the kernel's own, groups, and the plan's."""

from collections.abc import Callable

import pytest

from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Presentation, Program
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import load_plan
from tests.support.recorded import HEAD, recorded

Compile = Callable[..., Program]


def shown(program: Program) -> Presentation:
    """How the first field of the first record is shown."""
    presentation = program.emits[0].fields[0].presentation
    assert presentation is not None
    return presentation


def emit(value: str, attach: str = "tracepoint:skb:kfree_skb", before: str = "") -> str:
    """A plan that records one value."""
    return f"{before}\nprobes: {{p: {{attach: '{attach}', task: none, emit: {{x: '{value}'}}}}}}\n"


@pytest.mark.parametrize(
    ("value", "attach"),
    [
        ("label(args.reason)", "tracepoint:skb:kfree_skb"),
        ('label(args.reason, "SKB_DROP_REASON_")', "tracepoint:skb:kfree_skb"),
        ("label(args.reason)", "rawtracepoint:kfree_skb"),
    ],
)
def test_an_enum_has_its_enumerators_names(compiled: Compile, value: str, attach: str) -> None:
    """By the type of the field or argument, or by their prefix."""
    assert "SKB_DROP_REASON_NO_SOCKET" in shown(compiled(emit(value, attach))).names.values()


def test_names_go_through_definitions_and_spans(compiled: Compile) -> None:
    """A `let`, and what a span keeps of its start."""
    program = compiled("""
let: {why: args.reason}
probes:
  a: {attach: "rawtracepoint:kfree_skb", task: none, let: {skb: args.skb}}
  b: {attach: "rawtracepoint:consume_skb", task: none, let: {skb: args.skb}}
spans:
  s: {start: a, end: b, key: [skb], emit: {x: label(start.why)}}
""")
    assert "SKB_DROP_REASON_NO_SOCKET" in shown(program).names.values()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("label(args.reason + 1)", "no names for the values"),
        ('label(args.reason, "NOT_A_")', "begin with 'NOT_A_'"),
        ('flags(args.reason, "NOT_A_")', "begin with 'NOT_A_'"),
    ],
)
def test_what_the_kernel_has_no_names_for_is_a_finding(
    compiled: Compile, value: str, reason: str
) -> None:
    """Numbers that are computed, and prefixes of nothing: this kernel lacks them."""
    with pytest.raises(HostError, match=reason):
        compiled(emit(value))


def test_a_recording_without_print_formats_shows_numbers(compiled: Compile) -> None:
    """It is not known whether there are names: that is no error of the plan."""
    program = compiled(emit("label(args.newstate)", "tracepoint:sock:inet_sock_set_state"))
    presentation = program.emits[0].fields[0].presentation
    assert presentation is None or not presentation.names


LABELS = "labels: {op: {0: read, TCP_CLOSE: gone, -1: bad, _: other}}"


def test_the_plans_names_are_numbers_of_the_values_type(compiled: Compile) -> None:
    """-1 of 32 unsigned bits, and the value of a constant."""
    program = compiled(emit("label(cast(args.protocol, u32), op)", before=LABELS))
    presentation = shown(program)
    assert presentation.names == {0: "read", 7: "gone", 2**32 - 1: "bad"}
    assert presentation.otherwise == "other"


def test_an_unknown_constant_in_labels_is_a_finding() -> None:
    text = HEAD + emit("label(args.reason, op)", before="labels: {op: {NO_SUCH_THING: x}}")
    with pytest.raises(PlanError, match="NO_SUCH_THING"):
        compile_plan(load_plan(text.encode()), recorded("6.1"))
