"""Losses and limits are reported once, when they are noticed."""

import io
import json
from dataclasses import replace
from typing import Any, cast

import pytest

from orchestrator.accounting.count import UNKNOWN
from orchestrator.backends.protocol import Artifact, Counts
from orchestrator.kernel.facts import KernelFacts
from orchestrator.output.run_output import RunOutput
from orchestrator.output.sink import Sink
from orchestrator.plan.model import Limits, Rate
from orchestrator.run.report.notices import Notices
from tests.support.fake_backend import FakeBackend, FakeSession, Script, program

COMMON = {"run_id": "x", "plan": "fake-plan", "host": "h"}


class Reported:
    """Notices on a log in memory."""

    def __init__(self, limits: Limits | None = None, rate: Rate | None = None) -> None:
        made = program(limits)
        self.program = replace(made, probes=(replace(made.probes[0], rate=rate),))
        self.stream = io.BytesIO()
        self.output = RunOutput(Sink(self.stream), COMMON)
        self.output.flush()
        facts = cast("KernelFacts", None)  # the fake needs none
        artifact: Artifact[Any] = FakeBackend().emit(self.program, facts)
        self.notices = Notices(artifact, FakeSession(Script()).attached, self.output)

    def look(self, **script: Any) -> Any:
        return self.notices.look(counts(**script))

    def records(self, kind: str) -> list[dict[str, Any]]:
        lines = map(json.loads, self.stream.getvalue().splitlines())
        return [line for line in lines if line["event"] == kind]


def counts(**script: Any) -> Counts:
    return FakeSession(Script(**script)).counts()


def test_a_loss_is_reported_with_what_came_since_the_last_look() -> None:
    reported = Reported()
    assert reported.look() == 0
    assert [reported.look(ring_lost=lost) for lost in (3, 3, 10)] == [3, 3, 10]
    losses = reported.records("events.lost")
    assert [(one["probe"], one["reason"], one["lost"]) for one in losses] == [
        ("opens", "ring", 3),
        ("opens", "ring", 7),
    ]


def test_events_that_were_not_seen_are_reported_and_are_no_lost_records() -> None:
    reported = Reported()
    assert reported.look(kernel_missed=5) == 0
    [loss] = reported.records("events.lost")
    assert (loss["reason"], loss["lost"]) == ("missed", 5)


def test_an_unknown_loss_is_not_reported_and_makes_the_number_unknown() -> None:
    reported = Reported()
    unknown = replace(counts(), lost_unattributed=UNKNOWN)
    assert reported.notices.look(unknown) == UNKNOWN
    assert reported.records("events.lost") == []


@pytest.mark.parametrize(
    ("script", "limit", "action"),
    [({"over_cap": 2}, "events", "stop"), ({"rate_limited": 2}, "rate", "drop")],
)
def test_a_limit_is_reported_once(script: dict[str, int], limit: str, action: str) -> None:
    reported = Reported()
    reported.look()
    assert reported.notices.limits == []
    reported.look(**script)
    reported.look(**script)
    [record] = reported.records("limit.reached")
    [fields] = reported.notices.limits
    assert (record["limit"], record["action"], record["probe"]) == (limit, action, None)
    assert (record["enforced_by"], fields.items() <= record.items()) == ("kernel", True)


def test_a_rate_that_is_reached_has_its_period() -> None:
    reported = Reported()
    reported.look(rate_limited=2)
    [record] = reported.records("limit.reached")
    assert (record["value"], record["per_ns"]) == (1000, 1_000_000_000)


def test_a_rate_of_a_probe_that_is_reached_has_its_own_period() -> None:
    reported = Reported(rate=Rate(count=5, per_ns=60_000_000_000))
    reported.look(rate_limited=2)
    [record] = reported.records("limit.reached")
    assert (record["probe"], record["value"], record["per_ns"]) == ("opens", 5, 60_000_000_000)


def test_limits_with_different_actions_are_two() -> None:
    reported = Reported()
    reported.notices.report_limit("cpu", "detach")
    reported.notices.report_limit("cpu", "stop")
    reported.notices.report_limit("cpu", "stop")
    assert [one["action"] for one in reported.records("limit.reached")] == ["detach", "stop"]
