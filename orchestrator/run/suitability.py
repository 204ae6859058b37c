"""Whether a host can run a plan: as `run` would prepare it. Nothing is attached, and nothing is
compiled to machine code."""

from collections.abc import Sequence

from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError, PlanError
from orchestrator.plan.load import load_plan_of
from orchestrator.plan.model import Plan
from orchestrator.policy.model import Policy
from orchestrator.run.prepare import prepare
from orchestrator.values import dataclass

__all__ = ["Suitability", "judge_content", "judge_plan", "shorten_reason"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suitability:
    """Whether this host can run a plan. `backend`: the one that `run` would take, "" where it
    cannot; `reason`: why not, in a few words; `findings`: the same in full."""

    backend: str
    reason: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def can_run(self) -> bool:
        """Whether a backend can run the plan, and no policy forbids it."""
        return bool(self.backend)


def judge_content(
    content: bytes, file: str, facts: KernelFacts, policies: Sequence[Policy]
) -> Suitability:
    """As `judge_plan`, of the bytes of a plan's file; a plan that is not valid cannot run."""
    try:
        return judge_plan(load_plan_of(content, file), facts, policies)
    except PlanError as error:
        return _refuse(error)


def judge_plan(plan: Plan, facts: KernelFacts, policies: Sequence[Policy]) -> Suitability:
    """Whether the host that `facts` describe can run the plan under `policies`."""
    try:
        prepared = prepare(plan, facts, policies)
    except (HostError, PlanError) as error:
        return _refuse(error)
    return Suitability(backend=prepared.choice.artifact.backend)


def shorten_reason(finding: Finding) -> str:
    """What is wrong, in a few words: of `'f' cannot be probed: WHY: DETAILS` the reason."""
    parts = finding.message.partition("\n")[0].split(": ")
    if parts[0].endswith(" backend") and len(parts) > 1:
        parts = parts[1:]
    return parts[1] if parts[0].endswith(" cannot be probed") and len(parts) > 1 else parts[0]


def _refuse(error: HostError | PlanError) -> Suitability:
    first = error.findings[0]
    return Suitability(backend="", reason=shorten_reason(first), findings=tuple(error.findings))
