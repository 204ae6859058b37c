"""Metrics of probes and spans: one specification from all hooks that feed it."""

from collections.abc import Sequence

from orchestrator.compile.expressions.arithmetic import convert_node
from orchestrator.compile.expressions.nodes import Node
from orchestrator.compile.expressions.types import BOOL, S64, U64, Int, Type
from orchestrator.compile.layout import convert_to_type, lay_out_columns
from orchestrator.compile.program import MetricSpec, MetricUse
from orchestrator.compile.type_hook import MetricDraft
from orchestrator.plan.model import Metric

__all__ = ["convert_to_form", "make_metric_spec", "make_metric_use"]


def make_metric_spec(
    index: int, owner: str, metric: Metric, uses: Sequence[MetricDraft]
) -> MetricSpec:
    """The metric number `index`, of the probe or span `owner`. Raises PlanError where its hooks do
    not agree on a type."""
    names = [name for name in metric.by if name != "none"]
    key, size = lay_out_columns(names, [use.key for use in uses], metric.position)
    kind = _find_value_type(uses)
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
        unit=_find_unit(kind, metric),
        display=metric.unit,
        top=metric.top,
        position=metric.position,
    )


def make_metric_use(spec: MetricSpec, draft: MetricDraft) -> MetricUse:
    """How one hook feeds the metric: its expressions in the metric's forms."""
    key = tuple(
        convert_to_form(node, part.form) for node, part in zip(draft.key, spec.key, strict=True)
    )
    value = draft.value
    if value is not None:
        value = convert_node(convert_to_type(value, U64), S64 if spec.signed else U64)
    return MetricUse(metric=spec.index, key=key, value=value, where=draft.where)


def convert_to_form(node: Node, form: str) -> Node:
    """`node` converted to what lies in a record or key of that form."""
    if form == "bool":
        return convert_to_type(node, BOOL)
    if form[0] in "us" and form[1:].isdigit():
        return convert_to_type(node, Int(int(form[1:]), form[0] == "s"))
    return convert_to_type(node, node.type)


def _find_unit(kind: Int, metric: Metric) -> str:
    """The unit of the values: that of their type, or bytes where the plan's `unit` is a size, since
    sizes from the kernel are plain numbers."""
    if kind.unit == "" and metric.unit.endswith("B"):
        return "bytes"
    return {"duration": "ns", "bytes": "bytes", "": ""}[kind.unit]


def _find_value_type(uses: Sequence[MetricDraft]) -> Int:
    types: list[Type] = [use.value.type for use in uses if use.value is not None]
    if not types:
        return U64
    ints = [kind for kind in types if isinstance(kind, Int)]
    unit = ints[0].unit if len({kind.unit for kind in ints}) == 1 else ""
    return Int(64, any(kind.signed for kind in ints), unit)
