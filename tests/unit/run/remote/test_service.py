"""What a live run answers, and which requests it refuses."""

from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.run.remote import service as module
from orchestrator.run.remote.service import Service
from tests.support.fake_backend import FakeSession, Script, program


class Pauses:
    now = ("opens",)

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[str], int]] = []

    def pause(self, probes: list[str], uid: int) -> list[str]:
        self.calls.append(("pause", probes, uid))
        return ["opens"]

    def resume(self, probes: list[str], uid: int) -> list[str]:
        self.calls.append(("resume", probes, uid))
        return []


class Stream:
    """Three records are still to be read."""

    delivered = 5

    def __init__(self) -> None:
        self.left = 3

    def read_all(self) -> int:
        count, self.left = self.left, 0
        return count


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(module, "_LATE_S", 0)
    return SimpleNamespace(
        session=FakeSession(Script()),
        stream=Stream(),
        notices=SimpleNamespace(look=lambda _counts: "unknown"),
        pauses=Pauses(),
        governor=SimpleNamespace(cost=None, dropped=[], current_sample=lambda _probe: 4),
    )


def service(parts: Any) -> Service:
    return Service(
        parts.session, program(), parts.stream, parts.notices, parts.pauses, parts.governor
    )


def test_the_status_has_each_probe_and_what_is_unknown(parts: Any) -> None:
    answer = service(parts).serve({"do": "status"}, 0)
    assert (answer["delivered"], answer["lost"], answer["cost"]) == (5, "unknown", "unknown")
    [probe] = answer["probes"]
    assert (probe["probe"], probe["paused"], probe["detached"]) == ("opens", True, False)
    assert (probe["sample"], probe["recorded"]) == (4, 0)
    [attached] = probe["attached"]
    assert attached == {
        "to": "tracepoint:fake:open",
        "mechanism": "fake",
        "target": "open",
        "detail": "",
    }


def test_everything_is_read_before_a_probe_is_resumed(parts: Any) -> None:
    """Calls that began before the pause must not be paired with later returns."""
    assert service(parts).serve({"do": "resume", "probes": ["opens"]}, 7) == {"resumed": []}
    assert parts.stream.left == 0
    assert parts.pauses.calls == [("resume", ["opens"], 7)]


def test_pause_without_probes_is_of_all(parts: Any) -> None:
    for request in (
        {"do": "pause"},
        {"do": "pause", "probes": None},
        {"do": "pause", "probes": []},
    ):
        assert service(parts).serve(request, 7) == {"paused": ["opens"]}
    assert parts.pauses.calls == [("pause", [], 7)] * 3
    assert parts.stream.left == 3


@pytest.mark.parametrize(
    "request_",
    [{"do": "pause", "probes": "opens"}, {"do": "pause", "probes": [1]}, {"do": "explode"}, {}],
)
def test_what_is_not_understood_is_refused(parts: Any, request_: dict[str, Any]) -> None:
    assert list(service(parts).serve(request_, 0)) == ["error"]
    assert parts.pauses.calls == []
