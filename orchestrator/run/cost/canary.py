"""The canary: before a plan is attached to hot points in full, their hits are only counted for a
second. The cost of the plan at that rate is projected, and a plan that would exceed limits.cpu is
refused, with proposals that would fit.

What the canary attaches has maps and counters that go with it: nothing that it counted is in the
run, and nothing of the run is in it.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.accounting.count import at_least
from orchestrator.backends.protocol import Artifact, AttachOptions, Backend, Expense, Session
from orchestrator.compile.program import ProbeProgram, Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError
from orchestrator.run.cost.budget import ASSUMED_RUN_NS, MAX_SAMPLE
from orchestrator.values import dataclass

__all__ = ["Projection", "run_canary"]

_SECONDS = 1.0
_STEP_S = 0.05
_GOAL = 0.8  # of limits.cpu: the target of a proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """What a probe would cost in full. `hits_s`: hits per second; `kept_s`: those of the target,
    for which the probe does its work. `fixed`: the price of all hits, `work`: the probe's work
    without sampling, both as fractions of one CPU."""

    probe: ProbeProgram
    hits_s: float
    kept_s: float
    fixed: float
    work: float

    def at(self, sample: int) -> float:
        """The cost if one of `sample` were kept."""
        return self.fixed + self.work / sample

    @property
    def cost(self) -> float:
        """The cost with the plan's own sampling."""
        return self.at(self.probe.sample)


# ---------------------------------------------------------------- counting


def run_canary(
    artifact: Artifact[Any],
    backend: Backend[Any],
    facts: KernelFacts,
    options: AttachOptions,
    stop: Callable[[], bool],
) -> dict[str, Any]:
    """Count for a second and return the projected cost, as in run.started. Raises HostError with
    proposals where it is more than limits.cpu. `artifact`: what the run will attach; `stop`:
    whether the run shall end already."""
    program = artifact.program
    session = backend.attach(artifact, facts, replace(options, counting=True))
    try:
        projections = _project_costs(program, session, *_count_hits(session, stop))
    finally:
        session.detach()
    total = sum(projection.cost for projection in projections)
    if total > program.limits.cpu and not stop():
        raise HostError([_make_refusal(program, projections, total)])
    return {
        "cost": round(total, 6),
        "probes": {
            projection.probe.name: {
                "hits_per_s": round(projection.hits_s),
                "target_hits_per_s": round(projection.kept_s),
                "cost": round(projection.cost, 6),
            }
            for projection in projections
        },
    }


def _count_hits(
    session: Session, stop: Callable[[], bool]
) -> tuple[Sequence[Expense], Sequence[Expense], float]:
    """The expenses before and after a second of counting, and the seconds between."""
    start = time.monotonic_ns()
    session.arm(start + int(2 * _SECONDS * 1e9))
    before, begun = session.expenses(), time.monotonic_ns()
    while time.monotonic_ns() - begun < _SECONDS * 1e9 and not stop():
        time.sleep(_STEP_S)
    after, ended = session.expenses(), time.monotonic_ns()
    session.disarm()
    return before, after, (ended - begun) / 1e9


def _project_costs(
    program: Program,
    session: Session,
    before: Sequence[Expense],
    after: Sequence[Expense],
    seconds: float,
) -> list[Projection]:
    hits_before = {expense.number: expense.hits or 0 for expense in before}
    hits = dict.fromkeys(range(len(program.probes)), 0.0)
    fixed = dict.fromkeys(range(len(program.probes)), 0.0)
    runs = any(expense.run_ns is not None for expense in after)
    paired = {probe.index: any(h.paired for h in probe.hooks) for probe in program.probes}
    for expense in after:
        new_hits = (expense.hits or 0) - hits_before.get(expense.number, 0)
        hits_s = max(new_hits, 0) / seconds
        for probe in expense.probes:
            sides = 2 if paired[probe] else 1
            hits[probe] += hits_s
            fixed[probe] += hits_s * sides * expense.price_ns / len(expense.probes) / 1e9
    part = _target_parts(program, session) if runs else {}
    return [
        Projection(
            probe=probe,
            hits_s=hits[probe.index],
            kept_s=(kept := hits[probe.index] * part.get(probe.index, 1.0)),
            fixed=fixed[probe.index],
            work=kept * ASSUMED_RUN_NS / 1e9 if runs else 0.0,
        )
        for probe in program.probes
    ]


def _target_parts(program: Program, session: Session) -> dict[int, float]:
    """By probe, the fraction of the counted hits that is the target's."""
    probe_of = {hook.id: hook.probe for hook in program.hooks}
    accepted = dict.fromkeys(range(len(program.probes)), 0)
    seen = dict.fromkeys(range(len(program.probes)), 0)
    for side in session.counts().sides:
        accepted[probe_of[side.hook]] += at_least(side.accepted)
        seen[probe_of[side.hook]] += at_least(side.accepted) + at_least(side.not_target)
    return {probe: accepted[probe] / count for probe, count in seen.items() if count}


# ---------------------------------------------------------------- refusing


def _make_refusal(program: Program, projections: Sequence[Projection], total: float) -> Finding:
    by_cost = sorted(projections, key=lambda projection: -projection.cost)
    counted = ", ".join(
        f"{one.probe.name} {one.hits_s:,.0f} times per second ({one.cost * 100:.3g}%)"
        for one in by_cost[:3]
    )
    hooks = by_cost[0].probe.hooks
    position = hooks[0].position if hooks else None
    finding = Finding(
        code="PP095",
        message=f"the plan would take {total * 100:.3g}% of one CPU here, and limits.cpu allows "
        f"{program.limits.cpu * 100:g}%: in one second this host hit {counted}",
        hint="; or ".join(_proposal_texts(program, projections, total)),
    )
    return finding if position is None else replace(finding, position=position)


def _proposal_texts(
    program: Program, projections: Sequence[Projection], total: float
) -> Iterator[str]:
    """Changes of the plan, each of which would be enough."""
    goal = _GOAL * program.limits.cpu
    costly = max(projections, key=lambda projection: projection.cost)
    left = goal - (total - costly.cost) - costly.fixed
    if costly.probe.samplable and costly.work and left > 0:
        sample = max(costly.probe.sample + 1, math.ceil(costly.work / left))
        if sample <= MAX_SAMPLE:
            yield f"`sample: 1/{sample}` of {costly.probe.name} would fit"
    percent = math.ceil(total / _GOAL * 100)
    if percent <= 100:
        yield f"`limits.cpu: {percent}%` would fit"
    yield "attach to a rarer event, or trace a single command (-- COMMAND)"
    yield "with --no-canary, the governor limits the cost while the plan runs"
