"""What the subject of an expectation names: metrics with their cells, and the plan's figures."""

from collections.abc import Iterable, Iterator
from functools import cached_property

from orchestrator.plan.expression.names import UNITS
from orchestrator.plan.expression.syntax import Expr, Filtered, MemberOf, Name, SyntaxNode, children
from orchestrator.plan.figures import metrics_by_owner
from orchestrator.plan.model import Metric, Outstanding, Plan, Probe, Span
from orchestrator.plan.scopes import Definitions, names_in, names_used_by, probe_scope, span_scope
from orchestrator.values import dataclass

__all__ = ["WORKLOAD_TIMES", "MetricReference", "PlanNames", "Reference", "read_reference"]
__all__ += ["WORKLOAD_FIGURES"]

#: `workload.NAME`: times in ns, and the largest resident size in bytes.
WORKLOAD_TIMES = ("wall", "user", "sys")
WORKLOAD_FIGURES = (*WORKLOAD_TIMES, "maxrss")
_TIME_UNITS = frozenset({"ns", "us", "ms", "s"})
#: Numbers of a cell that count its values, whatever these are.
_COUNTING = frozenset({"count", "below", "above"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A dotted name with the condition on its cells, if it has one."""

    parts: tuple[str, ...]
    condition: SyntaxNode | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricReference:
    """A number of some cells of a metric. `owner`: its probe or span; `number`: one of
    figures.CELL_NUMBERS."""

    owner: str
    metric: Metric
    number: str
    condition: SyntaxNode | None = None

    @property
    def is_percentile(self) -> bool:
        """Whether it is read from a histogram's buckets, and as exact as these are."""
        return self.metric.kind == "histogram" and self.number not in _COUNTING

    @property
    def is_extreme(self) -> bool:
        """Whether it is the least or greatest value, which cannot be subtracted."""
        return (self.metric.kind if self.number == "value" else self.number) in ("min", "max")

    @property
    def counts(self) -> bool:
        """Whether it is how often something happened, and not what was measured then."""
        return self.metric.kind == "count" or self.number in _COUNTING


def read_reference(node: SyntaxNode) -> Reference | None:
    """The name that a node is: `a.b.c`, `a.b[COND]`, `a.b[COND].c`; None for anything else."""
    match node:
        case Name(id=name):
            return Reference(parts=(name,))
        case MemberOf(base=base, name=name) if (inner := read_reference(base)) is not None:
            return Reference(parts=(*inner.parts, name), condition=inner.condition)
        case Filtered(base=base, condition=condition):
            inner = read_reference(base)
            if inner is None or inner.condition is not None:
                return None
            return Reference(parts=inner.parts, condition=condition)
        case _:
            return None


class PlanNames:
    """What a plan's metrics and figures are, by their names."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.derived = {figure.name: figure.value for figure in plan.derive}

    @cached_property
    def metrics(self) -> dict[str, dict[str, Metric]]:
        """The metrics by owner and name; those of an outstanding resource are its value and its
        count."""
        own = {name: _by_name(metrics) for name, metrics in metrics_by_owner(self.plan).items()}
        return own | {one.name: _by_name(_metrics_of(one)) for one in self.plan.outstanding}

    def is_outstanding(self, reference: MetricReference) -> bool:
        """Whether a number is of what is still open at the end, and not of events."""
        return any(one.name == reference.owner for one in self.plan.outstanding)

    def find_metric(self, reference: Reference) -> MetricReference | None:
        """The metric that a name means; None where it is none."""
        if len(reference.parts) not in (2, 3):
            return None
        owner, name, *rest = reference.parts
        metric = self.metrics.get(owner, {}).get(name)
        if metric is None:
            return None
        number = rest[0] if rest else "value"
        return MetricReference(
            owner=owner, metric=metric, number=number, condition=reference.condition
        )

    def list_metrics(self, node: SyntaxNode) -> Iterator[MetricReference]:
        """The metrics that an expression reads, also through derived figures."""
        for reference in self._list_references(node, frozenset()):
            if (found := self.find_metric(reference)) is not None:
                yield found

    def reads_workload(self, node: SyntaxNode) -> bool:
        """Whether an expression names a figure of the workload."""
        return any(
            reference.parts[0] == "workload" and "workload" not in self.metrics
            for reference in self._list_references(node, frozenset())
        )

    def reads_operations(self, node: SyntaxNode) -> bool:
        """Whether an expression names `ops`."""
        return any(ref.parts == ("ops",) for ref in self._list_references(node, frozenset()))

    def _list_references(self, node: SyntaxNode, within: frozenset[str]) -> Iterator[Reference]:
        reference = read_reference(node)
        if reference is None:
            for child in children(node):
                yield from self._list_references(child, within)
            return
        name = reference.parts[0]
        if len(reference.parts) == 1 and name in self.derived and name not in within:
            yield from self._list_references(self.derived[name].root, within | {name})
        elif name not in UNITS:
            yield reference

    def list_probes(self, owner: str) -> tuple[str, ...]:
        """The probe of this name, or the span or outstanding resource and all its probes."""
        for span in self.plan.spans:
            if span.name == owner:
                return (owner, *span.probes)
        for one in self.plan.outstanding:
            if one.name == owner:
                return (owner, *dict.fromkeys((*one.open, *one.close)))
        return (owner,)

    def list_read(self, node: SyntaxNode) -> tuple[str, ...]:
        """The probes and spans that an expression reads, in order of name."""
        owners = {reference.owner for reference in self.list_metrics(node)}
        return tuple(sorted({name for owner in owners for name in self.list_probes(owner)}))

    # -- times

    def is_time(self, reference: MetricReference) -> bool:
        """Whether a number measures time: that of a span or a call, or one with a unit of time."""
        metric = reference.metric
        if reference.counts or metric.value is None:
            return False
        if metric.unit in _TIME_UNITS:
            return True
        return _uses_time(metric.value, self._definitions(reference.owner))

    def names_time(self, node: SyntaxNode) -> bool:
        """Whether a value depends on how long something took."""
        references = list(self._list_references(node, frozenset()))
        of_workload = any(
            ref.parts[0] == "workload" and ref.parts[-1] in WORKLOAD_TIMES for ref in references
        )
        elapsed = any(ref.parts == ("elapsed",) for ref in references)
        return of_workload or elapsed or any(map(self.is_time, self.list_metrics(node)))

    def _definitions(self, owner: str) -> Definitions:
        found: Probe | Span
        for found in self.plan.probes:
            if found.name == owner:
                return probe_scope(self.plan, found).definitions
        for found in self.plan.spans:
            if found.name == owner:
                return span_scope(self.plan, found).definitions
        for resource in self.plan.outstanding:
            if resource.name == owner:
                return self._definitions(resource.open[0])
        return {}


def _by_name(metrics: Iterable[Metric]) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


def _metrics_of(resource: Outstanding) -> tuple[Metric, ...]:
    """What an expectation can name of an outstanding resource."""
    return (
        Metric(name="value", kind="sum", value=resource.value, by=resource.by),
        Metric(name="count", kind="count", value=None, by=resource.by),
    )


def _uses_time(expr: Expr, definitions: Definitions) -> bool:
    direct = set(names_in(expr))
    through = {used for name in direct for used in names_used_by(name, definitions)}
    return bool({"elapsed", "now"} & (direct | through))
