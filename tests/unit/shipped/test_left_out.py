"""Which plans a bundle serves on a kernel that it was not made for. Nothing is compiled: a host
finds its program by the digest of the text that it would compile itself."""

from functools import cache

import pytest

from orchestrator.bundle.build import BuildOptions, draw_blueprint
from orchestrator.bundle.matrix import RecordedKernel
from orchestrator.bundle.model import MatrixRow
from tests.recipes.table import RECIPES
from tests.support.left_out import REFUSED, percent_served
from tests.support.recorded import recorded
from tests.support.shipped import EXAMPLES, PLANS
from tests.support.shipped import KERNELS as RECORDED

#: Of one architecture, as a bundle is.
KERNELS = [kernel for kernel in RECORDED if not kernel.endswith("-arm64")]
#: Of the shipped plans, in percent.
LEAST_SERVED = {"5.10": 85, "6.1": 97, "6.12": 97, "6.18-no-kprobes": 97, "7.x": 97}


@cache
def matrices() -> dict[str, tuple[MatrixRow, ...]]:
    """What every plan and example comes to on every recorded kernel, by its name."""
    kernels = [RecordedKernel(name=kernel, facts=recorded(kernel)) for kernel in KERNELS]
    matrix = {}
    for name, path in (PLANS | EXAMPLES).items():
        settings = RECIPES[name].settings if name in RECIPES else {}
        options = BuildOptions(params={param: [value] for param, value in settings.items()})
        matrix[name] = draw_blueprint(str(path), kernels, options).bundle.matrix
    return matrix


def wanted(name: str, kernel: str) -> str | None:
    """The key of the program that a host with this kernel looks for."""
    [row] = [row for row in matrices()[name] if row.kernel == kernel and row.is_recorded]
    return row.key


def others(name: str, kernel: str) -> set[str | None]:
    """The keys that a bundle of all other kernels has, with those of their variants."""
    return {row.key for row in matrices()[name] if row.kernel != kernel}


@pytest.mark.slow
def test_a_bundle_of_other_kernels_serves_all_but_known_plans() -> None:
    refused: dict[str, set[str]] = {}
    for kernel in KERNELS:
        able = {name for name in matrices() if wanted(name, kernel) is not None}
        refused[kernel] = {
            name for name in able if wanted(name, kernel) not in others(name, kernel)
        }
    assert refused == {kernel: set(plans) for kernel, plans in REFUSED.items()}


@pytest.mark.parametrize("kernel", KERNELS)
def test_few_plans_need_a_recording_of_the_kernel(kernel: str) -> None:
    assert percent_served(kernel) >= LEAST_SERVED[kernel]


def test_the_table_names_plans_and_kernels() -> None:
    assert set(REFUSED) == set(KERNELS)
    assert {name for plans in REFUSED.values() for name in plans} <= set(PLANS | EXAMPLES)
