"""The plans of a test session: read, attached once, and counted block by block."""

import contextlib
from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from orchestrator.accounting.count import Count, at_least
from orchestrator.backends.protocol import ProbeSwitch, Session
from orchestrator.check.document.inner_plan import read_inner_plan
from orchestrator.check.measurement import CommandEnd, Measurement, Repeat
from orchestrator.check.measuring.environment import describe_environment
from orchestrator.check.measuring.figures import make_repeat
from orchestrator.check.measuring.identity import identify_metrics, identify_probes
from orchestrator.check.processes.launcher import Ended
from orchestrator.kernel.abi.mounts import MountError, ensure_tracefs
from orchestrator.kernel.facts import KernelFacts, live_facts
from orchestrator.plan.document.document_paths import DocumentPath, EntryPosition
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.document.parse import Document
from orchestrator.plan.findings import Finding, HostError, PlanError, Position, has_errors
from orchestrator.plan.model import Plan
from orchestrator.policy.file import read_policies
from orchestrator.run.options import RunOptions
from orchestrator.run.prepare import prepare
from orchestrator.run.safety.privileges import require_privileges
from orchestrator.run.standing.probes import StandingProbes
from orchestrator.run.standing.silence import make_silent
from orchestrator.values import dataclass

__all__ = ["AttachedPlan", "PlanHost", "PlanRequest", "make_collector", "read_plan"]

#: No block is longer; one that is counts no further, and is inconclusive.
LONGEST_BLOCK_NS = 24 * 3600 * 1_000_000_000
_NO_END = Ended(status=0, user_ns=0, sys_ns=0, maxrss_bytes=None, left=())


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """Which plan a test names: `source` as `plan` of a check, relative to the folder `here`, with
    these values of its params; `position`: where it is named."""

    source: str | Mapping[str, Any]
    settings: Mapping[str, str]
    here: Path
    position: Position


def make_collector(position: Position, data: Mapping[str, Any] | None = None) -> FindingCollector:
    """A collector for findings that are all about this place."""
    places: dict[DocumentPath, EntryPosition] = {(): EntryPosition(key=position, value=position)}
    document = Document(data=dict(data or {}), places=places, file=position.file, source=b"")
    return FindingCollector(document=document)


def read_plan(request: PlanRequest) -> Plan:
    """The plan, with its metrics alone. Raises PlanError."""
    head = {"name": "inline", "summary": "A plan that is a part of a test"}
    data = {"metadata": head, "plan": request.source, "set": dict(request.settings)}
    collector = make_collector(request.position, data)
    plan = read_inner_plan(request.source, request.settings, request.here, collector)
    if plan is None or has_errors(collector.findings):
        raise PlanError(finding for finding in collector.findings if finding.severity == "error")
    return make_silent(plan, LONGEST_BLOCK_NS)


@dataclass(slots=True, kw_only=True)
class AttachedPlan:
    """A plan whose probes are attached. `fired`: by probe, how often it fired for any process in
    all blocks so far."""

    plan: Plan
    probes: StandingProbes
    measurement: Measurement
    fired: dict[str, Count] = field(default_factory=dict)

    def begin(self) -> ProbeSwitch:
        """Get ready to count from zero; the switch that begins and ends it."""
        self.probes.begin(held=True)
        return self.switch

    @property
    def switch(self) -> ProbeSwitch:
        """The memory that switches the probes."""
        switch = self.probes.session.find_switch()
        assert switch is not None, "a plan without one is not attached"
        return switch

    def end(self, wall_ns: int) -> Repeat:
        """What was counted. `wall_ns`: how long the block took."""
        repeat = make_repeat(
            self.probes.program,
            self.probes.end(),
            ops=1,
            wall_ns=wall_ns,
            before_ns=0,
            ended=_NO_END,
            command=CommandEnd(code=0),
        )
        for name, count in repeat.fired_on_host.items():
            self.fired[name] = at_least(self.fired.get(name, 0)) + at_least(count)
        return replace(repeat, fired_on_host=dict(self.fired))

    def measured(self, repeat: Repeat, witness: Repeat | None) -> Measurement:
        """A block and its witness as the measurement of a check."""
        return replace(self.measurement, repeats=(repeat,), witness=witness)


class PlanHost:
    """Attaches plans whose target is the process `owner` with its descendants. Raises HostError
    where this process may not attach probes."""

    def __init__(self, owner: int) -> None:
        self._owner = owner
        self._facts: KernelFacts = live_facts()
        require_privileges(self._facts)
        self._policies = read_policies([])
        with contextlib.suppress(MountError):  # what needs it is refused, with the reason
            ensure_tracefs()
        self._attached: list[AttachedPlan] = []

    @property
    def arch(self) -> str:
        """The architecture, by uname's word."""
        return self._facts.arch

    def attach(self, request: PlanRequest, plan: Plan) -> AttachedPlan:
        """Attach the probes of a plan. Raises PlanError and HostError."""
        prepared = prepare(plan, self._facts, self._policies, follow_children=True)
        with contextlib.ExitStack() as undoing:
            probes = StandingProbes(prepared, RunOptions(), root_pid=self._owner)
            session = undoing.enter_context(probes).session
            _require_switch(session, request, prepared.choice.artifact.backend)
            measurement = Measurement(
                repeats=(),
                probes=identify_probes(probes.program, session.attached, session.skipped),
                metrics=identify_metrics(prepared.plan, probes.program),
                environment=describe_environment(prepared, request.here),
            )
            undoing.pop_all()
        attached = AttachedPlan(plan=prepared.plan, probes=probes, measurement=measurement)
        self._attached.append(attached)
        return attached

    def detach_all(self) -> list[str]:
        """Detach everything, in reverse; returns what could not be removed."""
        troubles = []
        while self._attached:
            probes = self._attached.pop().probes
            probes.__exit__(None, None, None)
            if trouble := probes.faults.describe():
                troubles.append(trouble)
        return troubles


def _require_switch(session: Session, request: PlanRequest, backend: str) -> None:
    """Raise HostError where the tests' process would have to make system calls, and count them."""
    if session.find_switch() is not None:
        return
    finding = Finding(
        code="PP092",
        message=f"the backend {backend} is switched by system calls of the tests' process, which "
        "would be counted",
        position=request.position,
        hint="a plan that BPF programs can count is needed, and a kernel that loads them",
    )
    raise HostError([finding])
