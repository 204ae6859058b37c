"""Adding results: one at a time, in any order, with the same outcome.

What is kept grows with the number of runs (a short row each) and of different cells, and not with
the size of the files.
"""

from collections.abc import Iterable
from dataclasses import field
from typing import NamedTuple

from orchestrator.fleet.host_result import GroupName, HostResult, HostRun, MetricPart
from orchestrator.fleet.reading import UnreadFile, UnreadReason
from orchestrator.fleet.sums import CellIdentity, CellNumbers, CellSum, MetricName
from orchestrator.values import dataclass

__all__ = [
    "GroupSum",
    "KernelName",
    "KernelSum",
    "Merge",
    "MetricSum",
    "RunFigures",
    "RunRow",
]
__all__ += ["NotAdded", "count_hosts"]


#: The cell of a metric without keys.
_NO_KEY: CellIdentity = (False, False)


class KernelName(NamedTuple):
    """What a difference between hosts may come from before the hosts do."""

    kernel: str
    kernel_build_id: str
    arch: str
    mechanisms: str


class KernelSum:
    """A metric on all hosts of one kernel, attached by the same mechanisms: all its cells as one,
    and for how many ns of CPUs it was counted (None: not known of all)."""

    __slots__ = ("cell", "cpu_ns", "identity")

    def __init__(self, identity: KernelName) -> None:
        self.identity = identity
        self.cell = CellSum()
        self.cpu_ns: int | None = 0

    def add(self, numbers: CellNumbers, runs: int, cpu_ns: int | None) -> None:
        """Add so many further runs."""
        self.cell.add(numbers, runs)
        self.cpu_ns = None if self.cpu_ns is None or cpu_ns is None else self.cpu_ns + cpu_ns


class MetricSum:
    """A metric in all runs of a group. `cells`: those with a key; where it `has_no_key`, its one
    cell is the sum of `kernels`. `estimated`: how many runs did not count every event; `cut`:
    how many have cells that their file left out; `incomplete`: how many lost data."""

    __slots__ = (
        *("cells", "cut", "estimated", "has_no_key", "identity", "incomplete", "kernels", "runs"),
    )

    def __init__(self, identity: MetricName) -> None:
        self.identity = identity
        self.runs = self.estimated = self.cut = self.incomplete = 0
        self.has_no_key = False
        self.cells: dict[CellIdentity, CellSum] = {}
        self.kernels: dict[KernelName, KernelSum] = {}

    def add_cell(self, identity: CellIdentity, numbers: CellNumbers, runs: int = 1) -> None:
        """Add a cell of so many further runs. That without a key is only noted: it is in the sums
        of the kernels."""
        if identity == _NO_KEY:
            self.has_no_key = True
            return
        cell = self.cells.get(identity)
        if cell is None:
            cell = self.cells[identity] = CellSum()
        cell.add(numbers, runs)

    def list_cells(self) -> dict[CellIdentity, CellSum]:
        """All cells; the one without a key too, which is in all kernels."""
        if not self.has_no_key:
            return self.cells
        whole = CellSum()
        for kernel in self.kernels.values():
            whole.add(kernel.cell.numbers, kernel.cell.runs)
        return {_NO_KEY: whole, **self.cells}

    def find_kernel(self, identity: KernelName) -> KernelSum:
        """The sum of hosts of one kernel, which is made where there is none."""
        kernel = self.kernels.get(identity)
        if kernel is None:
            kernel = self.kernels[identity] = KernelSum(identity)
        return kernel

    def absorb(self, other: "MetricSum") -> None:
        """Add all of another sum of the same metric."""
        self.runs += other.runs
        self.has_no_key = self.has_no_key or other.has_no_key
        self.estimated += other.estimated
        self.cut += other.cut
        self.incomplete += other.incomplete
        for name, cell in other.cells.items():
            self.add_cell(name, cell.numbers, cell.runs)
        for kernel in other.kernels.values():
            own = self.find_kernel(kernel.identity)
            own.add(kernel.cell.numbers, kernel.cell.runs, kernel.cpu_ns)


class GroupSum:
    """The metrics of runs that can be added."""

    __slots__ = ("identity", "metrics")

    def __init__(self, identity: GroupName) -> None:
        self.identity = identity
        self.metrics: dict[MetricName, MetricSum] = {}

    def find_metric(self, identity: MetricName) -> MetricSum:
        """The sum of a metric, which is made where there is none."""
        metric = self.metrics.get(identity)
        if metric is None:
            metric = self.metrics[identity] = MetricSum(identity)
        return metric


class RunFigures(NamedTuple):
    """What one run contributed to a metric, by which its host is compared with others. `events` is
    None of a metric that counts nothing (min, max)."""

    metric: MetricName
    kernel: KernelName
    events: int | None
    p50: float | None
    p99: float | None


class RunRow(NamedTuple):
    """A run that counts, and its figures."""

    run: HostRun
    figures: list[RunFigures]


class NotAdded(NamedTuple):
    """A file that is listed and not added."""

    path: str
    reason: UnreadReason
    detail: str


@dataclass(slots=True)
class Merge:
    """What was merged so far. `rows`: by run id; `duplicates`: path and run id of further files of
    a run that counts; `expected`: the names of hosts that should be there."""

    groups: dict[GroupName, GroupSum] = field(default_factory=dict)
    rows: dict[str, RunRow] = field(default_factory=dict)
    not_added: set[NotAdded] = field(default_factory=set)
    duplicates: set[tuple[str, str]] = field(default_factory=set)
    expected: set[str] = field(default_factory=set)

    def add_result(self, result: HostResult, path: str) -> bool:
        """Add one result; False if its run counts already."""
        run = result.run
        if run.run_id in self.rows:
            self.duplicates.add((path, run.run_id))
            return False
        group = self.find_group(run.group)
        cpu_ns = None if run.cpus is None else run.cpus * run.duration_ns
        figures = [
            _add_part(group.find_metric(part.identity), part, run, cpu_ns)
            for part in result.metrics
        ]
        self.rows[run.run_id] = RunRow(run, figures)
        return True

    def absorb(self, other: "Merge", path: str) -> None:
        """Add a merge of other results. Raises UnreadFile where some of its runs count already,
        and others do not: what is added up cannot be taken apart."""
        known = other.rows.keys() & self.rows.keys()
        if known and len(known) < len(other.rows):
            raise UnreadFile(
                "overlapping",
                f"{len(known):,} of its {len(other.rows):,} runs are counted already: merge the "
                "results that it was made of",
            )
        self.not_added |= other.not_added
        self.duplicates |= other.duplicates
        self.expected |= other.expected
        if known:
            self.duplicates |= {(path, run_id) for run_id in known}
            return
        self.rows |= other.rows
        for group in other.groups.values():
            own = self.find_group(group.identity)
            for metric in group.metrics.values():
                own.find_metric(metric.identity).absorb(metric)

    def refuse(self, path: str, why: UnreadFile) -> None:
        """List a file that is not added."""
        self.not_added.add(NotAdded(path=path, reason=why.reason, detail=why.detail))

    def find_group(self, identity: GroupName) -> GroupSum:
        """The group of runs, which is made where there is none."""
        group = self.groups.get(identity)
        if group is None:
            group = self.groups[identity] = GroupSum(identity)
        return group

    def list_rows(self) -> list[RunRow]:
        """The runs by host, and of one host by id."""
        return sorted(self.rows.values(), key=_order_of_row)


def _order_of_row(row: RunRow) -> tuple[str, str, str]:
    return row.run.host, row.run.host_id, row.run.run_id


def count_hosts(rows: Iterable[RunRow]) -> int:
    """How many different hosts these runs are of."""
    return len({row.run.identity for row in rows})


def _add_part(metric: MetricSum, part: MetricPart, run: HostRun, cpu_ns: int | None) -> RunFigures:
    metric.runs += 1
    metric.estimated += part.estimated
    metric.cut += part.cut > 0
    metric.incomplete += run.complete is False
    for name, numbers in part.cells:
        metric.add_cell(name, numbers)
    identity = KernelName(run.kernel, run.kernel_build_id or "", run.arch, part.mechanisms)
    kernel = metric.find_kernel(identity)
    kernel.add(part.whole, 1, cpu_ns)
    count = None if part.identity.kind in ("min", "max") else part.whole[0]
    return RunFigures(metric.identity, kernel.identity, count, part.p50, part.p99)
