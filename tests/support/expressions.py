"""Random expressions, their typed nodes, and the same expressions as C for gcc to judge.

The C is made from the untyped syntax with C's own types and conversions, so that it knows nothing
of our typing: where the two agree, our integers behave as C's.
"""

import ctypes
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hypothesis import strategies as st

from orchestrator.compile.expressions.nodes import Node, RawArg
from orchestrator.compile.expressions.scope import HookScope
from orchestrator.compile.expressions.types import INTEGERS, Int, wrap_integer
from orchestrator.compile.expressions.typing import Typer
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.expression import syntax
from orchestrator.plan.expression.parse import parse

#: One argument of each integer type, by name.
ARGUMENTS = {
    f"a_{name}": RawArg(index, kind) for index, (name, kind) in enumerate(INTEGERS.items())
}

#: Members of the event's task, with the types that the kernel gives them (include/linux/sched.h).
TASK_MEMBERS = {
    "task.pid": INTEGERS["s32"],
    "task.flags": INTEGERS["u32"],
    "task.start_time": INTEGERS["u64"],
    "task.real_parent.exit_code": INTEGERS["s32"],
    "task.cred.uid.val": INTEGERS["u32"],
    "task.signal.oom_score_adj": INTEGERS["s16"],
}

_EDGES = (
    0,
    1,
    2,
    3,
    7,
    8,
    31,
    32,
    63,
    64,
    127,
    128,
    255,
    256,
    65535,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**63 - 1,
)
_literals = st.sampled_from(_EDGES) | st.integers(0, 2**63 - 1)
_leaves = st.sampled_from([f"args.{name}" for name in ARGUMENTS]) | _literals.map(str)


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arithmetic = st.sampled_from(("+", "-", "*", "//", "%", "<<", ">>", "&", "|", "^"))
    comparing = st.sampled_from(("==", "!=", "<", "<=", ">", ">="))
    return st.one_of(
        st.tuples(inner, arithmetic, inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, comparing, inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, st.sampled_from(("and", "or")), inner).map(
            lambda t: f"({t[0]} {t[1]} {t[2]})"
        ),
        st.tuples(st.sampled_from(("-", "~", "not ")), inner).map(lambda t: f"({t[0]}{t[1]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} in ({t[1]}, {t[2]}))"),
        st.tuples(st.sampled_from(("min", "max")), inner, inner).map(
            lambda t: f"{t[0]}({t[1]}, {t[2]})"
        ),
    )


#: Text of expressions over `args.a_u8` … `args.a_s64` and literals.
expressions = st.recursive(_leaves, _grown, max_leaves=8)
#: The same over members of the task, too.
task_expressions = st.recursive(_leaves | st.sampled_from(list(TASK_MEMBERS)), _grown, max_leaves=8)


def _values_of(types: Mapping[str, Int]) -> st.SearchStrategy[dict[str, int]]:
    return st.fixed_dictionaries(
        {
            name: st.one_of(st.sampled_from(_EDGES), st.integers(0, 2**64 - 1)).map(
                lambda value, kind=kind: wrap_integer(value, kind)  # type: ignore[misc]
            )
            for name, kind in types.items()
        }
    )


_ARGUMENT_TYPES: dict[str, Int] = {name: INTEGERS[name.removeprefix("a_")] for name in ARGUMENTS}
#: A value for each argument, edges of all widths among them; and for each member of the task.
argument_values = _values_of(_ARGUMENT_TYPES)
task_values = _values_of(TASK_MEMBERS)


def typed(text: str, facts: KernelFacts) -> Node:
    """The typed node of an expression over ARGUMENTS."""
    scope = HookScope(facts=facts, label="a test", arguments=ARGUMENTS, positional=lambda _i: None)
    return Typer(scope).type_expression(parse(text))


# ---------------------------------------------------------------- the same in C

_C_PRELUDE = """
#include <stdint.h>
typedef uint8_t u8; typedef uint16_t u16; typedef uint32_t u32; typedef uint64_t u64;
typedef int8_t s8; typedef int16_t s16; typedef int32_t s32; typedef int64_t s64;
#define DIVIDE(a, b) ({ __auto_type x_ = (a) + 0 * (b); __auto_type y_ = (b) + 0 * (a); \\
    y_ == 0 ? y_ : y_ == (__typeof__(y_))-1 && (__typeof__(y_))-1 < 0 ? 0 - x_ : x_ / y_; })
#define MODULO(a, b) ({ __auto_type x_ = (a) + 0 * (b); __auto_type y_ = (b) + 0 * (a); \\
    y_ == 0 ? y_ : y_ == (__typeof__(y_))-1 && (__typeof__(y_))-1 < 0 ? 0 : x_ % y_; })
#define SHIFTED(a, op, b) ({ __auto_type x_ = +(a); x_ op ((u64)(b) & (8 * sizeof x_ - 1)); })
"""
_C_LOGIC = {"and": "&&", "or": "||"}


def to_c(node: syntax.SyntaxNode) -> str:
    """`node` in C, fully parenthesised."""
    match node:
        case syntax.Number(value=value):
            return f"{value}" if value < 2**63 else f"{value}u"
        case syntax.MemberOf(base=syntax.Name(id="args"), name=name):
            return name
        case syntax.MemberOf():
            return _c_name(node)
        case syntax.UnaryOperation(op=op, operand=operand):
            return f"({'!' if op == 'not' else op}{to_c(operand)})"
        case syntax.BinaryOperation(op=op, left=left, right=right):
            return _c_binary(op, to_c(left), to_c(right))
        case syntax.Compare(op=op, left=left, right=right):
            return f"({to_c(left)} {op} {to_c(right)})"
        case syntax.Logic(op=op, operands=operands):
            return f"({f' {_C_LOGIC[op]} '.join(map(to_c, operands))})"
        case syntax.Contains(item=item, options=options):
            return f"({' || '.join(f'({to_c(item)} == {to_c(o)})' for o in options)})"
        case syntax.IfElse(test=test, yes=yes, no=no):
            return f"({to_c(test)} ? {to_c(yes)} : {to_c(no)})"
        case syntax.Call(function=function, args=args):
            a, b = map(to_c, args)
            return f"({a} {'<=' if function == 'min' else '>='} {b} ? {a} : {b})"
        case _:
            raise AssertionError(node)


def _c_name(node: syntax.SyntaxNode) -> str:
    """The variable that a member of the task is: `task_real_parent_exit_code`."""
    match node:
        case syntax.MemberOf(base=base, name=name):
            return f"{_c_name(base)}_{name}"
        case syntax.Name(id=name):
            return name
    raise AssertionError(node)


def _c_binary(op: str, left: str, right: str) -> str:
    if op in ("//", "%"):
        return f"{'DIVIDE' if op == '//' else 'MODULO'}({left}, {right})"
    if op in ("<<", ">>"):
        return f"SHIFTED({left}, {op}, {right})"
    return f"({left} {op} {right})"


def c_values(texts: Sequence[str], values: dict[str, int], folder: Path) -> list[int]:
    """What gcc makes of each expression, as a 64-bit pattern (sign- or zero-extended by C).
    `values`: of arguments and members of the task, by their names."""
    types = _ARGUMENT_TYPES | TASK_MEMBERS
    declared = "\n".join(
        f"    volatile {types[name]} {name.replace('.', '_')} = ({types[name]}){value % 2**64}ull;"
        for name, value in values.items()
    )
    lines = "\n".join(
        f"    out[{i}] = (u64)({to_c(parse(text).root)});" for i, text in enumerate(texts)
    )
    source = folder / "oracle.c"
    source.write_text(f"{_C_PRELUDE}\nvoid run(u64 *out)\n{{\n{declared}\n{lines}\n}}\n")
    library = folder / f"oracle-{source.stat().st_mtime_ns}.so"
    subprocess.run(
        ["gcc", "-w", "-O0", "-fwrapv", "-shared", "-fPIC", "-o", library, source], check=True
    )
    out = (ctypes.c_uint64 * len(texts))()
    ctypes.CDLL(str(library)).run(out)
    return list(out)
