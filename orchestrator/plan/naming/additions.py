"""What the command line adds to a plan: a key to each of its metrics, a field to its records."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.expression.names import OF_TASK
from orchestrator.plan.expression.parse import parse
from orchestrator.plan.expression.syntax import Expr
from orchestrator.plan.findings import Position
from orchestrator.plan.model import Metric, Outstanding, Plan, Probe, Span
from orchestrator.plan.nearest import suggest_name

__all__ = ["ADDED_KEYS", "ENRICHMENTS", "add_to_plan"]

#: What `--by` takes: builtins that every probe of a task has.
ADDED_KEYS = ("container", "cgroup", "comm", "pid", "tid", "uid", "gid", "ppid", "cpu", "func")
#: What `--enrich` takes, and the builtin that becomes a field of records.
ENRICHMENTS: Mapping[str, str] = {"containers": "container"}
#: At which of a span's probes a task is looked for. What a via says may be missing, and an event
#: with a missing key would not be counted.
_ROLES = ("start", "end")

_Counting = TypeVar("_Counting", Probe, Span, Outstanding)


def add_to_plan(plan: Plan, additions: Mapping[str, str], collector: FindingCollector) -> Plan:
    """The plan with what the options `by` and `enrich` name, each one name or several with commas;
    findings (PP067) go to `collector`, with the option as their place."""
    for key in _read_names("by", additions, ADDED_KEYS, collector):
        plan = _KeyAdder(plan, key, collector).add_key()
    for name in _read_names("enrich", additions, tuple(ENRICHMENTS), collector):
        plan = _FieldAdder(plan, ENRICHMENTS[name], collector).add_field(name)
    return plan


def _read_names(
    option: str, additions: Mapping[str, str], known: Sequence[str], collector: FindingCollector
) -> list[str]:
    names = additions[option].split(",") if option in additions else []
    for name in names:
        if name not in known:
            hint = suggest_name(name, known, f"one of {', '.join(known)}")
            place = Position(file=f"--{option} {name[:40]}")
            collector.add("PP067", f"{name[:40]!r} cannot be added", place, hint)
    return [name for name in dict.fromkeys(names) if name in known]


class _Adder:
    """Where in one plan the builtin `name` is known."""

    def __init__(self, plan: Plan, name: str, collector: FindingCollector) -> None:
        self.plan, self.name, self.collector = plan, name, collector
        self._probes = {probe.name: probe for probe in plan.probes}

    def is_known_at(self, probes: Sequence[str]) -> bool:
        """Whether events of all these probes have it."""
        known = [self._probes[probe] for probe in probes if probe in self._probes]
        return self.name not in OF_TASK or (bool(known) and all(map(_has_task, known)))

    def find_in_span(self, span: Span) -> str:
        """What the span calls it; "" where no task is known at its start and its end."""
        roles = (role for role in _ROLES if self.is_known_at(getattr(span, role)))
        return next((f"{role}.{self.name}" for role in roles), "")


class _KeyAdder(_Adder):
    """Adds a builtin to the key of every metric of a plan."""

    @property
    def place(self) -> Position:
        """The place of findings."""
        return Position(file=f"--by {self.name}")

    def add_key(self) -> Plan:
        """The plan with the key, but for what has no task, which is reported."""
        plan = self.plan
        counts = any(probe.metrics for probe in plan.probes) or any(
            span.metrics for span in plan.spans
        )
        if not counts and not plan.outstanding:
            hint = "this plan makes records: --enrich containers adds to them"
            self.collector.add("PP067", "the plan has no metrics to count by it", self.place, hint)
        return replace(
            plan,
            probes=tuple(self._add_to_probe(one) if one.metrics else one for one in plan.probes),
            spans=tuple(self._add_to_span(one) if one.metrics else one for one in plan.spans),
            outstanding=tuple(map(self._add_to_resource, plan.outstanding)),
        )

    def _add_to_probe(self, probe: Probe) -> Probe:
        if not self.is_known_at([probe.name]):
            return self._refuse(probe, f"the probe {probe.name!r} has")
        return replace(
            probe, metrics=tuple(self._add_to_metric(one, self.name) for one in probe.metrics)
        )

    def _add_to_span(self, span: Span) -> Span:
        name = self.find_in_span(span)
        if not name:
            return self._refuse(span, f"probes at the start and the end of {span.name!r} have")
        return replace(span, metrics=tuple(self._add_to_metric(one, name) for one in span.metrics))

    def _add_to_resource(self, resource: Outstanding) -> Outstanding:
        if not self.is_known_at(resource.open):
            return self._refuse(resource, f"probes that open {resource.name!r} have")
        if self.name in resource.by:
            return resource
        return replace(resource, by=(*resource.by, self.name))

    def _add_to_metric(self, metric: Metric, name: str) -> Metric:
        """Under the same label wherever it is from, so that results can be compared."""
        if self.name in metric.by or name in metric.by:
            return metric
        computed = {} if name == self.name else {self.name: parse(name, self.place)}
        return replace(metric, by=(*metric.by, self.name), computed={**metric.computed, **computed})

    def _refuse(self, one: _Counting, who: str) -> _Counting:
        place = one.position
        message = f"{who} `task: none` ({place.file}:{place.line}): no {self.name} is known there"
        hint = "a copy of the plan without these metrics can be counted by it"
        self.collector.add("PP067", message, self.place, hint)
        return one


class _FieldAdder(_Adder):
    """Adds a builtin to all records of a plan whose task is known."""

    def add_field(self, option: str) -> Plan:
        """The plan with the field, which `--enrich` calls `option`."""
        plan, place = self.plan, Position(file=f"--enrich {option}")
        probes = tuple(
            replace(probe, emit=self._add_to(probe.emit, self.name, place))
            if probe.emit is not None and self.is_known_at([probe.name])
            else probe
            for probe in plan.probes
        )
        spans = tuple(
            replace(span, emit=self._add_to(span.emit, name, place))
            if span.emit is not None and (name := self.find_in_span(span))
            else span
            for span in plan.spans
        )
        emits = [*(probe.emit for probe in probes), *(span.emit for span in spans)]
        if not any(self.name in (emit or ()) for emit in emits):
            message = "the plan has no records of tasks to add it to"
            hint = "its metrics can be counted by it: --by container"
            self.collector.add("PP067", message, place, hint)
        return replace(plan, probes=probes, spans=spans)

    def _add_to(self, emit: Mapping[str, Expr], name: str, place: Position) -> Mapping[str, Expr]:
        """A field that the plan calls so stays the plan's."""
        return {**emit, self.name: emit.get(self.name) or parse(name, place)}


def _has_task(probe: Probe) -> bool:
    tasks = (probe.task if item.task is None else item.task for item in probe.items)
    return probe.task != "none" and "none" not in tasks
