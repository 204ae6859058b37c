"""A compiler of plan texts against a recorded kernel."""

from collections.abc import Callable

import pytest

from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.load import load_plan
from tests.support.recorded import HEAD, recorded


@pytest.fixture(scope="session")
def facts() -> KernelFacts:
    """Debian's 6.1."""
    return recorded("6.1")


@pytest.fixture
def compiled(facts: KernelFacts) -> Callable[..., Program]:
    """Compiles a plan's text (its head is added) against 6.1."""

    def compile_text(text: str, **settings: str) -> Program:
        return compile_plan(load_plan((HEAD + text).encode(), settings=settings), facts)

    return compile_text
