"""The expression language: what each form parses to, where its parts stand, what is refused."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.plan.expression import syntax as ex
from orchestrator.plan.expression.parse import parse
from orchestrator.plan.expression.syntax import Expr, walk
from orchestrator.plan.findings import PlanError, Position

HERE = Position(file="f", line=3, column=10)


def _root(text: str) -> ex.SyntaxNode:
    return parse(text).root


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("retval", ex.Name("retval")),
        ("args.count", ex.MemberOf(ex.Name("args"), "count")),
        ("args.from_", ex.MemberOf(ex.Name("args"), "from")),
        ("args.state_", ex.MemberOf(ex.Name("args"), "state_")),
        ("args.prev.__state", ex.MemberOf(ex.MemberOf(ex.Name("args"), "prev"), "__state")),
        ("0x10", ex.Number(16)),
        ("-5", ex.Number(-5)),
        ("18446744073709551615", ex.Number((1 << 64) - 1)),
        ("-9223372036854775808", ex.Number(-(1 << 63))),
        ("'a\"b'", ex.TextLiteral('a"b')),
        ("true", ex.Boolean(True)),
        ("False", ex.Boolean(False)),
        ("not a", ex.UnaryOperation("not", ex.Name("a", 4))),
        ("+a", ex.Name("a", 1)),
        ("a // b", ex.BinaryOperation("//", ex.Name("a"), ex.Name("b", 5))),
        ("a != b", ex.Compare("!=", ex.Name("a"), ex.Name("b", 5))),
        ("a in (1,)", ex.Contains(ex.Name("a"), (ex.Number(1, 6),), False)),
        ("a not in [1]", ex.Contains(ex.Name("a"), (ex.Number(1, 10),), True)),
        (
            "a.b[c + 1]",
            ex.ElementOf(
                ex.MemberOf(ex.Name("a"), "b"),
                ex.BinaryOperation("+", ex.Name("c", 4), ex.Number(1, 8), 4),
            ),
        ),
        ("a if c else b", ex.IfElse(ex.Name("c", 5), ex.Name("a"), ex.Name("b", 12))),
        ("str(a)", ex.Call("str", (ex.Name("a", 4),))),
        ("(a, b)", ex.TupleOf((ex.Name("a", 1), ex.Name("b", 4)))),
    ],
)
def test_each_form_has_its_node(text: str, node: ex.SyntaxNode) -> None:
    """One node a form, with the columns of its parts."""
    assert _root(text) == node


def test_chained_comparisons_are_taken_apart() -> None:
    """`1 < a < 9` means both, and `a` is where it was written."""
    low = ex.Compare("<", ex.Number(1), ex.Name("a", 4))
    high = ex.Compare("<", ex.Name("a", 4), ex.Number(9, 8))
    assert _root("1 < a < 9") == ex.Logic("and", (low, high))


def test_columns_count_characters() -> None:
    """Letters outside ASCII before a name do not move it."""
    parsed = parse("'é€' == comm", HERE)
    (name,) = [node for node in walk(parsed.root) if isinstance(node, ex.Name)]
    assert str(parsed.place(name)) == "f:3:18"


@pytest.mark.parametrize(
    ("text", "column", "word"),
    [
        ("a && b", 12, "`and`"),
        ("a || b", 12, "`or`"),
        ("!a", 10, "`not`"),
        ("a->b", 11, "`.`"),
        ("a ? b", 12, "if CONDITION else"),
        ("a = b", 12, "`==`"),
        ("elapsed > 10ms", 20, "10*ms"),
    ],
)
def test_signs_of_other_languages_get_the_right_word(text: str, column: int, word: str) -> None:
    """The error is at the sign and the hint says what to write."""
    with pytest.raises(PlanError) as refusal:
        parse(text, HERE)
    (finding,) = refusal.value.findings
    assert (finding.code, finding.position.column) == ("PP020", column)
    assert word in finding.hint


@pytest.mark.parametrize("text", ["'a && b' == comm", '"!" == comm', "comm == 'x=1'", "a != b"])
def test_signs_inside_texts_are_left_alone(text: str) -> None:
    """A quoted text may hold anything."""
    assert parse(text)


@pytest.mark.parametrize(
    "text",
    [
        *("lambda: 1", "[a]", "{a}", "a[0:1]", "f'{a}'", "a := 1", "(yield)", "await a", "a[0, 1]"),
        *(
            "a @ b",
            "a ** b",
            "x is None",
            "1.5",
            "1j",
            "b'x'",
            "None",
            "...",
            "a.b()",
            "f(x=1)",
            "f(*a)",
        ),
        *("a in b", "a in ()", "1 << 70 if 99999999999999999999 else 0", "a if b", "a b", "(", ")"),
        *("import os", "a; b", "", "  ", "\0", "a\n b", "not " * 300 + "a", "(" * 100 + ")" * 100),
        *(
            "-" * 300 + "a",
            "a" * 5000,
            "a" + ".b" * 1000,
            " + ".join("a" * 1000),
            "__import__('os')()",
        ),
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    """As PP020 or PP021, and never as another exception."""
    with pytest.raises(PlanError) as refusal:
        parse(text)
    assert {finding.code for finding in refusal.value.findings} <= {"PP020", "PP021"}


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet="ab1 .()[]+-*/%<>=!&|^~'\"\\,:\n\té_", max_size=40) | st.text(max_size=40))
@example("a.b" * 40)
@example("é" + "\x0c" + "a")
@example("'\\ud800' == comm")
@example("a\\\nb")
def test_any_text_parses_or_is_refused(text: str) -> None:
    """Every node of what parses has a column within the text."""
    try:
        parsed: Expr = parse(text, HERE)
    except PlanError:
        return
    for node in walk(parsed.root):
        assert 0 <= node.at <= len(text)


def test_figures_have_no_elements() -> None:
    """There `[ ]` would choose cells, which only checks may."""
    with pytest.raises(PlanError):
        parse("a[0]", fractions=True)
