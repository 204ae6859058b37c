"""Whether this host can run plans: each as `run` would prepare it. Nothing is attached, and nothing
is compiled to machine code."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.attach_kinds import KINDS
from orchestrator.plan.findings import Finding, HostError, PlanError, Position
from orchestrator.run.warm.verdicts import KeptVerdicts
from orchestrator.values import dataclass

__all__ = ["HostJudge", "Suitability", "shorten_reason"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suitability:
    """Whether a host can run a plan. `backend`: the one that `run` would take, "" where it cannot;
    `reason`: why not, in a few words; `findings`: the same in full."""

    backend: str
    reason: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def can_run(self) -> bool:
        """Whether a backend can run the plan, and no policy forbids it."""
        return bool(self.backend)


class HostJudge:
    """Judges plans for the host that `facts` describe, under policies, whose files are given with
    their bytes. Verdicts are kept for the next time: call `keep` at the end.

    Raises HostError and PlanError for a policy that cannot be used.
    """

    def __init__(self, facts: KernelFacts, policies: tuple[tuple[str, bytes], ...]) -> None:
        from orchestrator.policy.file import parse_contents

        self._facts = facts
        self._policies = parse_contents(policies)
        signed = any(policy.signatures for policy in self._policies)
        self._kept = None if signed else KeptVerdicts(facts, policies)

    def judge(self, content: bytes, file: str) -> Suitability:
        """Whether the host can run the plan with these bytes; one that is not valid cannot."""
        digest = hashlib.sha256(file.encode("utf-8", "surrogateescape") + b"\0" + content)
        kept = self._kept.recall(digest.hexdigest()) if self._kept else None
        if kept is not None:
            return _restore(kept)
        verdict, depends_on_files = self._prepare(content, file)
        if self._kept and not depends_on_files:
            self._kept.add(digest.hexdigest(), asdict(verdict))
        return verdict

    def keep(self) -> None:
        """Keep the verdicts for the next time."""
        if self._kept:
            self._kept.keep()

    def _prepare(self, content: bytes, file: str) -> tuple[Suitability, bool]:
        """The verdict, and whether it depends on files of user space."""
        from orchestrator.plan.load import load_plan_of  # what is kept needs none of this
        from orchestrator.run.prepare import prepare

        in_files = True
        try:
            plan = load_plan_of(content, file)
            items = (item for probe in plan.probes for item in probe.items)
            in_files = any(KINDS[item.kind].space == "user" for item in items)
            prepared = prepare(plan, self._facts, self._policies)
        except (HostError, PlanError) as error:
            return _refuse(error), in_files
        return Suitability(backend=prepared.choice.artifact.backend), in_files


def shorten_reason(finding: Finding) -> str:
    """What is wrong, in a few words: of `'f' cannot be probed: WHY: DETAILS` the reason."""
    parts = finding.message.partition("\n")[0].split(": ")
    if parts[0].endswith(" backend") and len(parts) > 1:
        parts = parts[1:]
    return parts[1] if parts[0].endswith(" cannot be probed") and len(parts) > 1 else parts[0]


def _refuse(error: HostError | PlanError) -> Suitability:
    first = error.findings[0]
    return Suitability(backend="", reason=shorten_reason(first), findings=tuple(error.findings))


def _restore(fields: Mapping[str, Any]) -> Suitability:
    findings = (
        Finding(**{**one, "position": Position(**one["position"])}) for one in fields["findings"]
    )
    return Suitability(backend=fields["backend"], reason=fields["reason"], findings=tuple(findings))
