"""Shipped plans see what their workloads did on arm64, by programs that were compiled on this host:
with all mechanisms on 6.12, and on 6.1, which has no trampolines there, one of each kind."""

from typing import Any

import pytest

from tests.recipes.table import RECIPES
from tests.recipes.test_recipes import judged
from tests.support.guest_cases import CaseResult
from tests.support.paths import ROOT
from tests.support.product import Ran
from tests.support.shipped import PLANS

pytestmark = pytest.mark.arm64
RUN, PREPARE = "tests.guest.arm64.cases:run_recipe", "tests.guest.arm64.cases:prepare_recipe"

#: By plan, the mechanism of its first attach point on 6.12.
ON_6_12 = {
    **dict.fromkeys(
        (
            *("argument-values", "binds", "bpf-calls", "context-switches", "fsync", "futex-waits"),
            *("function-latency", "memory-maps", "migrations", "opens", "process-access"),
            *("shared-memory", "slow-calls", "slow-io", "slow-syscalls", "tcp-connects"),
            *("execs", "stack-counts", "tcp-listens"),
        ),
        "perf tracepoint",
    ),
    **dict.fromkeys(
        ("cpu-bursts", "exits", "new-processes", "off-cpu-time", "slow-wakeups", "wakers"),
        "raw tracepoint",
    ),
    **dict.fromkeys(
        ("capability-checks", "function-calls", "page-faults", "vfs-calls", "vfs-reads"), "fentry"
    ),
    **dict.fromkeys(("malloc-calls", "thread-starts"), "dynamic event"),
    "cpu-stacks": "perf clock",
}
#: Those whose probes take another mechanism on 6.1, and one of each other.
ON_6_1 = {
    **dict.fromkeys(("vfs-calls", "vfs-reads", "malloc-calls"), "dynamic event"),
    **dict.fromkeys(("opens", "execs"), "perf tracepoint"),
    "wakers": "raw tracepoint",
    "cpu-stacks": "perf clock",
}


def rows(kernel: str, names: dict[str, str]) -> list[Any]:
    """A parameter for each plan, in the boot of this kernel."""
    params = []
    for name, mechanism in sorted(names.items()):
        row = RECIPES[name]
        case = pytest.mark.guest(
            RUN,
            prepare=PREPARE,
            name=name,
            plan=str(PLANS[name]),
            settings=dict(row.settings),
            modules=row.modules,
        )
        only = pytest.mark.kernels(kernel)
        params.append(pytest.param(name, mechanism, marks=[case, only], id=name))
    return params


def check(name: str, mechanism: str, guest: CaseResult) -> None:
    reported = guest.result()
    assert reported["left"] == []
    assert not reported["has_bcc"]
    ran = Ran.of(reported["lines"])
    assert ran.lines[0]["arch"] == "aarch64"
    assert next(iter(ran.mechanisms().values())) == mechanism
    judged(name, ran)


@pytest.mark.parametrize(("name", "mechanism"), rows("6.12-arm64", ON_6_12))
def test_it_sees_its_workload(name: str, mechanism: str, guest: CaseResult) -> None:
    check(name, mechanism, guest)


@pytest.mark.parametrize(("name", "mechanism"), rows("6.1-arm64", ON_6_1))
def test_it_sees_its_workload_without_trampolines(
    name: str, mechanism: str, guest: CaseResult
) -> None:
    check(name, mechanism, guest)


def test_the_readme_says_how_many_plans_are_run() -> None:
    assert f" {len(ON_6_12)} of the shipped plans" in (ROOT / "README.md").read_text()
    assert set(ON_6_1) <= set(ON_6_12)
