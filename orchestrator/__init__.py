"""probeplan: kernel probes as code.

The public API. Each name is imported when it is first used, which keeps start-up fast. The
watchdog of a run imports this, too, and not `typing`, which would be half of its start.
"""

TYPE_CHECKING = False  # by its name, type checkers take it for true
if TYPE_CHECKING:
    from typing import Any

    from orchestrator.compile.lower import compile_plan
    from orchestrator.kernel.facts import KernelFacts, live_facts, load_facts
    from orchestrator.plan.findings import Finding, HostError, PlanError
    from orchestrator.plan.load import load_plan
    from orchestrator.policy.file import read_policies
    from orchestrator.policy.model import Policy
    from orchestrator.run.report.result import RunResult
    from orchestrator.run.runner import run_plan

__all__ = [
    "Finding",
    "HostError",
    "KernelFacts",
    "PlanError",
    "Policy",
    "RunResult",
    "compile_plan",
    "live_facts",
    "load_facts",
    "load_plan",
    "read_policies",
    "run_plan",
]

_HOME = {
    "Finding": "orchestrator.plan.findings",
    "HostError": "orchestrator.plan.findings",
    "KernelFacts": "orchestrator.kernel.facts",
    "PlanError": "orchestrator.plan.findings",
    "Policy": "orchestrator.policy.model",
    "RunResult": "orchestrator.run.report.result",
    "compile_plan": "orchestrator.compile.lower",
    "live_facts": "orchestrator.kernel.facts",
    "load_facts": "orchestrator.kernel.facts",
    "load_plan": "orchestrator.plan.load",
    "read_policies": "orchestrator.policy.file",
    "run_plan": "orchestrator.run.runner",
}


def __getattr__(name: str) -> "Any":
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
