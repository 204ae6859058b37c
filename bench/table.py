"""The benchmarks: names, summaries, and how they run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.bounds import bounds
from bench.bundles import bundles
from bench.checks import checks
from bench.cost import cost
from bench.drain import drain
from bench.export import export
from bench.figures import Figure
from bench.flood import flood
from bench.governor import governor
from bench.html_report import html_report
from bench.joining import joining
from bench.lines import lines
from bench.merge import merge
from bench.open_numbers import open_numbers
from bench.rollout import rollout
from bench.setting import Setting
from bench.spans import spans
from bench.stacks import stacks
from bench.startup import startup

__all__ = ["TABLE", "Benchmark"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One row: `run` takes the measurements; `root` says whether it needs to be root."""

    summary: str
    run: Callable[[Setting], list[Figure]]
    root: bool = True


TABLE: Mapping[str, Benchmark] = {
    "stacks": Benchmark(summary="names of 10,000 kernel stacks", run=stacks),
    "drain": Benchmark(summary="JSON event lines per reader CPU second", run=drain),
    "flood": Benchmark(summary="loss at full speed, and in overload", run=flood),
    "startup": Benchmark(summary="time and memory to the first attached probe", run=startup),
    "cost": Benchmark(summary="ns that a probe adds to each call", run=cost),
    "open-numbers": Benchmark(summary="what open numbers add: instructions, ns", run=open_numbers),
    "bundles": Benchmark(summary="starts from bundles, their size, building them", run=bundles),
    "spans": Benchmark(summary="off-CPU time at full speed, a million live objects", run=spans),
    "bounds": Benchmark(summary="fused probes, detaching, the watchdog's memory", run=bounds),
    "joining": Benchmark(summary="attaching and detaching a glob's functions", run=joining),
    "governor": Benchmark(summary="a flood over limits.cpu, and the reaction", run=governor),
    "checks": Benchmark(summary="what a check adds, and whether its counts repeat", run=checks),
    "merge": Benchmark(summary="results of 10,000 hosts as one", run=merge, root=False),
    "report": Benchmark(summary="a page of 10,000 cells in Chromium", run=html_report, root=False),
    "rollout": Benchmark(summary="a ring of eight hosts, against ansible -m command", run=rollout),
    "export": Benchmark(summary="a dead collector, the exporter, percentiles", run=export),
    "lines": Benchmark(summary="rendering alone, from memory to memory", run=lines, root=False),
}
