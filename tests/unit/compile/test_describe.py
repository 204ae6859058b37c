"""Typed expressions as text for comments and messages."""

import pytest

from orchestrator.compile.describe import describe_node, describe_type
from orchestrator.compile.expressions.nodes import (
    Arithmetic,
    Builtin,
    Captured,
    Combination,
    Comparison,
    Const,
    Node,
    Register,
    StringTest,
)
from orchestrator.compile.expressions.types import U32, U64, Str
from orchestrator.compile.program import Body, EntrySide

COUNT = Register(2, U64, "count")
BIG = Comparison(">", COUNT, Const(4096, U64))
NAMED = StringTest("prefix", Builtin("comm", Str(16)), b"ssh")


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (COUNT, "args.count"),
        (Register(2, U64), "arg2"),
        (Arithmetic("+", COUNT, Const(1, U64), U64), "(args.count + 1)"),
        (Combination("and", (BIG, Combination("or", (BIG, NAMED)))),
         'args.count > 4096 and (args.count > 4096 or prefix(comm, "ssh"))'),
        (Combination("not", (BIG,)), "not (args.count > 4096)"),
    ],
)  # fmt: skip
def test_a_node_reads_like_the_plan(node: Node, text: str) -> None:
    """With the parentheses that its meaning needs."""
    assert describe_node(node) == text


def test_a_captured_value_is_shown_as_it_was_at_the_entry() -> None:
    """With the body at hand; without it by number."""
    entry = EntrySide(where=(), captures=(COUNT,))
    body = Body(lets=(), where=(), emit=(), metrics=(), entry=entry)
    assert describe_node(Captured(0, U64), body) == "args.count"
    assert describe_node(Captured(0, U64)) == "entry#0"


def test_types_are_named() -> None:
    """Strings with their size."""
    assert (describe_type(Builtin("comm", Str(16))), describe_type(Const(1, U32))) == (
        "string[16]",
        "u32",
    )
