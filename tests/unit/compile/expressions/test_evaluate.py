"""Integers behave as C's: the reference evaluator and gcc agree on random expressions."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.compile.expressions.evaluate import evaluate
from orchestrator.compile.expressions.nodes import Node
from orchestrator.compile.expressions.types import Bool, Int
from orchestrator.kernel.facts import KernelFacts
from tests.support.expressions import (
    ARGUMENTS,
    TASK_MEMBERS,
    argument_values,
    c_values,
    task_expressions,
    task_values,
    typed,
)


@pytest.mark.slow
@settings(
    max_examples=25, deadline=None, suppress_health_check=list(HealthCheck),
    phases=[p for p in settings.get_profile("default").phases if p.name != "shrink"],
)  # fmt: skip
@given(st.lists(task_expressions, min_size=20, max_size=40), argument_values, task_values)
def test_the_reference_evaluator_agrees_with_gcc(
    facts: KernelFacts,
    tmp_path_factory,
    texts: list[str],
    values: dict[str, int],
    of_task: dict[str, int],
) -> None:
    """Conversions, promotions, wrap-around, division, shifts, choice: all as C computes them; also
    of members of the task, whose types are the kernel's."""
    leaves: dict[Node, int] = {leaf: values[name] for name, leaf in ARGUMENTS.items()}
    leaves |= {typed(name, facts): of_task[name] for name in TASK_MEMBERS}
    folder: Path = tmp_path_factory.mktemp("oracle")
    expected = c_values(texts, values | of_task, folder)
    for text, wanted in zip(texts, expected, strict=True):
        node = typed(text, facts)
        assert isinstance(node.type, Int | Bool)
        found = evaluate(node, leaves)
        assert isinstance(found, int)
        assert found % 2**64 == wanted, f"{text} with {values | of_task}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-(~2147483647)", -(2**31)),
        ("~18446744073709551615", 0),
        ("-2147483648", -(2**31)),
    ],
)
def test_constants_wrap_as_computed_ones_do(facts: KernelFacts, text: str, value: int) -> None:
    """`-` and `~` of a constant stay in its type."""
    node = typed(text, facts)
    assert evaluate(node, {}) == value
    assert evaluate(typed(f"({text}) + 0 * args.a_s8", facts), {ARGUMENTS["a_s8"]: 0}) == value
