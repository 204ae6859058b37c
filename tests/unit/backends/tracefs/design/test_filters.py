"""Filters say what the reference evaluator says, or are not made."""

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backends.tracefs.design.filters import FieldRef, comm_filter, filter_text
from orchestrator.compile.expressions.evaluate import evaluate
from orchestrator.compile.expressions.nodes import (
    Arithmetic,
    Builtin,
    Combination,
    Comparison,
    Const,
    Convert,
    Node,
    Register,
    StringTest,
)
from orchestrator.compile.expressions.types import INTEGERS, Int, Str, promote_types, wrap_integer

KINDS = list(INTEGERS.values())
FIELDS = {Register(i, kind): f"a{i}" for i, kind in enumerate(KINDS)}
NAMED = {name: node for node, name in FIELDS.items()}
COMPARISONS = ["==", "!=", "<", "<=", ">", ">="]


def field_of(node: Node) -> FieldRef | None:
    """The fields of these tests."""
    if node in FIELDS and isinstance(node.type, Int):
        return FieldRef(name=FIELDS[node], type=node.type)
    return None


def brought(node: Node, kind: Int) -> Node:
    """Converted as the compiler converts operands."""
    return node if node.type == kind else Convert(node, kind)


@st.composite
def constants(draw: st.DrawFn) -> Const:
    """Numbers near the edges of all types."""
    kind = draw(st.sampled_from(KINDS))
    edges = [0, 1, 127, 128, 255, 256, 2**31 - 1, 2**31, 2**32, 2**63 - 1, -1, -128, -129, -(2**31)]
    return Const(wrap_integer(draw(st.sampled_from(edges) | st.integers(-300, 300)), kind), kind)


@st.composite
def comparisons(draw: st.DrawFn) -> Node:
    """`field op constant`, `field & mask op constant`, either way round."""
    left: Node = draw(st.sampled_from(list(FIELDS)))
    assert isinstance(left.type, Int)
    if draw(st.booleans()):
        mask = draw(constants())
        kind = promote_types(left.type, mask.type)  # type: ignore[arg-type]  # both are integers
        left = Arithmetic("&", brought(left, kind), brought(mask, kind), kind)
    right: Node = draw(constants())
    kind = promote_types(left.type, right.type)  # type: ignore[arg-type]  # the same
    pair = [brought(left, kind), brought(right, kind)]
    if draw(st.booleans()):
        pair.reverse()
    return Comparison(draw(st.sampled_from(COMPARISONS)), pair[0], pair[1])


conditions = st.recursive(
    comparisons(),
    lambda inner: (
        st.lists(inner, min_size=2, max_size=3).flatmap(
            lambda parts: st.sampled_from(["and", "or"]).map(
                lambda op: Combination(op, tuple(parts))  # type: ignore[arg-type]  # these two
            )
        )
        | inner.map(lambda part: Combination("not", (part,)))
    ),
    max_leaves=5,
)
values = st.lists(st.integers(-(2**63), 2**64 - 1) | st.integers(-300, 300), min_size=8, max_size=8)


def kernel_says(text: str, row: dict[str, int]) -> bool:
    """What the kernel makes of a filter: constants cut down to the field's type, fields compared
    in it (trace_events_filter.c, DEFINE_COMPARISON_PRED, DEFINE_EQUALITY_PRED)."""

    def one(match: re.Match[str]) -> str:
        name, op, constant = match[1], match[2], int(match[3])
        kind = NAMED[name].type
        assert isinstance(kind, Int)
        assert constant >= 0 or kind.signed  # the kernel refuses a negative one of an unsigned
        return f"bool({row[name]} {op} {wrap_integer(constant, kind)})"

    python = re.sub(r"(a\d) (==|!=|<=?|>=?|&) (-?\d+)", one, text)
    python = re.sub(r"!(?=\()", " not ", python).replace("&&", "and").replace("||", "or")
    return bool(eval(python, {"bool": bool}))  # noqa: S307  # our own text, digits and operators


@given(conditions, values)
def test_a_filter_holds_exactly_where_the_expression_does(node: Node, numbers: list[int]) -> None:
    """Whatever is handed to the kernel means there what it means in the language."""
    text = filter_text(node, field_of)
    if text is None:
        return
    row = {f"a{i}": wrap_integer(number, KINDS[i]) for i, number in enumerate(numbers)}
    leaves: dict[Node, int | bytes] = {node: row[name] for node, name in FIELDS.items()}
    assert kernel_says(text, row) == bool(evaluate(node, leaves)), text


EDGES = [0, 1, -1, 127, 128, 255, 256, -128, -129, 2**31 - 1, 2**31, 2**32, 2**32 + 1, 2**63]


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.type.name)
def test_every_pair_of_types_compares_right_at_its_edges(field: Register) -> None:
    """Each type of field against each type of constant, values around every change of width or
    sign: widened, narrowed and reinterpreted values are all distinguished."""
    assert isinstance(field.type, Int)
    for other, number, op in product(KINDS, EDGES, COMPARISONS):
        kind = promote_types(field.type, other)
        constant = brought(Const(wrap_integer(number, other), other), kind)
        node = Comparison(op, brought(field, kind), tidied(constant))
        text = filter_text(node, field_of)
        if text is None:
            continue
        for edge in EDGES:
            row = {FIELDS[field]: wrap_integer(edge, field.type)}
            holds = evaluate(node, {field: row[FIELDS[field]]})
            assert kernel_says(text, row) == bool(holds), (text, node)


def tidied(node: Node) -> Node:
    """Conversions of constants done, as the compiler does them."""
    match node:
        case Convert(value=Const(value=value), type=Int() as kind):
            return Const(wrap_integer(value, kind), kind)
        case _:
            return node


@given(st.sampled_from(list(FIELDS)), st.sampled_from(COMPARISONS), st.integers(-300, 300))
def test_a_constant_within_the_field_s_range_is_always_pushed(
    field: Register, op: str, number: int
) -> None:
    """What filters can say is said: nothing is left to user space for no reason."""
    assert isinstance(field.type, Int)
    wide = promote_types(field.type, field.type)
    fits = wrap_integer(number, field.type) == number
    node = Comparison(op, brought(field, wide), Const(wrap_integer(number, wide), wide))
    assert not fits or filter_text(node, field_of) is not None


def test_strings_are_compared_as_written() -> None:
    """Equality is exact; patterns are made so that the kernel's short cuts cannot misread them."""
    comm = Builtin("comm", Str(16))

    def named(node: Node) -> FieldRef | None:
        return FieldRef(name="COMM", type=None, size=16) if node == comm else None

    def text(op: str, what: bytes) -> str | None:
        return filter_text(StringTest(op, comm, what), named)  # type: ignore[arg-type]  # an op

    assert text("equal", b"post gres") == 'COMM == "post gres"'
    assert text("prefix", b"7zip") == 'COMM ~ "[7]zip*"'
    assert text("suffix", b"d") == 'COMM ~ "*[d]"'
    assert text("contains", b"wor") == 'COMM ~ "*[w]or*"'
    refused = [b'a"b', b"a*", b"", b"a\\b", b"\xff", b"a'b", b"a\nb"]
    assert [text("equal", what) for what in refused] == [None] * len(refused)
    assert text("prefix", b"-x") is None  # a bracket would make it a range or a negation


def test_a_target_s_names_are_one_filter() -> None:
    """Several globs are alternatives; one that filters cannot say makes the whole unsaid."""
    assert comm_filter(("load", "post*")) == '(COMM == "load") || (COMM ~ "[p]ost*")'
    assert comm_filter(("load", 'a"b')) is None
