"""Each shipped plan about a family of system calls attaches all of it, on every recorded kernel."""

from functools import cache

import pytest

from orchestrator.compile.lower import compile_plan
from orchestrator.kernel.facts import KernelFacts, load_facts
from orchestrator.plan.load import load_plan
from tests.recipes.call_families import FAMILIES, OTHERS
from tests.support.shipped import KERNELS, PLANS, every_kernel

every_family = pytest.mark.parametrize("plan", sorted(FAMILIES))


@cache
def facts_of(kernel: str) -> KernelFacts:
    return load_facts(KERNELS[kernel])


def attached(plan: str, kernel: str) -> set[str]:
    """The system calls that a plan attaches on a recorded kernel."""
    program = compile_plan(load_plan(str(PLANS[plan])), facts_of(kernel))
    labels = [hook.label for probe in program.probes for hook in probe.hooks]
    return {label.removeprefix("syscall:") for label in labels if label.startswith("syscall:")}


@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_every_call_of_a_recorded_kernel_is_in_the_table(kernel: str) -> None:
    """A call that is new is put into a family, or said to be in none."""
    known = OTHERS.union(*(family.members for family in FAMILIES.values()))
    assert set(facts_of(kernel).syscalls()) - known == set()


def test_what_is_in_no_family_is_in_none() -> None:
    assert not OTHERS & frozenset().union(*(family.members for family in FAMILIES.values()))


@every_kernel
@every_family
def test_a_plan_attaches_its_whole_family(plan: str, kernel: str) -> None:
    """Each member that the kernel has, or that is excused; and no call of another family."""
    family, offered = FAMILIES[plan], set(facts_of(kernel).syscalls())
    assert attached(plan, kernel) == (family.members - set(family.excused)) & offered


@every_kernel
@pytest.mark.parametrize("plan", sorted(name for name, row in FAMILIES.items() if row.ring))
def test_a_plan_sees_what_io_uring_does_instead_or_says_that_it_does_not(
    plan: str, kernel: str
) -> None:
    """io_uring makes no system call, so a plan about calls counts its requests."""
    read = load_plan(str(PLANS[plan]))
    assert "io_uring" in (read.metadata.description or "")
    program = compile_plan(read, facts_of(kernel))
    [ring] = [probe for probe in program.probes if probe.name == "ring"]
    assert {hook.label.partition("submit")[0] for hook in ring.hooks} == {
        "tracepoint:io_uring:io_uring_"
    }
