"""Whether a canary is worth its second. Imported before anything is attached, so that its import is
start-up time."""

from orchestrator.compile.program import Program
from orchestrator.run.cost.hot_points import find_hot_points

__all__ = ["why_no_canary"]

_SHORTEST_NS = 3_000_000_000  # the canary would be a third or more of a shorter run


def why_no_canary(program: Program, *, command: bool) -> str | None:
    """The reason why a canary would be useless; None where it is not. `command`: the run starts the
    workload itself."""
    if command:
        return "the command would not have started"
    duration = program.limits.duration_ns
    if duration is not None and duration < _SHORTEST_NS:
        return "the run is too short for it"
    if not find_hot_points(program):
        return "no attach point is known to be hot"
    return None
