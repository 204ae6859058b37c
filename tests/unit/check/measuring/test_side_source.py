"""Checks are measured as often as their times ask for, and judged on their first measurement."""

from orchestrator.check.measuring.side_source import SideSource
from orchestrator.check.sides import CheckSides
from orchestrator.check.times.looks import decide_times
from orchestrator.check.verdict.time_gates import SideMeasurements
from tests.support.sides import Pair, measure_pair, two_sides

WALL = "workload.wall <= 1.1 * baseline"
BASE = [1000 + n for n in range(20)]
SLOW = [1500 + n for n in range(20)]
NOISY = [int(10 * 1.3**n) for n in range(20)]


class Machine:
    """Measures checks: the next of the prepared measurements of each; None: it fails."""

    def __init__(self, *checks: tuple[CheckSides, list[Pair | None]]) -> None:
        self.prepared = [list(pairs) for _, pairs in checks]
        self.sides = [sides for sides, _ in checks]
        self.asked: list[int] = []

    def measure(self, sides: CheckSides) -> SideMeasurements | None:
        number = next(n for n, one in enumerate(self.sides) if one is sides)
        self.asked.append(number)
        return self.prepared[number].pop(0)

    def run(self) -> tuple[SideSource, list[bool]]:
        source = SideSource(self.sides, self.measure, {})
        outcomes = decide_times(source)
        return source, [
            any(outcome.is_worse for (owner, _), outcome in outcomes.items() if owner == number)
            for number in range(len(self.sides))
        ]


def test_only_what_fails_is_measured_again_and_the_first_measurement_is_judged() -> None:
    same, slow, counted = two_sides(WALL), two_sides(WALL), two_sides("write.calls <= baseline")
    first = measure_pair(slow, BASE, SLOW)
    machine = Machine(
        (same, [measure_pair(same, BASE, BASE)]),
        (slow, [first, measure_pair(slow, BASE, SLOW)]),
        (counted, [measure_pair(counted, BASE, SLOW)]),
    )
    source, worse = machine.run()
    assert machine.asked == [0, 1, 2, 1]
    assert worse == [False, True, False]
    assert source.judged[1] is first


def test_a_second_look_is_at_the_repeats_of_both_measurements() -> None:
    noisy = two_sides(WALL)
    pairs = [measure_pair(noisy, NOISY, NOISY), measure_pair(noisy, BASE, BASE)]
    source, worse = Machine((noisy, [*pairs])).run()
    assert worse == [False]
    judged = source.judged[0]
    assert judged is not None
    for side, part in zip(judged, range(2), strict=True):
        assert side.repeats == (*pairs[0][part].repeats, *pairs[1][part].repeats)


def test_the_second_measurement_of_a_failure_may_take_two_looks() -> None:
    sides = two_sides(WALL)
    slow, noisy = measure_pair(sides, BASE, SLOW), measure_pair(sides, NOISY, NOISY)
    machine = Machine((sides, [slow, noisy, slow]))
    source, worse = machine.run()
    assert (machine.asked, worse) == ([0, 0, 0], [False])
    assert source.judged[0] is slow


def test_a_check_that_cannot_be_measured_leaves_the_others_alone() -> None:
    broken, slow = two_sides(WALL), two_sides(WALL)
    pair = measure_pair(slow, BASE, SLOW)
    source, worse = Machine((broken, [None]), (slow, [pair, pair])).run()
    assert (source.judged[0], worse) == (None, [False, True])


def test_a_check_that_cannot_be_measured_longer_is_not_judged() -> None:
    noisy = two_sides(WALL)
    source, _ = Machine((noisy, [measure_pair(noisy, NOISY, NOISY), None])).run()
    assert source.judged[0] is None
