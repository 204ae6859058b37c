"""Kernels that the compiler is tested against, without any of them running."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts, load_facts
from orchestrator.plan.load import load_plan

KERNELS = Path(__file__).parent.parent / "kernels"

HEAD = """\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: t, summary: t}
"""


@cache
def recorded(name: str) -> KernelFacts:
    """A recorded kernel by its file's name."""
    return load_facts(KERNELS / f"{name}.facts.xz")


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
