"""What is known of a plan: how to make it see something, and what it then has to have seen."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # workloads run in guests, where each import is slow
    from tests.support.product import Ran

SERVERS = "libservers.so"
"""What database servers offer to probes, for recipes; tests/support/workload/servers.c."""
Judge = Callable[["Ran"], None]


def result_of(record: Mapping[str, Any]) -> int | str:
    """What a call returned: the name of its error, or its result where it did not fail. That the
    two fields agree is checked."""
    name, result = record["result_name"], record["result"]
    assert (name is None) == (result >= 0)
    return result if name is None else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One row.

    `work`: the workload; it does a known thing a known number of times, and ends. None: it is
    the workload recipes.c with the name of the plan. `judge` asserts what the run has to have
    seen. `settings`: params of the plan. `needs`: features of
    features.TABLE without which it cannot run. `private`: params that name a library, each with
    the library that the workload gets a copy of: a probe is in a file for everyone.
    `modules`: what the workload needs in a guest. `changes_host`: the workload does what only a
    guest may suffer. `disk`: it writes to a block device, in the current
    directory. `tracefs_cannot`: a word of the reason why that backend refuses it;
    `tracefs_cannot_without_kprobes`: the same where it could with them. `differs`: kernels on which
    its probes stand elsewhere than on 6.1; there it is run too. `everywhere`: it is run on every
    kernel, since it reads structures that differ, or events whose meaning has changed.
    """

    work: Callable[[], None] | None = None
    judge: Judge
    settings: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    private: Mapping[str, str] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    changes_host: bool = False
    disk: bool = False
    tracefs_cannot: str = ""
    tracefs_cannot_without_kprobes: str = ""
    differs: tuple[str, ...] = ()
    everywhere: bool = False

    @property
    def where(self) -> dict[str, Any]:
        """What a guest is reported of it, as JSON has it."""
        return {"settings": dict(self.settings), "private": dict(self.private)}


def most(ran: "Ran", probe: str, metric: str, **key: Any) -> int:
    """The largest value of a cell in any window whose key has these parts: a snapshot may be of
    before the workload, or of its end."""
    return max(
        cell["value"]
        for line in ran.of_kind("metric.reported")
        if (line["probe"], line["metric"], line["total"]) == (probe, metric, False)
        for cell in line["cells"]
        if key.items() <= cell["key"].items()
    )


def longest(cell: Mapping[str, Any]) -> int:
    """The upper edge of a histogram's last bucket."""
    return int(cell["buckets"][-1][0])


def by_function(
    cells: Iterable[Mapping[str, Any]], stack: str, value: str = "value", *, depth: int = 0
) -> dict[str, Any]:
    """The sums of cells by a function of their stacks; `depth` 0 is the innermost one."""
    found: dict[str, Any] = {}
    for cell in cells:
        name = cell["key"][stack][depth].partition("+")[0]
        found[name] = found.get(name, 0) + cell[value]
    return found


def total(ran: "Ran", probe: str, metric: str) -> Any:
    """The sum of a metric's cells."""
    return sum(cell["value"] for cell in ran.cells(probe, metric))
