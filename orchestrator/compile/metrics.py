"""Metrics of probes and spans: one specification from all the hooks that feed it."""

from collections.abc import Sequence

from orchestrator.compile.expressions.arithmetic import converted
from orchestrator.compile.expressions.nodes import Node
from orchestrator.compile.expressions.types import BOOL, S64, U64, Int, Type
from orchestrator.compile.layout import brought_to, lay_out_key, presentation, unified
from orchestrator.compile.program import MetricSpec, MetricUse
from orchestrator.compile.type_hook import MetricDraft
from orchestrator.plan.model import Metric

__all__ = ["in_form", "metric_spec", "metric_use"]


def metric_spec(index: int, owner: str, metric: Metric, uses: Sequence[MetricDraft]) -> MetricSpec:
    """The metric number `index`, of the probe or span `owner`. Raises PlanError where its hooks do
    not agree on a type."""
    names = [name for name in metric.by if name != "none"]
    parts = [
        (
            name,
            unified([use.key[i].type for use in uses], name, metric.position),
            presentation([use.key[i] for use in uses]),
        )
        for i, name in enumerate(names)
    ]
    key, size = lay_out_key(parts, metric.position)
    kind = _value_type(uses)
    return MetricSpec(
        index=index,
        probe=owner,
        name=metric.name,
        kind=metric.kind,
        key=key,
        key_size=size,
        keys=metric.keys,
        buckets=metric.buckets,
        signed=kind.signed,
        unit=_unit(kind, metric),
        display=metric.unit,
        top=metric.top,
    )


def metric_use(spec: MetricSpec, draft: MetricDraft) -> MetricUse:
    """How one hook feeds the metric: its expressions in the metric's forms."""
    key = tuple(in_form(node, part.form) for node, part in zip(draft.key, spec.key, strict=True))
    value = draft.value
    if value is not None:
        value = converted(brought_to(value, U64), S64 if spec.signed else U64)
    return MetricUse(metric=spec.index, key=key, value=value, where=draft.where)


def in_form(node: Node, form: str) -> Node:
    """`node` converted to what lies in a record or key of that form."""
    if form == "bool":
        return brought_to(node, BOOL)
    if form[0] in "us" and form[1:].isdigit():
        return brought_to(node, Int(int(form[1:]), form[0] == "s"))
    return brought_to(node, node.type)


def _unit(kind: Int, metric: Metric) -> str:
    """What the values count: as their type says, or sizes where only the plan's `unit` does, since
    a size that the kernel gives is a plain number."""
    if kind.unit == "" and metric.unit.endswith("B"):
        return "bytes"
    return {"duration": "ns", "bytes": "bytes", "": ""}[kind.unit]


def _value_type(uses: Sequence[MetricDraft]) -> Int:
    types: list[Type] = [use.value.type for use in uses if use.value is not None]
    if not types:
        return U64
    ints = [kind for kind in types if isinstance(kind, Int)]
    unit = ints[0].unit if len({kind.unit for kind in ints}) == 1 else ""
    return Int(64, any(kind.signed for kind in ints), unit)
