"""A plan that records what a failed expectation counts: the probes that it reads, with their own
records, the keys of its metrics and, where that is asked for, stacks. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from orchestrator.check.expectation.references import MetricReference, PlanNames
from orchestrator.plan.expression.parse import parse
from orchestrator.plan.expression.syntax import Expr
from orchestrator.plan.model import LimitSource, Metric, Plan, Probe, Rate, Span
from orchestrator.plan.naming.keys import key_expression
from orchestrator.values import dataclass

__all__ = ["MOST_LOOKED_AT", "OWN_PREFIX", "ExtraField", "counted_field", "key_field"]
__all__ += ["make_recording", "value_field"]

#: How many records of a repeat are looked at.
MOST_LOOKED_AT = 100_000
#: Of the names of fields that only the choice of records needs, or that stand for a key or a value.
OWN_PREFIX = "explained_"
_Maker = TypeVar("_Maker", Probe, Span)
_RATE = Rate(count=1_000_000, per_ns=1_000_000_000)


@dataclass(frozen=True, slots=True)
class ExtraField:
    """A field that the records of a probe get besides: its `name`, and its expression."""

    probe: str
    name: str
    text: str


def key_field(name: str) -> str:
    """The field with the value of a name in `by`."""
    return f"{OWN_PREFIX}key_{name.replace('.', '_')}"


def counted_field(metric: str) -> str:
    """The field that says whether a metric counts the event."""
    return f"{OWN_PREFIX}counted_{metric}"


def value_field(metric: str) -> str:
    """The field with the value that a metric adds up, or takes the extremes of."""
    return f"{OWN_PREFIX}value_{metric}"


def make_recording(
    plan: Plan,
    references: Iterable[MetricReference],
    *,
    extra: Sequence[ExtraField] = (),
    duration_ns: int,
    only_recorded: bool,
) -> Plan:
    """The plan with the probes and spans alone that `references` read, which record.
    `only_recorded`: the records are those of the plan; what makes none makes none here either."""
    metrics: dict[str, dict[str, Metric]] = {}
    for reference in references:
        metrics.setdefault(reference.owner, {})[reference.metric.name] = reference.metric
    names = PlanNames(plan)
    read = {name for owner in metrics for name in names.list_probes(owner)}
    added = {
        owner: {**_fields_of(own.values()), **_extra_of(owner, extra)}
        for owner, own in metrics.items()
    }
    sources: Mapping[str, LimitSource] = {**plan.limits_from, "duration": "command line"}
    return replace(
        plan,
        probes=tuple(
            _with_record(replace(probe, metrics=(), events=None, rate=None), added, only_recorded)
            for probe in plan.probes
            if probe.name in read
        ),
        spans=tuple(
            _with_record(replace(span, metrics=()), added, only_recorded)
            for span in plan.spans
            if span.name in metrics
        ),
        outstanding=(),
        derive=(),
        limits=replace(
            plan.limits,
            duration_ns=duration_ns,
            events=MOST_LOOKED_AT,
            rate=_RATE,
            at_cap="mute",
        ),
        limits_from=sources,
        every_ns=None,
        stop_when=None,
    )


def _with_record(
    maker: _Maker, added: Mapping[str, Mapping[str, Expr]], only_recorded: bool
) -> _Maker:
    """A probe or span that records if it is one of those that count."""
    fields = added.get(maker.name)
    if fields is None or (only_recorded and maker.emit is None):
        return replace(maker, emit=None)
    return replace(maker, emit={**fields, **(maker.emit or {})})


def _fields_of(metrics: Iterable[Metric]) -> dict[str, Expr]:
    fields: dict[str, Expr] = {}
    for metric in metrics:
        for name in metric.by:
            fields[key_field(name)] = key_expression(metric, name, metric.position)
        if metric.kind != "count" and metric.value is not None:
            fields[value_field(metric.name)] = metric.value
        if (counted := _join(metric)) is not None:
            fields[counted_field(metric.name)] = counted
    return fields


def _join(metric: Metric) -> Expr | None:
    """The condition under which a metric counts an event; None: it counts all."""
    counted = metric.value if metric.kind == "count" else None
    tests = [expr.text for expr in (metric.where, counted) if expr is not None]
    return parse(" and ".join(f"({text})" for text in tests), metric.position) if tests else None


def _extra_of(owner: str, extra: Sequence[ExtraField]) -> dict[str, Expr]:
    return {one.name: parse(one.text) for one in extra if one.probe == owner}
