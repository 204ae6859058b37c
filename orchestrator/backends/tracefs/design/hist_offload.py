"""Which hooks can be counted entirely by hist triggers, so that they record nothing."""

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.backends.tracefs.design.hist_triggers import hist_use
from orchestrator.backends.tracefs.design.layout import EventSource, HistUse, HookEvents
from orchestrator.compile.program import Program, ResolvedLeftOut, ResolvedTarget
from orchestrator.kernel.facts import KernelFacts

__all__ = ["counted_in_kernel"]


def counted_in_kernel(
    program: Program,
    facts: KernelFacts,
    hooks: Sequence[HookEvents],
    sources: Sequence[EventSource],
) -> tuple[list[HookEvents], tuple[HistUse, ...]]:
    """The hooks, with `counted` set where triggers count all of their metrics, and the triggers."""
    if not facts.feature("hist_triggers"):
        return list(hooks), ()
    marked: list[HookEvents] = []
    hists: list[HistUse] = []
    for hook in hooks:
        uses = _hist_uses(program, hook, hooks, sources)
        marked.append(replace(hook, counted=True) if uses else hook)
        hists += uses
    return marked, tuple(hists)


def _hist_uses(
    program: Program, hook: HookEvents, hooks: Sequence[HookEvents], sources: Sequence[EventSource]
) -> list[HistUse]:
    """Empty unless triggers can do everything that the hook does, for all of its metrics."""
    side, probe = hook.sides[0], program.probes[hook.probe]
    source = sources[side.source]
    users = [h for h in hooks if any(side.source in s.sources for s in h.sides)]
    if not (
        len(users) == 1
        and len(probe.hooks) == 1
        and _only_counts(hook)
        and _tests_target(program.target, source)
    ):
        return []
    specs = {spec.index: spec for spec in probe.metrics}
    candidates = [
        hist_use(specs[use.metric], use, side.source, source.field_names, source.filter)
        for use in hook.metrics
    ]
    uses = [use for use in candidates if use is not None]
    shapes = {(use.keys, use.value) for use in uses}
    return uses if len(uses) == len(candidates) == len(shapes) else []


def _only_counts(hook: HookEvents) -> bool:
    """It has one side, no records, no sampling and no condition left to user space."""
    is_single = len(hook.sides) == 1 and not hook.sides[0].where
    return is_single and hook.record is None and hook.sample <= 1 and bool(hook.metrics)


def _tests_target(target: ResolvedTarget, source: EventSource) -> bool:
    """The event's filter tests all of the target: nothing is left to set_event_pid, which triggers
    ignore, or to user space."""
    is_by_number = target.pid or target.tid or target.uid or target.children
    leaves_out = target.left_out != ResolvedLeftOut()
    return not is_by_number and not leaves_out and (not target.comm or source.tests_comm)
