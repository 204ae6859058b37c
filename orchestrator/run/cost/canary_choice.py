"""Whether a plan is attached to places that may be hot, so that a canary goes first. Imported
before anything is attached: what it costs is start-up time.
"""

from collections.abc import Mapping

from orchestrator.compile.program import Hook, Program
from orchestrator.run.cost.hot_places import (
    HOT_EVENTS,
    HOT_FUNCTIONS,
    HOT_SYSCALLS,
    HOT_USER_FUNCTIONS,
)

__all__ = ["hot_places", "why_not"]

_SHORTEST_NS = 3_000_000_000  # of a shorter run the canary would be a third and more
_MANY = 16  # attach points of one plan, from which on nobody can judge them beforehand


def why_not(program: Program, *, command: bool) -> str | None:
    """Why a canary has no use here; None where it has."""
    if command:
        return "the command would not have begun"
    duration = program.limits.duration_ns
    if duration is not None and duration < _SHORTEST_NS:
        return "the run is too short for it"
    if not hot_places(program):
        return "no attach point is known to be hot"
    return None


def hot_places(program: Program) -> Mapping[str, str]:
    """Attach points that may be passed very often, each with the reason."""
    hooks = program.hooks
    found = {hook.label: why for hook in hooks if (why := _hot(hook))}
    if not found and len(hooks) >= _MANY:
        return {hook.label: f"one of {len(hooks)} attach points" for hook in hooks}
    return found


def _hot(hook: Hook) -> str | None:
    if hook.path:
        return HOT_USER_FUNCTIONS.get(hook.symbol)
    if hook.traits.site == "raw tracepoint":
        event = hook.event
        return next((why for name, why in HOT_EVENTS.items() if name.endswith(f":{event}")), None)
    if hook.tracepoint is None:
        return HOT_FUNCTIONS.get(hook.symbol)
    category, event = hook.tracepoint.category, hook.tracepoint.event
    if category == "syscalls":
        return HOT_SYSCALLS.get(event.removeprefix("sys_enter_").removeprefix("sys_exit_"))
    return HOT_EVENTS.get(f"{category}:{event}", HOT_EVENTS.get(f"{category}:*"))
