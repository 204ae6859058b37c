"""What a witness saw and the program next to it did not, from their counters and the kernel's."""

from collections.abc import Iterator

import pytest

from orchestrator.backends.bcc.counts.reading import LedgerReader
from orchestrator.backends.bcc.counts.witnesses import Witnesses
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.handles.attachment import AttachedSide, Attachment
from orchestrator.kernel.abi import bpf
from orchestrator.kernel.abi.bpf import ProgramStatistics
from tests.support.bcc_maps import fake_maps, recorded_program

PLAN = "probes: {p: {attach: 'tracepoint:kmem:kmalloc', metrics: {n: {sum: args.bytes_req}}}}"
Reading = tuple[int, int, int]  # happened, entered, expired


class Readings(LedgerReader):
    """A ledger of one element, which is different at each look; the last reading stays."""

    def __init__(self, *readings: Reading) -> None:
        self.layout, _ = fake_maps(recorded_program(PLAN))
        self._readings: Iterator[Reading] = iter(readings)
        self._last = (0, 0, 0)

    def read_element(self, index: int) -> list[list[int]]:
        assert index == 0
        self._last = next(self._readings, self._last)
        words = [0] * len(layout.LEDGER_WORDS)
        for name, count in zip(("happened", "entered", "expired"), self._last, strict=True):
            words[layout.LEDGER_WORDS.index(name)] = count
        return [words]


@pytest.fixture
def passed_over(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """How often the kernel says that the witness was skipped."""
    said: list[int | None] = [0]

    def report(_fd: int) -> ProgramStatistics:
        return ProgramStatistics(run_time_ns=None, run_count=None, recursion_misses=said[0])

    monkeypatch.setattr(bpf, "program_statistics", report)
    return said


def sides(readings: Readings) -> list[AttachedSide]:
    attachment = Attachment(mechanism="perf tracepoint", place="x")
    side = readings.layout.sides[0]
    return [AttachedSide(side=side, program=9, attachment=attachment, witness=8, witnessed_in=0)]


def missed(readings: Readings) -> dict[int, int]:
    witnesses, attached = Witnesses(readings), sides(readings)
    witnesses.start(attached)
    return dict(witnesses.count_missed(attached))


def test_what_the_witness_alone_saw_is_missed(passed_over: list[int | None]) -> None:
    """Armed or not: an event after the deadline is expired, and no miss."""
    assert missed(Readings((0, 0, 0), (50, 40, 7))) == {0: 3}


def test_what_happened_before_the_program_was_attached_is_no_miss(
    passed_over: list[int | None],
) -> None:
    before = [(5, 0, 2)] * 16
    assert missed(Readings(*before, (20, 15, 2))) == {0: 0}


def test_an_event_between_the_two_programs_is_no_miss(passed_over: list[int | None]) -> None:
    """At the next look the program has run too; what is missed stays so."""
    assert missed(Readings((0, 0, 0), (11, 10, 0), (12, 12, 0))) == {0: 0}
    assert missed(Readings((0, 0, 0), (14, 10, 0), (15, 12, 0), (16, 13, 0))) == {0: 3}


def test_what_the_witness_was_kept_from_happened_too(passed_over: list[int | None]) -> None:
    """Kernels without that counter keep it from nothing."""
    readings = Readings((0, 0, 0), (10, 12, 0))
    witnesses, attached = Witnesses(readings), sides(readings)
    witnesses.start(attached)
    passed_over[0] = 2
    assert witnesses.count_missed(attached) == {0: 0}
    passed_over[0] = None
    assert witnesses.count_missed(attached) == {0: 0}


def test_a_side_without_a_witness_has_no_answer(passed_over: list[int | None]) -> None:
    readings = Readings((0, 0, 0))
    attachment = Attachment(mechanism="fentry", place="x")
    alone = [AttachedSide(side=readings.layout.sides[0], program=9, attachment=attachment)]
    assert Witnesses(readings).count_missed(alone) == {}
