"""Which hooks can be counted entirely by hist triggers, so that they record nothing."""

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.backends.tracefs.design.hist_triggers import hist_use
from orchestrator.backends.tracefs.design.layout import EventSource, HistUse, HookEvents
from orchestrator.compile.program import Program
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
    """Empty unless triggers can do everything that the hook does: it has one side, no records, no
    sampling, no condition left to user space, no other hook on its event or for its metric, and no
    target that only set_event_pid or user space tests."""
    side, target = hook.sides[0], program.target
    source = sources[side.source]
    alone = sum(side.source in [s.source for s in other.sides] for other in hooks) == 1
    probe = program.probes[hook.probe]
    untested = target.pid or target.tid or target.uid or target.children
    if (
        len(hook.sides) > 1
        or hook.record is not None
        or not hook.metrics
        or hook.sample > 1
        or side.where
        or not alone
        or len(probe.hooks) > 1
        or untested
        or (target.comm and not source.tests_comm)
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
