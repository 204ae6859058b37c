"""Pausing: names, times, and a record for each change."""

from typing import Any

import pytest

from orchestrator.plan.findings import HostError, PlanError, of_command_line
from orchestrator.run.remote import pausing
from orchestrator.run.remote.pausing import Pauses
from tests.support.fake_backend import program


class Session:
    """Which probes were paused and resumed, by index."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[int]]] = []

    def pause(self, probes: list[int]) -> None:
        self.calls.append(("pause", probes))

    def resume(self, probes: list[int]) -> None:
        self.calls.append(("resume", probes))


class Output:
    def __init__(self) -> None:
        self.records: list[tuple[str, dict[str, Any]]] = []

    def write_record(self, event: str, _level: str = "info", **fields: Any) -> None:
        self.records.append((event, fields))


class Clock:
    now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(pausing, "time", made)
    return made


def made() -> tuple[Pauses, Session, Output]:
    session, output = Session(), Output()
    return Pauses(session, program(), output), session, output  # type: ignore[arg-type]  # fakes


def test_a_probe_is_paused_once_and_resumed_once(clock: Clock) -> None:
    pauses, session, output = made()
    assert pauses.pause(["opens"], uid=7) == ["opens"]
    assert pauses.pause(["opens"], uid=7) == []
    assert pauses.now == ("opens",)
    clock.now_ns = 30
    assert pauses.resume([], uid=8) == ["opens"]
    assert pauses.resume([], uid=8) == []
    assert session.calls == [("pause", [0]), ("resume", [0])]
    assert output.records == [
        ("probe.paused", {"probe": "opens", "uid": 7}),
        ("probe.resumed", {"probe": "opens", "uid": 8, "paused_ns": 30}),
    ]


def test_times_add_up_and_a_pause_that_goes_on_counts(clock: Clock) -> None:
    pauses, _, _ = made()
    assert pauses.totals(100) == {}
    pauses.pause([], uid=0)
    clock.now_ns = 10
    pauses.resume([], uid=0)
    clock.now_ns = 50
    pauses.pause([], uid=0)
    assert pauses.totals(57) == {"opens": 17}
    assert pauses.totals(40) == {"opens": 10}  # the probes were disarmed before the second pause


def test_an_unknown_name_changes_nothing(clock: Clock) -> None:
    pauses, session, _ = made()
    with pytest.raises(PlanError, match=r"no probe 'x'(?s:.*)its probes are opens"):
        pauses.pause(["opens", "x"], uid=0)
    assert (session.calls, pauses.now) == ([], ())


def test_a_probe_that_cannot_be_paused_is_not_paused(clock: Clock) -> None:
    pauses, session, output = made()

    def refuse(_probes: list[int]) -> None:
        raise HostError([of_command_line("it cannot be switched")])

    session.pause = refuse  # type: ignore[method-assign, assignment]
    with pytest.raises(HostError):
        pauses.pause(["opens"], uid=0)
    assert (pauses.now, output.records) == ((), [])
