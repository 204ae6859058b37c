"""Expressions that grow from bytes get as far as they are meant to."""

import json
from random import Random

import pytest

from orchestrator.compile.lower import compile_plan
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import load_plan
from tests.fuzz.expressions import GROWN, HEAD, PARAMS, expression_of, facts

CASES = 200


def _compiles(data: bytes) -> bool:
    template, text = expression_of(data)
    source = HEAD + PARAMS + template.format(json.dumps(text))
    try:
        compile_plan(load_plan(source.encode()), facts())
    except (PlanError, HostError):
        return False
    return True


@pytest.mark.slow
def test_nine_of_ten_grown_expressions_reach_the_backends() -> None:
    """Random text hardly ever passes the plan's own checks; these find what lies behind them."""
    random = Random(7)  # noqa: S311  # no secret
    made = (bytes([random.randrange(GROWN, 256)]) + random.randbytes(60) for _ in range(CASES))
    assert sum(map(_compiles, made)) >= 0.9 * CASES
