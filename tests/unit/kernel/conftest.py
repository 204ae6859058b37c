"""Kernels to ask: the one that runs, and those that are recorded."""

import pytest

from orchestrator.kernel.facts import KernelFacts, live_facts, load_facts
from tests.support.paths import KERNELS

RECORDED = sorted(path.name.removesuffix(".facts.xz") for path in KERNELS.glob("*.facts.xz"))


@pytest.fixture(scope="session")
def live() -> KernelFacts:
    return live_facts()


@pytest.fixture(scope="session", params=RECORDED)
def recorded(request: pytest.FixtureRequest) -> KernelFacts:
    return load_facts(KERNELS / f"{request.param}.facts.xz")


@pytest.fixture(scope="session")
def debian_6_1() -> KernelFacts:
    return load_facts(KERNELS / "6.1.facts.xz")
