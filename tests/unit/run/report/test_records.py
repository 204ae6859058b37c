"""The fields of lifecycle records that say what a limit is and who enforces it."""

from typing import Any, cast

import pytest

from orchestrator.backends.protocol import Artifact, AttachedHook, SkippedHook
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.model import Limits
from orchestrator.run.report.records import (
    attached_fields,
    limit_fields,
    limits_in_force,
    skipped_hook_fields,
)
from tests.support.fake_backend import FakeBackend, program


def artifact(limits: Limits | None = None) -> Artifact[Any]:
    return FakeBackend().emit(program(limits), cast("KernelFacts", None))  # the fake needs none


def test_a_limit_that_the_backend_does_not_mention_is_enforced_by_user_space() -> None:
    limits = limits_in_force(artifact())
    by = {name: fields["enforced_by"] for name, fields in limits.items()}
    in_kernel = {"duration", "events", "rate"}
    assert {name for name, where in by.items() if where == "kernel"} == in_kernel
    assert set(by.values()) == {"kernel", "user"}


def test_a_run_without_a_duration_is_unlimited() -> None:
    assert limits_in_force(artifact(Limits(duration_ns=None)))["duration"]["value"] == "unlimited"


def test_a_limit_that_was_reached_is_the_plan_s_or_a_probe_s() -> None:
    in_force = limits_in_force(artifact(Limits(events=1000)))
    plans = limit_fields("events", in_force, "stop")
    own = limit_fields("events", in_force, "mute", ("opens", {"value": 7}))
    assert (plans["probe"], plans["value"], plans["enforced_by"]) == (None, 1000, "kernel")
    assert (own["probe"], own["value"], own["action"]) == ("opens", 7, "mute")
    assert "per_ns" not in plans


def test_attached_and_skipped_hooks_are_named_as_in_the_plan() -> None:
    attached = attached_fields(program(sample=10), AttachedHook(hook=0, mechanism="m", target="t"))
    assert attached == {
        "probe": "opens", "to": "tracepoint:fake:open", "mechanism": "m", "target": "t",
        "detail": "", "sample": 10,
    }  # fmt: skip
    skipped = skipped_hook_fields(program(), SkippedHook(hook=0, reason="no such event"))
    assert skipped["reason"] == "no such event"
    with pytest.raises(ValueError, match="no hook 5"):
        skipped_hook_fields(program(), SkippedHook(hook=5, reason=""))
