"""The fields of result.json, as schema/result-v1.schema.json has them. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from orchestrator.compile.program import MetricSpec, Program
from orchestrator.output.log import RecordFields
from orchestrator.output.metrics import describe_layout
from orchestrator.plan.model import LeftOut, Plan, Target
from orchestrator.run.report.records import limit_values

__all__ = ["RESULT_FORMAT", "metric_to_keep", "settings_fields"]

#: The first field of every result; readers refuse what they do not know.
RESULT_FORMAT = "probeplan-result/1"


def settings_fields(plan: Plan, program: Program | Plan, command: Sequence[str]) -> RecordFields:
    """What a run was made with apart from its plan's text. Counts of runs with the same text and
    the same settings can be added; `limits` are those in force, after the policies. `program`: what
    has them; of a run that was not made, its plan."""
    limits = {**limit_values(program.limits), "at_cap": {"value": program.limits.at_cap}}
    return {
        "params": {name: param.value for name, param in plan.params.items()},
        "target": _target_settings(plan.target),
        "limits": limits,
        "command": list(command) or None,
        "every_ns": program.every_ns,
    }


def _target_settings(target: Target) -> dict[str, Any]:
    """The keys of the target that differ from the language's defaults, as in the plan."""
    left_out = _changed_fields(target.left_out, LeftOut())
    return _changed_fields(target, Target()) | ({"not": left_out} if left_out else {})


def _changed_fields(target: Target | LeftOut, usual: Target | LeftOut) -> dict[str, Any]:
    names = [field.name for field in fields(target) if field.name not in ("position", "left_out")]
    values = {name: getattr(target, name) for name in names}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value != getattr(usual, name)
    }


def metric_to_keep(
    spec: MetricSpec, record: Mapping[str, Any], resampled: Collection[str], starts: Iterable[str]
) -> RecordFields:
    """A metric of the result: its record with all cells, and what it takes to add it to those of
    other hosts. `resampled`: the probes whose sampling was lowered; `starts`: those that start the
    span whose metric it is."""
    lowered = not {spec.probe, *starts}.isdisjoint(resampled)
    return {
        **record,
        "layout": describe_layout(spec),
        "hashed": [
            part.name for part in spec.key if part.presentation and part.presentation.hashed
        ],
        "estimated": record["sample"] != 1 or lowered,
    }
