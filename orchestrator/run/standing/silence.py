"""A plan without what a run writes or ends by: only what it counts."""

from collections.abc import Mapping
from dataclasses import replace

from orchestrator.plan.model import LimitSource, Plan

__all__ = ["make_silent"]


def make_silent(plan: Plan, duration_ns: int) -> Plan:
    """The plan with its metrics alone, for stretches of `duration_ns` at most: no records, windows
    or other end."""
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
