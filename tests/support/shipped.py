"""The plans that the repository ships, and what is known of them."""

import pytest

from orchestrator.kernel.facts import KernelFacts
from tests.recipes.table import RECIPES
from tests.support.paths import KERNELS as RECORDED
from tests.support.paths import ROOT

PLANS = {path.stem: path for path in sorted((ROOT / "plans").rglob("*.yaml"))}
EXAMPLES = {path.stem: path for path in sorted((ROOT / "examples").glob("[0-9]*.yaml"))}
KERNELS = {
    path.name.removesuffix(".facts.xz"): path for path in sorted(RECORDED.glob("*.facts.xz"))
}
#: Those whose programs one bundle may have together.
X86_KERNELS = [name for name in KERNELS if not name.endswith("-arm64")]
#: Every recorded kernel; most runs are satisfied with the stock one.
every_kernel = pytest.mark.parametrize(
    "kernel",
    [name if name == "6.1" else pytest.param(name, marks=pytest.mark.slow) for name in KERNELS],
)
#: Plans and examples that tracefs cannot run, each with a word of the reason that it gives.
TRACEFS_CANNOT = {
    "09-another-task": "rawtracepoint",
    **{name: row.tracefs_cannot for name, row in RECIPES.items() if row.tracefs_cannot},
}
#: The same where kernel functions cannot be probed.
TRACEFS_CANNOT_WITHOUT_KPROBES = {
    **TRACEFS_CANNOT,
    **{
        name: row.tracefs_cannot_without_kprobes
        for name, row in RECIPES.items()
        if row.tracefs_cannot_without_kprobes
    },
}
#: Plans and examples for a recorded kernel of another architecture than this host's, each with a
#: word of the reason: they read this host's programs.
FOREIGN_CANNOT = {"python-gc": "USDT argument .* registers of aarch64"}


def lacking(name: str, facts: KernelFacts) -> list[str]:
    """The features that a plan or example needs and this kernel lacks."""
    needs = RECIPES[name].needs if name in RECIPES else ()
    return [need for need in needs if facts.feature(need).state == "no"]


def tracefs_cannot(kprobes: bool) -> dict[str, str]:
    """What tracefs cannot run on a kernel with or without kprobes, and why."""
    return TRACEFS_CANNOT if kprobes else TRACEFS_CANNOT_WITHOUT_KPROBES
