"""Kernels that the compiler is tested against, without any of them running."""

from functools import cache

from orchestrator.kernel.facts import KernelFacts, load_facts
from tests.support.paths import KERNELS

HEAD = """\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: t, summary: t}
"""


@cache
def recorded(name: str) -> KernelFacts:
    """A recorded kernel by its file's name."""
    return load_facts(KERNELS / f"{name}.facts.xz")
