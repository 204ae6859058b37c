"""Optional hooks are skipped when the kernel refuses something that they need."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.backends.protocol import SkippedHook
from orchestrator.backends.tracefs.design.layout import EventLayout, EventSide, HookEvents
from orchestrator.backends.tracefs.instance.trace_instance import WriteRefused
from orchestrator.plan.findings import NOWHERE, Finding, HostError

__all__ = ["without_refused"]


def without_refused(
    layout: EventLayout, refused: WriteRefused, skipped: list[SkippedHook]
) -> EventLayout:
    """The layout without the optional hooks that need what the kernel refused; they are appended to
    `skipped`. Raises HostError where such a hook is not optional, or no hook would be left."""
    source = refused.step.source
    users = [h for h in layout.hooks if source in _sources_of(h)]
    left = tuple(h for h in layout.hooks if h not in users)
    if source is None or not users or not left or not all(h.hook.optional for h in users):
        raise HostError([_refusal_finding(refused, users)]) from refused
    skipped += [SkippedHook(hook=h.hook.id, reason=str(refused)) for h in users]
    return _keep_hooks(layout, left)


def _keep_hooks(layout: EventLayout, hooks: tuple[HookEvents, ...]) -> EventLayout:
    """The layout with only these hooks, and the sources that they need."""
    needed = sorted({source for hook in hooks for source in _sources_of(hook)})
    number = {old: new for new, old in enumerate(needed)}
    return replace(
        layout,
        sources=tuple(layout.sources[old] for old in needed),
        hooks=tuple(
            replace(h, sides=tuple(_renumber_side(side, number) for side in h.sides)) for h in hooks
        ),
        hists=tuple(
            replace(h, source=number[h.source]) for h in layout.hists if h.source in number
        ),
    )


def _sources_of(hook: HookEvents) -> set[int]:
    return {source for side in hook.sides for source in side.sources}


def _renumber_side(side: EventSide, number: Mapping[int, int]) -> EventSide:
    other = None if side.other is None else number[side.other]
    return replace(side, source=number[side.source], other=other)


def _refusal_finding(refused: WriteRefused, users: Sequence[HookEvents]) -> Finding:
    step = refused.step
    code = "PP114" if step.path.endswith(("/filter", "/trigger")) else "PP113"
    where = f"{users[0].hook.label}: " if users else ""
    what = f"mkdir {step.path}" if step.action == "mkdir" else f"{step.text!r} to {step.path}"
    return Finding(
        code=code,
        message=f"{where}the kernel refused {what}: {refused.why}",
        hint="`probeplan doctor PLAN` looks for the cause; run as root",
        position=users[0].hook.position if users else NOWHERE,
    )
