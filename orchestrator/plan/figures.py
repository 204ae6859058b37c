"""Figures, which are computed from metrics in user space: `derive`, `warn` and `stop_when`.

`PROBE.METRIC` is a metric's value and `PROBE.METRIC.NUMBER` another number of it; a span's metrics
are `SPAN.METRIC`. A metric with `by` means all its cells together. Derived figures are named
directly, `elapsed` is the length of the window (ns), and `total(x)` is x since the run began, where
x alone covers the window. A `warn` names the numbers of one cell: `p99 > 10*ms`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrator.plan.expression.syntax import (
    MemberOf,
    Name,
    SyntaxNode,
)
from orchestrator.plan.model import DerivedFigure, Metric, MetricKind, Plan

if TYPE_CHECKING:
    from orchestrator.plan.document.document_paths import DocumentPath
    from orchestrator.plan.reader import DocumentReader

#: The numbers that a cell of each kind of metric has.
CELL_NUMBERS: Mapping[MetricKind, tuple[str, ...]] = {
    "count": ("value", "count"),
    "sum": ("value", "sum", "count", "avg"),
    "min": ("value", "min"),
    "max": ("value", "max"),
    "avg": ("value", "avg", "sum", "count"),
    "histogram": ("count", "below", "above", "p50", "p75", "p90", "p95", "p99", "p99_9"),
}
#: Functions of figures, and how many arguments they take.
FIGURE_FUNCTIONS: Mapping[str, int] = {"min": 2, "max": 2, "total": 1}


def metrics_by_owner(plan: Plan) -> dict[str, tuple[Metric, ...]]:
    """The metrics that figures can name, by the name of their probe or span."""
    probes = {probe.name: probe.metrics for probe in plan.probes}
    return probes | {span.name: span.metrics for span in plan.spans}


def dotted_parts(node: SyntaxNode) -> tuple[str, ...]:
    """The parts of `a.b.c`; empty for anything else."""
    match node:
        case Name(id=name):
            return (name,)
        case MemberOf(base=base, name=name):
            return (*before, name) if (before := dotted_parts(base)) else ()
        case _:
            return ()


# ---------------------------------------------------------------- reading


def build_figures(reader: "DocumentReader") -> tuple[DerivedFigure, ...]:
    """The plan's derived figures, in the order of the file."""
    figures = [_build_figure(reader, ("derive", name)) for name in reader.get(("derive",), {})]
    return tuple(figure for figure in figures if figure is not None)


def _build_figure(reader: "DocumentReader", path: "DocumentPath") -> DerivedFigure | None:
    from orchestrator.plan.naming.keys import read_key  # at run time no document is read

    value = reader.expression((*path, "value"), fractions=True)
    if value is None:  # reported where it was read, or by the schema
        return None
    return DerivedFigure(
        name=str(path[-1]),
        value=value,
        by=tuple(read_key(reader, (*path, "by"))),
        top=reader.get((*path, "top"), 20),
        unit=reader.get((*path, "unit"), ""),
        warn=reader.expression((*path, "warn"), fractions=True),
        position=reader.collector.document.key_position(path),
    )
