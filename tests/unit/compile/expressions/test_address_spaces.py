"""What is read through keeps the address space of what it was computed from (language, rule 8)."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.compile.expressions.nodes import Load, Node, RawArg, ReadString, walk
from orchestrator.compile.expressions.scope import HookScope
from orchestrator.compile.expressions.types import S32, S64, U32, U64, Pointer, with_space
from orchestrator.compile.expressions.typing import Typer
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.expression.parse import parse
from orchestrator.plan.findings import PlanError

Compile = Callable[..., Program]

_ARGUMENTS = {
    "theirs": RawArg(0, Pointer("user")),
    "word": RawArg(1, with_space(U64, "user")),
    "ours": RawArg(2, Pointer("kernel")),
    "count": RawArg(3, U64),
    "signed": RawArg(4, S64),
    "small": RawArg(5, U32),
    "smaller": RawArg(6, S32),
}
_NUMBERS = ("args.count", "args.signed", "args.small", "args.smaller", "8", "0xfffffffffffff000")


def _grow(base: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Sums, differences, alignments, choices and definitions of an address and numbers."""
    number = st.sampled_from(_NUMBERS)
    operators = st.sampled_from(("+", "-", "&", "|", "^", "*", "//", "%"))
    return st.one_of(
        st.tuples(base, operators, number).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(number, operators, base).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(base, base).map(lambda t: f"({t[0]} + {t[1]})"),
        st.tuples(base, number).map(lambda t: f"max({t[0]}, {t[1]})"),
        st.tuples(base, number).map(lambda t: f"({t[0]} if {t[1]} else 0)"),
        st.tuples(base, number).map(lambda t: f"({t[1]} if {t[1]} else {t[0]})"),
        base.map(lambda text: f"(~{text})"),
        base.map(lambda text: f"cast({text}, u64)"),
        base.map(lambda text: f"cast({text}, s64)"),
        base.map(lambda text: f"({text} << 3 >> 3)"),
    )


def _addresses(leaf: str) -> st.SearchStrategy[str]:
    return st.recursive(st.sampled_from(leaf.split()), _grow, max_leaves=4)


def _type(text: str, facts: KernelFacts, **definitions: str) -> Node:
    scope = HookScope(
        facts=facts,
        label="a test",
        arguments=_ARGUMENTS,
        positional=lambda _index: None,
        definitions={name: parse(of) for name, of in definitions.items()},
    )
    return Typer(scope).type_expression(parse(text))


def _space_read(node: Node) -> str:
    (read,) = (part for part in walk(node) if isinstance(part, Load | ReadString))
    pointer = read.base if isinstance(read, Load) else read.pointer
    assert isinstance(pointer.type, Pointer)
    return pointer.type.space


_READS = ("str({})", "load(u32, {})", "load(pointer, {})", 'str(cast({}, "pointer"), 16)')


@settings(max_examples=200, deadline=None)
@given(_addresses("args.theirs args.word"), st.sampled_from(_READS))
def test_numbers_computed_of_user_addresses_are_read_from_user_memory(
    facts: KernelFacts, address: str, read: str
) -> None:
    """Whatever the arithmetic, in place or behind a definition."""
    assert _space_read(_type(read.format(address), facts)) == "user"
    (let,) = (_type(read.format("it"), facts, it=address),)
    pointer = let.base if isinstance(let, Load) else let.pointer  # type: ignore[union-attr]
    assert pointer.type.space == "user"


@settings(max_examples=100, deadline=None)
@given(_addresses("args.ours args.count"), st.sampled_from(_READS))
def test_other_numbers_are_read_from_kernel_memory(
    facts: KernelFacts, address: str, read: str
) -> None:
    """And `user` overrides that."""
    assert _space_read(_type(read.format(address), facts)) == "kernel"
    assert _space_read(_type(read.format(f"user({address})"), facts)) == "user"


def test_a_sum_of_kernel_and_user_addresses_is_not_guessed(facts: KernelFacts) -> None:
    """It is refused where it is read through, unless the plan says what it is."""
    with pytest.raises(PlanError, match=r"a kernel pointer and one of user memory") as refused:
        _type("str(args.ours + args.theirs)", facts)
    assert refused.value.findings[0].code == "PP084"
    assert _space_read(_type("str(user(args.ours + args.theirs))", facts)) == "user"


@pytest.mark.parametrize(
    ("attach", "address", "space"),
    [
        ("syscall:connect", "args.uservaddr + 2", "user"),
        ("syscall:prctl", "args.arg2", "user"),
        ("syscall:mmap", "retval", "user"),
        ("syscall:read", "entry(args.buf + 2)", "user"),
        ("tracepoint:syscalls:sys_enter_prctl", "args.arg2", "user"),
        ("tracepoint:raw_syscalls:sys_exit", "args.ret", "user"),
        ("tracepoint:kmem:kmalloc", "args.ptr", "kernel"),
        ("rawtracepoint:sys_enter", "args.regs.di", "user"),
        ("rawtracepoint:sched_process_exec", "args.p.mm.arg_start", "user"),
        ("rawtracepoint:sched_process_exec", "args.p.mm", "kernel"),
        ("function:vfs_read", "args.count", "kernel"),
        ("function:vfs_read", "arg1 + 8", "kernel"),
        ("function:vfs_read", "user(args.buf) + args.count", "user"),
        ("function:vfs_read", "load(u64, user(args.buf))", "user"),
        ("function:vfs_read", "load(u64, args.file)", "kernel"),
    ],
)
def test_each_kind_of_attach_point_knows_whose_numbers_it_has(
    compiled: Compile, attach: str, address: str, space: str
) -> None:
    """What programs pass and get is theirs; what kernel functions pass is the kernel's."""
    program = compiled(f"probes: {{p: {{attach: '{attach}', emit: {{x: 'str({address})'}}}}}}")
    (hook,) = program.hooks
    (read,) = (node for node in walk(hook.body.emit[0]) if isinstance(node, ReadString))
    assert isinstance(read.pointer.type, Pointer)
    assert read.pointer.type.space == space


def test_what_a_span_keeps_stays_an_address_of_user_memory(compiled: Compile) -> None:
    """A number of the start, read through at the end."""
    program = compiled("""
probes:
  a: {attach: "syscall:prctl"}
  b: {attach: "syscall:close"}
spans:
  s: {start: a, end: b, key: [tid], emit: {x: "str(start.args.arg2 + 1)"}}
""")
    end = program.hooks[1].body.spans[0].end
    assert end is not None
    assert _space_read(end.emit[0]) == "user"


def test_user_functions_return_and_take_user_addresses_as_plain_numbers(compiled: Compile) -> None:
    """Spelled as numbers by the plan, or not at all."""
    program = compiled("""
probes:
  p:
    attach: "ufunction:/bin/sh-of-another-host:f"
    args: {at: u64}
    emit: {a: str(args.at), b: str(retval), c: "load(u8, arg1 + 1)"}
""")
    (hook,) = program.hooks
    assert [_space_read(node) for node in hook.body.emit] == ["user"] * 3
