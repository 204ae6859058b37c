"""The canary: before a plan is attached to hot places in full, a second in which they are only
counted. What the plan would cost at that rate is projected, and a plan that would break limits.cpu
by itself is refused, with a proposal that would fit.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.accounting.count import at_least
from orchestrator.backends.protocol import AttachOptions, Backend, Expense, Session
from orchestrator.compile.program import Body, ProbeProgram, Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError
from orchestrator.run.cost.budget import ASSUMED_RUN_NS, MAX_SAMPLE

__all__ = ["Projection", "count_only", "run_canary"]

_SECONDS = 1.0
_STEP_S = 0.05
_GOAL = 0.8  # of limits.cpu: what a proposal aims at


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """What a probe would cost in full: `hits_s` a second, each its price; `kept_s` of them are the
    target's, and do the probe's work. `fixed` and `work` are fractions of one CPU, the work
    without sampling."""

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
        """As the plan has it."""
        return self.at(self.probe.sample)


# ---------------------------------------------------------------- counting


def count_only(program: Program) -> Program:
    """The same places and the same target, at which nothing is done but to count."""
    probes = tuple(
        replace(
            probe,
            sample=1,
            emit=None,
            metrics=(),
            hooks=tuple(replace(hook, body=_empty(hook.body)) for hook in probe.hooks),
        )
        for probe in program.probes
    )
    return replace(program, probes=probes, spans=(), params=(), every_ns=None)


def _empty(body: Body) -> Body:
    nobody = body.task == "none"
    return Body(
        lets=(),
        where=(),
        emit=(),
        metrics=(),
        task="none" if nobody else None,
        tests_target=body.tests_target and body.task is None,
    )


def run_canary(
    program: Program,
    backend: Backend[Any],
    facts: KernelFacts,
    options: AttachOptions,
    stop: Callable[[], bool],
) -> dict[str, Any]:
    """Count for a second, and tell what the plan would cost. Raises HostError with a proposal where
    that is more than limits.cpu. `stop`: somebody wants the run to end."""
    artifact = backend.emit(count_only(program), facts)
    session = backend.attach(artifact, facts, options)
    try:
        found = _project(program, session, *_count(session, stop))
    finally:
        session.detach()
    total = sum(one.cost for one in found)
    if total > program.limits.cpu and not stop():
        raise HostError([_refuse(program, found, total)])
    return {
        "cost": round(total, 6),
        "probes": {
            one.probe.name: {
                "hits_per_s": round(one.hits_s),
                "target_hits_per_s": round(one.kept_s),
                "cost": round(one.cost, 6),
            }
            for one in found
        },
    }


def _count(
    session: Session, stop: Callable[[], bool]
) -> tuple[Sequence[Expense], Sequence[Expense], float]:
    """What was spent before and after, and the seconds between."""
    start = time.monotonic_ns()
    session.arm(start + int(2 * _SECONDS * 1e9))
    before, begun = session.expenses(), time.monotonic_ns()
    while time.monotonic_ns() - begun < _SECONDS * 1e9 and not stop():
        time.sleep(_STEP_S)
    after, ended = session.expenses(), time.monotonic_ns()
    session.disarm()
    return before, after, (ended - begun) / 1e9


def _project(
    program: Program,
    session: Session,
    before: Sequence[Expense],
    after: Sequence[Expense],
    seconds: float,
) -> list[Projection]:
    old = {one.number: one.hits or 0 for one in before}
    hits = dict.fromkeys(range(len(program.probes)), 0.0)
    fixed = dict.fromkeys(range(len(program.probes)), 0.0)
    runs = any(one.run_ns is not None for one in after)
    paired = {probe.index: any(h.paired for h in probe.hooks) for probe in program.probes}
    for one in after:
        a_second = max((one.hits or 0) - old.get(one.number, 0), 0) / seconds
        for probe in one.probes:
            sides = 2 if paired[probe] else 1
            hits[probe] += a_second
            fixed[probe] += a_second * sides * one.price_ns / len(one.probes) / 1e9
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
    """By probe, how much of what was counted is the target's."""
    probe_of = {hook.id: hook.probe for hook in program.hooks}
    accepted = dict.fromkeys(range(len(program.probes)), 0)
    seen = dict.fromkeys(range(len(program.probes)), 0)
    for side in session.counts().sides:
        accepted[probe_of[side.hook]] += at_least(side.accepted)
        seen[probe_of[side.hook]] += at_least(side.accepted) + at_least(side.not_target)
    return {probe: accepted[probe] / count for probe, count in seen.items() if count}


# ---------------------------------------------------------------- refusing


def _refuse(program: Program, found: Sequence[Projection], total: float) -> Finding:
    dearest = max(found, key=lambda one: one.cost)
    told = ", ".join(
        f"{one.probe.name} {one.hits_s:,.0f} times a second ({one.cost * 100:.3g}%)"
        for one in sorted(found, key=lambda one: -one.cost)[:3]
    )
    position = dearest.probe.hooks[0].position if dearest.probe.hooks else None
    finding = Finding(
        code="PP095",
        message=f"the plan would take {total * 100:.3g}% of one CPU here, and limits.cpu allows "
        f"{program.limits.cpu * 100:g}%: in a second's count this host passed {told}",
        hint="; or ".join(_proposals(program, found, total)),
    )
    return finding if position is None else replace(finding, position=position)


def _proposals(program: Program, found: Sequence[Projection], total: float) -> Iterator[str]:
    """Each by itself would fit."""
    goal = _GOAL * program.limits.cpu
    costly = max(found, key=lambda one: one.cost)
    left = goal - (total - costly.cost) - costly.fixed
    if costly.probe.samplable and costly.work and left > 0:
        sample = max(costly.probe.sample + 1, math.ceil(costly.work / left))
        if sample <= MAX_SAMPLE:
            yield f"`sample: 1/{sample}` of {costly.probe.name} would fit"
    percent = math.ceil(total / _GOAL * 100)
    if percent <= 100:
        yield f"`limits.cpu: {percent}%` would fit"
    yield "attach to a rarer event, or give the run a command (-- COMMAND) of its own"
    yield "--no-canary leaves it to the governor"
