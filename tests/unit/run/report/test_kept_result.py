"""What result.json has in addition to the log: settings, and metrics that can be added."""

from dataclasses import replace
from typing import Any

from orchestrator.compile.program import KeyField, Presentation
from orchestrator.plan.load import load_plan
from orchestrator.plan.model import Limits
from orchestrator.run.report.kept_result import metric_to_keep, settings_fields
from tests.support.fake_backend import program

PLAN = b"""apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: p, summary: for tests}
params: {least: {type: int, default: 3}, path: {type: string, default: a}}
probes: {p: {attach: 'syscall:read', metrics: {calls: {count: true}}}}
"""


def settings(**overrides: dict[str, str]) -> dict[str, Any]:
    return settings_fields(load_plan(PLAN, **overrides), program(), ())


def test_settings_differ_where_counts_cannot_be_added() -> None:
    assert settings()["params"] == {"least": 3, "path": "a"}
    assert settings(settings={"least": "4"})["params"]["least"] == 4
    assert settings()["target"] == {}
    assert settings(target={"comm": "nginx"})["target"] == {"comm": ["nginx"]}
    lowered = settings_fields(load_plan(PLAN), program(Limits(events=7, at_cap="mute")), ("a", "b"))
    assert lowered["limits"]["events"] == {"value": 7}
    assert lowered["limits"]["at_cap"] == {"value": "mute"}
    assert lowered["command"] == ["a", "b"]


def test_hashed_parts_of_a_key_are_named() -> None:
    """So that digests of two runs, whose salts differ, are not taken for the same or for two
    values."""
    [spec] = program().metrics
    hashed = KeyField(
        name="file", form="string", offset=0, size=16, presentation=Presentation(hashed=True)
    )
    record = {"sample": 1}
    assert metric_to_keep(spec, record, (), ())["hashed"] == []
    assert metric_to_keep(replace(spec, key=(hashed,)), record, (), ())["hashed"] == ["file"]


def test_numbers_are_estimates_where_not_every_event_was_counted() -> None:
    """By the plan, or because limits.cpu lowered the sampling of the probe or of the one that
    starts the span."""
    [spec] = program().metrics
    assert not metric_to_keep(spec, {"sample": 1}, (), ())["estimated"]
    assert metric_to_keep(spec, {"sample": 10}, (), ())["estimated"]
    assert metric_to_keep(spec, {"sample": 1}, ("opens",), ())["estimated"]
    assert not metric_to_keep(spec, {"sample": 1}, ("other",), ("more",))["estimated"]
    assert metric_to_keep(spec, {"sample": 1}, ("other",), ("other",))["estimated"]
