"""May what was measured be compared with the baseline? One small rule for each reason why not."""

from collections.abc import Callable, Iterator

from orchestrator.check.baseline.model import (
    Baseline,
    BaselineEntry,
    EntryKey,
    RecordedProbe,
    key_of_measurement,
)
from orchestrator.check.measurement import ProbeIdentity
from orchestrator.check.verdict.validity import Evidence
from orchestrator.values import dataclass

__all__ = ["COMPARISON_RULES", "Recorded", "find_recorded", "list_mismatches"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What an expectation is compared with: the entry for it, if there is one. `command`: the one
    that records."""

    evidence: Evidence
    baseline: Baseline | None
    entry: BaselineEntry | None
    key: EntryKey
    command: str


def find_recorded(evidence: Evidence, baseline: Baseline | None, check_file: str) -> Recorded:
    """The entry that the expectation may be compared with."""
    measurement = evidence.measurement
    kernel_side = any(
        probe.place == "kernel-side"
        for name, probe in measurement.probes.items()
        if name in evidence.reads
    )
    key = key_of_measurement(measurement)  # which has the series, if any probe needs it
    entry = baseline.find_entry(key, kernel_side=kernel_side) if baseline else None
    command = f"probeplan check {check_file} --update"
    return Recorded(evidence=evidence, baseline=baseline, entry=entry, key=key, command=command)


def list_mismatches(recorded: Recorded) -> list[str]:
    """Every reason why the expectation cannot be compared with the baseline."""
    reasons = (reason for rule in COMPARISON_RULES for reason in rule(recorded))
    return list(dict.fromkeys(reasons))


def find_no_entry(recorded: Recorded) -> Iterator[str]:
    """Nothing was recorded for this architecture, or for this series of kernels."""
    if recorded.entry is not None:
        return
    nearest = recorded.baseline.find_nearest(recorded.key) if recorded.baseline else None
    others = f" (the nearest is of {nearest.key})" if nearest else ""
    yield (f"no baseline for {recorded.key}{others}: record one with `{recorded.command} new`")


def find_unrecorded_metric(recorded: Recorded) -> Iterator[str]:
    """The entry is older than the metric."""
    if recorded.entry is None:
        return
    for owner, metric in recorded.evidence.metrics:
        if f"{owner}.{metric}" not in recorded.entry.metrics:
            yield (f"the baseline has no {owner}.{metric}: record it with `{recorded.command} new`")


def find_redefinition(recorded: Recorded) -> Iterator[str]:
    """The metric is another quantity than the one that was recorded."""
    if recorded.entry is None:
        return
    measured = recorded.evidence.measurement.metrics
    for owner, metric in recorded.evidence.metrics:
        stored = recorded.entry.metrics.get(f"{owner}.{metric}")
        identity = measured.get(owner, {}).get(metric)
        if stored is not None and identity is not None and stored.digest != identity.digest:
            yield (
                f"{owner}.{metric} was defined differently when the baseline was recorded: "
                f"record it again with `{recorded.command} all`"
            )


def find_other_alternative(recorded: Recorded) -> Iterator[str]:
    """Another attach point than the baseline's was measured."""
    for name, stored, probe in _pair_probes(recorded):
        if stored.alternative != probe.alternative:
            yield (
                f"{name} is attached at {probe.alternative}, and was at {stored.alternative} when "
                f"the baseline was recorded: record it again with `{recorded.command} all`"
            )


def find_other_mechanism(recorded: Recorded) -> Iterator[str]:
    """In a machine, what a probe costs is in the figures."""
    if not recorded.key.machine:
        return
    for name, stored, probe in _pair_probes(recorded):
        if stored.mechanisms != probe.mechanisms:
            yield (
                f"{name} is attached by {', '.join(probe.mechanisms)}, and was by "
                f"{', '.join(stored.mechanisms)} when the baseline was recorded: record it again "
                f"with `{recorded.command} all`"
            )


def _pair_probes(recorded: Recorded) -> Iterator[tuple[str, RecordedProbe, ProbeIdentity]]:
    """The probes that are read and were recorded: as they were attached then, and are now."""
    if recorded.entry is None:
        return
    for name in recorded.evidence.reads:
        stored = recorded.entry.probes.get(name)
        probe = recorded.evidence.measurement.probes.get(name)
        if stored is not None and probe is not None:
            yield name, stored, probe


COMPARISON_RULES: tuple[Callable[[Recorded], Iterator[str]], ...] = (
    find_no_entry,
    find_unrecorded_metric,
    find_redefinition,
    find_other_alternative,
    find_other_mechanism,
)
