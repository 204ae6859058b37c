"""Every shipped plan on the recorded kernels of one architecture, as `bundle --check` shows it."""

import pytest

from orchestrator.bundle.build import BuildOptions, draw_blueprint
from orchestrator.bundle.matrix import RecordedKernel
from tests.support.recorded import recorded
from tests.support.shipped import PLANS, X86_KERNELS, lacking

ALL = [RecordedKernel(name=name, facts=recorded(name)) for name in X86_KERNELS]
MOST_PROGRAMS = 20  # of one plan, function-calls, whose glob matches others on each kernel


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANS)
def test_a_plan_has_a_program_for_each_kernel_that_has_what_it_needs(name: str) -> None:
    """And for each variant of those kernels, as far as the plan does not need what it takes away:
    none does."""
    blueprint = draw_blueprint(str(PLANS[name]), ALL, BuildOptions())
    for row in blueprint.bundle.matrix:
        needs = lacking(name, recorded(row.kernel))
        assert (row.backend is None) == bool(needs), (row.kernel, row.fetching, row.trampolines)
        assert (row.key in blueprint.artifacts) == (not needs)
        assert bool(row.reasons) == bool(needs)
    assert len(blueprint.artifacts) <= MOST_PROGRAMS
