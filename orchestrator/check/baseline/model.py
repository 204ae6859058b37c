"""A baseline: raw repeats of a check, by where they were measured.

An entry has what was counted, not what was expected of it: a bound or an expectation may change,
and its left side is computed from the recorded cells again.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from orchestrator.check.expectation.figures import RunCounts
from orchestrator.check.measurement import Environment, MeasuredCell, Measurement, ProbePlace

__all__ = ["MAX_CELLS", "WORKLOAD_TIMES", "Baseline", "BaselineEntry", "EntryKey", "RecordedMetric"]
__all__ += ["RecordedProbe", "RecordedRepeat", "key_of_measurement", "series_of_kernel"]

#: How many cells of a metric one repeat keeps; the others are added up in one without a key.
MAX_CELLS = 1000
#: The figures of the workload that are times, in the order that they are recorded in.
WORKLOAD_TIMES = ("wall", "user", "sys")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class EntryKey:
    """Where an entry compares. `series`: the kernel's, such as 6.12; "" where all that is read is
    what the program does itself, which is the same on each kernel. `machine`: what identifies a
    deterministic machine; "": any host."""

    arch: str
    series: str = ""
    machine: str = ""

    def __str__(self) -> str:
        kernel = f", kernel {self.series}" if self.series else ""
        machine = f", machine ({self.machine})" if self.machine else ""
        return f"{self.arch}{kernel}{machine}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRepeat:
    """The cells of one metric in one repeat."""

    ops: int
    cells: tuple[MeasuredCell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedMetric:
    """A metric's repeats, and the digest of its definition when they were recorded."""

    digest: str
    repeats: tuple[RecordedRepeat, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedProbe:
    """How a probe was attached when it was recorded."""

    mechanisms: tuple[str, ...]
    alternative: str
    place: ProbePlace


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineEntry:
    """What was recorded under one key. `recorded`: when, in UTC. `metrics`: by PROBE.METRIC.
    `maxrss`: for each repeat its operations and the largest resident size in bytes, where known.
    `times`: of a machine for each repeat its operations and its times in ns, as WORKLOAD_TIMES."""

    key: EntryKey
    environment: Environment
    recorded: str
    probes: Mapping[str, RecordedProbe]
    metrics: Mapping[str, RecordedMetric]
    maxrss: tuple[tuple[int, int | None], ...] = ()
    times: tuple[tuple[int, int, int, int], ...] = ()

    def list_counted(self, metrics: Iterable[tuple[str, str]]) -> Iterator[RunCounts]:
        """The recorded repeats of these metrics (owner and name), those of one size together."""
        wanted = {pair: _by_ops(self.metrics[".".join(pair)].repeats) for pair in metrics}
        sizes = [set(repeats) for repeats in wanted.values()] or [{ops for ops, _ in self.maxrss}]
        for ops in sorted(set.intersection(*sizes)):
            memory = [size for at, size in self.maxrss if at == ops]
            times = [own for at, *own in self.times if at == ops]
            count = min((len(repeats[ops]) for repeats in wanted.values()), default=len(memory))
            for index in range(count):
                cells = {pair: repeats[ops][index].cells for pair, repeats in wanted.items()}
                workload: dict[str, int | None] = {}
                workload["maxrss"] = memory[index] if index < len(memory) else None
                if index < len(times):
                    workload |= dict(zip(WORKLOAD_TIMES, times[index], strict=True))
                yield RunCounts(ops=ops, cells=cells, workload=workload)


def _by_ops(repeats: Iterable[RecordedRepeat]) -> dict[int, list[RecordedRepeat]]:
    grouped: dict[int, list[RecordedRepeat]] = {}
    for repeat in repeats:
        grouped.setdefault(repeat.ops, []).append(repeat)
    return grouped


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """All that is recorded for one check; each key once."""

    check: str
    entries: tuple[BaselineEntry, ...] = ()

    def find_entry(self, key: EntryKey, *, kernel_side: bool) -> BaselineEntry | None:
        """The entry to compare with. What is not `kernel_side` compares with any kernel of the
        architecture: then the key's own entry, or else the latest. A machine's figures compare with
        those of the same machine alone."""
        own = next((entry for entry in self.entries if entry.key == key), None)
        if own is not None or kernel_side or key.machine:
            return own
        return max(
            (
                entry
                for entry in self.entries
                if entry.key.arch == key.arch and not entry.key.machine
            ),
            key=lambda entry: (entry.recorded, entry.key),
            default=None,
        )

    def find_nearest(self, key: EntryKey) -> BaselineEntry | None:
        """The entry that is most like the key: of a machine or a host as it is, of its
        architecture, of the kernel series that is the fewest versions away, and of two such of the
        newer."""

        def unlikeness(entry: BaselineEntry) -> tuple[object, ...]:
            newer = tuple(-number for number in _series_numbers(entry.key.series))
            away = _versions_between(key.series, entry.key.series)
            is_other = bool(entry.key.machine) != bool(key.machine)
            return is_other, entry.key.arch != key.arch, away, newer, entry.key.arch

        return min(self.entries, key=unlikeness, default=None)


def _series_numbers(series: str) -> tuple[int, ...]:
    """6.12 → (6, 12); of what is no series, nothing."""
    return tuple(int(part) for part in series.split(".") if part.isdecimal())


def _versions_between(one: str, other: str) -> tuple[float, ...]:
    """How far two kernel series are apart: major versions, then minor ones."""
    numbers = _series_numbers(one), _series_numbers(other)
    if min(map(len, numbers)) < 2:  # one of them is of any kernel
        return (math.inf,)
    return tuple(abs(mine - theirs) for mine, theirs in zip(*numbers, strict=False))


def series_of_kernel(release: str) -> str:
    """The series of a kernel release: `6.12.10-amd64` is of 6.12."""
    return ".".join(release.split("-", maxsplit=1)[0].split(".")[:2])


def key_of_measurement(measurement: Measurement) -> EntryKey:
    """The key under which a measurement is recorded."""
    kernel_side = any(probe.place == "kernel-side" for probe in measurement.probes.values())
    environment = measurement.environment
    series = series_of_kernel(environment.kernel) if kernel_side else ""
    return EntryKey(arch=environment.arch, series=series, machine=environment.machine)
