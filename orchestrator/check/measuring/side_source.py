"""Measures the times of all checks of an invocation as often as it takes to decide on them."""

from collections.abc import Callable, Collection, Mapping, Sequence

from orchestrator.check.measurement import join_measurements
from orchestrator.check.sides import CheckSides
from orchestrator.check.times.samples import TimeSamples
from orchestrator.check.verdict.time_gates import SideMeasurements, TimeGate, list_time_gates

__all__ = ["CheckGate", "SideSource"]

#: The number of a check, and one comparison of it.
CheckGate = tuple[int, TimeGate]


class SideSource:
    """The comparisons of several checks, as `decide_times` asks for them. `measure` measures both
    sides of a check; None where it could not, which it has reported."""

    def __init__(
        self,
        checks: Sequence[CheckSides],
        measure: Callable[[CheckSides], SideMeasurements | None],
        constants: Mapping[str, int],
    ) -> None:
        self._checks, self._measure, self._constants = checks, measure, constants
        self._trial: dict[int, SideMeasurements] = {}
        #: By the number of a check, all repeats of its first measurement, the one that is judged;
        #: None: it could not be measured.
        self.judged: dict[int, SideMeasurements | None] = {}

    def begin(self, gates: Collection[CheckGate] | None) -> Mapping[CheckGate, TimeSamples]:
        """A new measurement of all checks, or of those of these comparisons."""
        is_first = gates is None
        numbers = range(len(self._checks)) if gates is None else _numbers(gates)
        self._trial = {}
        for number in numbers:
            measured = self._measure(self._checks[number])
            if measured is not None:
                self._trial[number] = measured
            if is_first:
                self.judged[number] = measured
        return self._list_samples()

    def extend(self, gates: Collection[CheckGate]) -> Mapping[CheckGate, TimeSamples]:
        """As many repeats again of the checks of these comparisons."""
        for number in _numbers(gates):
            before, more = self._trial.pop(number), self._measure(self._checks[number])
            joined = None if more is None else _join(before, more)
            if self.judged[number] is before:
                self.judged[number] = joined
            if joined is not None:
                self._trial[number] = joined
        return self._list_samples()

    def _list_samples(self) -> dict[CheckGate, TimeSamples]:
        return {
            (number, gate): samples
            for number, measured in self._trial.items()
            for gate, samples in list_time_gates(
                self._checks[number], measured, self._constants
            ).items()
        }


def _numbers(gates: Collection[CheckGate]) -> list[int]:
    return sorted({number for number, _ in gates})


def _join(before: SideMeasurements, more: SideMeasurements) -> SideMeasurements:
    base, candidate = map(join_measurements, before, more)
    return base, candidate
