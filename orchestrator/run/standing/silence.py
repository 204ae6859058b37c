"""A plan without what a run writes or ends by: only what it counts."""

from collections.abc import Mapping
from dataclasses import replace

from orchestrator.plan.attach_kinds import KINDS
from orchestrator.plan.findings import plan_error
from orchestrator.plan.model import LimitSource, Plan

__all__ = ["make_silent"]


def make_silent(plan: Plan, duration_ns: int) -> Plan:
    """The plan with its metrics alone, for stretches of `duration_ns` at most: no records, windows
    or other end. Raises PlanError PP110 where the plan reads iterators: what they show is there
    without the workload, and at no moment of it."""
    for item in (item for probe in plan.probes for item in probe.items):
        if KINDS[item.kind].site == "iterator":
            message = f"{item.text} is a snapshot of what is there, which counts no workload"
            raise plan_error("PP110", message, item.position, "use `probeplan run`")
    sources: Mapping[str, LimitSource] = {**plan.limits_from, "duration": "command line"}
    return replace(
        plan,
        probes=tuple(
            replace(probe, emit=None, events=None, rate=None, redact=probe.redact)
            for probe in plan.probes
        ),
        spans=tuple(replace(span, emit=None) for span in plan.spans),
        limits=replace(plan.limits, duration_ns=duration_ns),
        limits_from=sources,
        every_ns=None,
        stop_when=None,
    )
