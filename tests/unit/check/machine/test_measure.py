"""Which runs of a stored machine a measurement is made of; without a machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.check.machine import measure
from orchestrator.check.machine.answer import write_error, write_measurement
from orchestrator.check.measurement import Environment, Measurement, WorkloadTrouble
from orchestrator.check.model import MachineSpec, Workload
from orchestrator.lab.errors import LabError
from orchestrator.lab.image.file_tree import FileTree
from orchestrator.plan.findings import Finding, HostError

ENVIRONMENT = Environment(
    arch="x86_64", kernel="6.1", cpu="", cpus=1, libc="", probeplan="1", backend="bcc", commit=""
)
GOOD = Measurement(repeats=(), probes={}, metrics={}, environment=ENVIRONMENT)
FAILED = Measurement(
    repeats=(),
    probes={},
    metrics={},
    environment=ENVIRONMENT,
    trouble=WorkloadTrouble(stage="run", message="it fails"),
)


class Played:
    """A stand-in for a stored machine."""

    def __init__(self, *, early: bytes | None = None, later: bytes = b"") -> None:
        self.early = None if early is None else SimpleNamespace(result=early)
        self._later = later
        self.seeds: list[int] = []
        self.is_stored = False

    def go_on(self, seed: int, _limit_s: float, _is_cancelled: object) -> Any:
        self.seeds.append(seed)
        return SimpleNamespace(result=self._later)

    @contextmanager
    def store(self, *_: object) -> Iterator["Played"]:
        self.is_stored = True
        try:
            yield self
        finally:
            self.is_stored = False


def run(monkeypatch: pytest.MonkeyPatch, played: Played) -> Measurement:
    monkeypatch.setattr(measure, "store_machine", played.store)
    monkeypatch.setattr(measure, "_make_tree", lambda *_: FileTree())
    monkeypatch.setattr(measure, "find_commit", lambda _: "")
    check = SimpleNamespace(workload=Workload(run=("x",)), here=None)
    machine: Any = SimpleNamespace(
        check=check, spec=MachineSpec(kernel="k", seeds=3), settings=None, key="key"
    )
    signals: Any = SimpleNamespace(received=None)
    return measure.measure_in_machine(machine, signals, environment={})


def test_each_seed_goes_on_from_one_stored_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(later=write_measurement(GOOD))
    assert run(monkeypatch, played).trouble is None
    assert played.seeds == [1, 2, 3]
    assert not played.is_stored


def test_a_workload_that_fails_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(later=write_measurement(FAILED))
    assert run(monkeypatch, played).trouble is not None
    assert played.seeds == [1]
    assert not played.is_stored


def test_a_warmup_that_fails_is_the_whole_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(early=write_measurement(FAILED))
    assert run(monkeypatch, played).trouble is not None
    assert played.seeds == []


def test_nothing_is_stored_any_more_once_an_error_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    error = HostError([Finding(code="PP096", message="cannot be attached")])
    played = Played(early=write_error(error))
    with pytest.raises(HostError, match="cannot be attached"):
        run(monkeypatch, played)
    assert not played.is_stored


def test_a_machine_that_cannot_be_stored_is_an_error_at_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played = Played()

    def refuse(*_: object) -> None:
        raise LabError("no room")

    monkeypatch.setattr(played, "store", refuse)
    with pytest.raises(HostError, match="the machine: no room") as raised:
        run(monkeypatch, played)
    assert raised.value.findings[0].code == "PP096"
