"""Is what was measured valid? One small rule for each way in which it may not be.

A rule takes the evidence for one expectation and returns the reasons why that cannot be decided: no
reason, no obstacle. Rules are about the probes and spans that the expectation reads, so that a loss
of another probe does not matter.
"""

from collections.abc import Callable, Iterator

from orchestrator.accounting.count import UNKNOWN, Count
from orchestrator.check.measurement import Measurement, Repeat
from orchestrator.check.model import Workload
from orchestrator.plan.model import Plan
from orchestrator.values import dataclass

__all__ = ["RULES", "Evidence", "list_obstacles", "list_workload_troubles"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one expectation rests on: `reads`, its probes and spans, and `metrics`, its metrics."""

    measurement: Measurement
    plan: Plan
    reads: tuple[str, ...]
    metrics: tuple[tuple[str, str], ...]

    @property
    def repeats(self) -> tuple[Repeat, ...]:
        """All repeats."""
        return self.measurement.repeats


Rule = Callable[[Evidence], Iterator[str]]


def list_obstacles(evidence: Evidence) -> list[str]:
    """Every reason why the expectation cannot be decided, each once."""
    reasons = (reason for rule in RULES for reason in rule(evidence))
    return list(dict.fromkeys(reasons))


# ---------------------------------------------------------------- the run


def find_no_repeats(evidence: Evidence) -> Iterator[str]:
    """Nothing was measured."""
    if not evidence.repeats:
        yield "nothing was measured"


def find_early_end(evidence: Evidence) -> Iterator[str]:
    """A deadline, a cap or the cost ended the counting instead of the command."""
    for repeat in evidence.repeats:
        if repeat.outcome != "command":
            yield f"the counting was ended by its {repeat.outcome}, before the command ended"


def find_descendants(evidence: Evidence) -> Iterator[str]:
    """Processes of the command still ran at its end: what they went on to do was not counted."""
    left = {comm for repeat in evidence.repeats for _, comm in repeat.command.left}
    if left:
        yield f"still running when the command ended: {', '.join(sorted(left))}"


def find_lost_children(evidence: Evidence) -> Iterator[str]:
    """Children that were not followed."""
    for repeat in evidence.repeats:
        if repeat.children_lost:
            yield f"{_show(repeat.children_lost)} children of the command were not followed"


# ---------------------------------------------------------------- the probes


def find_detached(evidence: Evidence) -> Iterator[str]:
    """A probe that was not attached, or not at all its attach points."""
    for name in _probes_read(evidence):
        probe = evidence.measurement.probes.get(name)
        if probe is None:
            yield f"{name} was not attached"
        elif probe.skipped is not None:
            yield f"{name} was not attached: {probe.skipped}"


def find_unmeasured(evidence: Evidence) -> Iterator[str]:
    """A metric that no repeat has figures of: a limit on what was not measured must not pass."""
    for owner, metric in evidence.metrics:
        if any(metric not in repeat.cells.get(owner, {}) for repeat in evidence.repeats):
            yield f"{owner}.{metric} was not measured"


def find_resampled(evidence: Evidence) -> Iterator[str]:
    """The governor lowered the sampling of a probe."""
    planned = {probe.name: probe.sample for probe in evidence.plan.probes}
    for name in _probes_read(evidence):
        probe = evidence.measurement.probes.get(name)
        if probe is not None and probe.sample != planned[name]:
            yield f"the governor lowered the sampling of {name} to 1/{probe.sample}"


def find_losses(evidence: Evidence) -> Iterator[str]:
    """Events that were lost, or of which it is not known."""
    for repeat in evidence.repeats:
        for name in (*evidence.reads, ""):
            for loss in repeat.losses.get(name, ()):
                yield f"{name}: {loss}{_suggest_kind(evidence, name)}" if name else loss


def find_faults(evidence: Evidence) -> Iterator[str]:
    """Conditions and keys whose values could not be read."""
    for repeat in evidence.repeats:
        if repeat.faulted:
            count = _show(repeat.faulted)
            yield f"{count} values of conditions or keys could not be read (faulted)"


def find_overflow(evidence: Evidence) -> Iterator[str]:
    """Keys that did not fit, and were counted in the cell `other`."""
    for repeat in evidence.repeats:
        for owner, metric in evidence.metrics:
            if (owner, metric) in repeat.others:
                yield f"keys of {owner}.{metric} did not fit (cell `other`): raise its `keys`"


#: In the order in which reasons are reported.
RULES: tuple[Rule, ...] = (
    find_no_repeats,
    find_early_end,
    find_descendants,
    find_lost_children,
    find_detached,
    find_unmeasured,
    find_resampled,
    find_losses,
    find_faults,
    find_overflow,
)


def _probes_read(evidence: Evidence) -> list[str]:
    return [probe.name for probe in evidence.plan.probes if probe.name in evidence.reads]


def _suggest_kind(evidence: Evidence, name: str) -> str:
    """The attach kind whose misses are counted, where the probe has another one."""
    for probe in evidence.plan.probes:
        for item in probe.items:
            if probe.name == name and item.kind == "tracepoint":
                event = item.target.rpartition(":")[2]
                return f"; misses of `rawtracepoint:{event}` are counted"
    return ""


def _show(count: Count) -> str:
    return "an unknown number of" if count == UNKNOWN else f"{count:,}"


# ---------------------------------------------------------------- the workload


def list_workload_troubles(measurement: Measurement, workload: Workload) -> list[str]:
    """Why the workload did not do what it should: a stage that failed, a repeat that took too long,
    was ended by a signal, or has another exit code than the check says."""
    trouble = measurement.trouble
    found = [f"{trouble.stage}: {trouble.message}"] if trouble is not None else []
    for number, repeat in enumerate(measurement.repeats, 1):
        if (reason := _find_command_trouble(repeat, workload)) is not None:
            found.append(f"repeat {number}: {reason}")
    return found


def _find_command_trouble(repeat: Repeat, workload: Workload) -> str | None:
    end = repeat.command
    if end.timed_out:
        return f"the command took longer than {workload.timeout_ns / 1e9:g} s"
    if end.signal is not None:
        return f"the command was ended by {end.signal}"
    if end.code != workload.exit:
        return f"the command ended with exit code {end.code}, not {workload.exit}"
    return None
