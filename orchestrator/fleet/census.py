"""Which hosts there are, what became of their runs, and how far their clocks can be trusted."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median_low
from typing import Literal

from orchestrator.accounting.count import UNKNOWN
from orchestrator.accounting.vocabulary import UnmadeOutcome
from orchestrator.fleet.host_result import HostRun
from orchestrator.values import dataclass

__all__ = ["ClockCensus", "RunState", "find_missing", "find_shared_identities", "find_state"]
__all__ += ["survey_clocks"]

RunState = Literal["complete", "incomplete", "unknown", UnmadeOutcome]
_DAY_NS = 86_400 * 10**9


def find_state(run: HostRun) -> RunState:
    """What became of a run. Unknown: it is not known whether it lost data."""
    if not run.was_made:
        return run.outcome  # type: ignore[return-value]  # such outcomes are states
    if run.complete == UNKNOWN:
        return "unknown"
    return "complete" if run.complete else "incomplete"


def find_missing(expected: Iterable[str], runs: Iterable[HostRun]) -> list[str]:
    """The hosts that should be there and are not, by name or host id. A name without a domain is
    that of the only expected host that begins with it."""
    there = {name for run in runs for name in (run.host, run.host_id)}
    wanted = set(expected)
    by_short: dict[str, set[str]] = defaultdict(set)
    for name in wanted:
        by_short[_shorten(name)].add(name)
    short = {_shorten(name) for name in there}
    return sorted(
        name
        for name in wanted - there
        if not (
            len(by_short[_shorten(name)]) == 1
            and (_shorten(name) in there or ("." not in name and name in short))
        )
    )


def _shorten(name: str) -> str:
    return name.partition(".")[0]


def find_shared_identities(
    runs: Iterable[HostRun],
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Host ids that several names have, as clones of one image do, and names that several host ids
    have."""
    names, ids = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for run in runs:
        if run.host_id != UNKNOWN:
            names[run.host_id].add(run.host)
            ids[run.host].add(run.host_id)
    return _several(names), _several(ids)


def _several(found: Mapping[str, set[str]]) -> dict[str, list[str]]:
    return {name: sorted(many) for name, many in sorted(found.items()) if len(many) > 1}


# ---------------------------------------------------------------- clocks


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockCensus:
    """The clocks of a group's hosts. `first` and `last`: when synchronised hosts began (None: there
    are none); `unsynchronised`, `unknown`: runs whose times cannot be compared; `inexact`: those
    whose clock may be off by more than a window; `stepped`: those whose clock was set meanwhile;
    `apart`: those that say they began a day or more before or after most."""

    window_ns: int | None
    first: str | None
    last: str | None
    spread_ns: int | None
    unsynchronised: Sequence[HostRun]
    unknown: Sequence[HostRun]
    inexact: Sequence[HostRun]
    stepped: Sequence[HostRun]
    apart: Sequence[HostRun]


def survey_clocks(runs: Sequence[HostRun], every_ns: int | None) -> ClockCensus:
    """The clocks of these runs. A window is `every_ns`, or without windows the whole run."""
    made = [run for run in runs if run.start is not None]
    starts = {run.run_id: run.start_ns or 0 for run in made}
    sure = sorted((starts[run.run_id], run.start) for run in made if run.synchronised is True)
    usual = median_low(starts.values()) if starts else 0
    return ClockCensus(
        window_ns=every_ns,
        first=sure[0][1] if sure else None,
        last=sure[-1][1] if sure else None,
        spread_ns=sure[-1][0] - sure[0][0] if sure else None,
        unsynchronised=[run for run in made if run.synchronised is False],
        unknown=[run for run in made if run.synchronised == UNKNOWN],
        inexact=[
            run
            for run in made
            if run.synchronised is True
            and isinstance(run.error_ns, int)
            and run.error_ns > (every_ns or run.duration_ns)
        ],
        stepped=[run for run in made if run.clock_steps],
        apart=[run for run in made if abs(starts[run.run_id] - usual) >= _DAY_NS],
    )
