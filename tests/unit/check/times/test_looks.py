"""The rule for times, on planted series: what fails, what never does, and why it is repeatable."""

import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

import pytest

from orchestrator.check.times import looks
from orchestrator.check.times.holm import adjust_p_values
from orchestrator.check.times.looks import decide_times
from orchestrator.check.times.rank_test import find_least_p, find_p
from orchestrator.check.times.samples import TimeSamples, measure_noise

REPEATS = 20
TEN_PERCENT = Fraction(11, 10)


def draw_drifting(seed: int) -> Iterator[float]:
    """Times in ns on a machine that does other work too: bursts that last for some of the repeats,
    a slow drift of a third, and now and then a repeat that takes three times as long."""
    rng = random.Random(seed)  # noqa: S311  # no secret
    level, left = 0.0, rng.randrange(40)
    for turn in range(100_000):
        if not left:
            level, left = rng.uniform(0, 0.7), rng.randrange(30, 90)
        left -= 1
        drift = 0.3 * ((turn + 37 * seed) % 400) / 400
        outlier = 2.0 if rng.random() < 0.04 else 0.0
        yield 571_000 * (1 + level + drift + outlier) * rng.lognormvariate(0, 0.06)


class Planted:
    """A source of comparisons in which B takes `factors` times as long as A, each from its own
    series, in turns ABBA or, `interleaved` off, first all of A."""

    def __init__(self, seed: int, *factors: float, interleaved: bool = True) -> None:
        self.series = [draw_drifting(1000 * seed + n) for n in range(len(factors))]
        self.factors, self.interleaved = factors, interleaved
        self.pooled: dict[int, TimeSamples] = {}
        self.asked: list[tuple[str, tuple[int, ...]]] = []

    def begin(self, gates: Collection[int] | None) -> Mapping[int, TimeSamples]:
        chosen = range(len(self.factors)) if gates is None else gates
        self.asked.append(("begin", tuple(sorted(chosen))))
        self.pooled = {gate: self._measure(gate) for gate in chosen}
        return self.pooled

    def extend(self, gates: Collection[int]) -> Mapping[int, TimeSamples]:
        self.asked.append(("extend", tuple(sorted(gates))))
        for gate in gates:
            old, new = self.pooled[gate], self._measure(gate)
            self.pooled[gate] = sample(
                [*old.base, *new.base], [*old.candidate, *new.candidate], new.is_upper
            )
        return self.pooled

    def _measure(self, gate: int) -> TimeSamples:
        values = [next(self.series[gate]) for _ in range(2 * REPEATS)]
        order = "ABBA" * (REPEATS // 2) if self.interleaved else "A" * REPEATS + "B" * REPEATS
        sides: dict[str, list[float]] = {"A": [], "B": []}
        for side, value in zip(order, values, strict=True):
            sides[side].append(value)
        return sample(sides["A"], [value * self.factors[gate] for value in sides["B"]])


def sample(base: Collection, candidate: Collection, is_upper: bool = True) -> TimeSamples:
    """A comparison with a tolerance of 10 %."""
    whole = tuple(Fraction(value) for value in base)
    limits = tuple(value * TEN_PERCENT if is_upper else value / TEN_PERCENT for value in whole)
    return TimeSamples(
        base=whole,
        limits=limits,
        candidate=tuple(Fraction(value) for value in candidate),
        is_upper=is_upper,
    )


def is_worse(*factors: float, seed: int, interleaved: bool = True) -> list[bool]:
    found = decide_times(Planted(seed, *factors, interleaved=interleaved))
    return [found[gate].is_worse for gate in range(len(factors))]


# ---------------------------------------------------------------- what fails, and what does not


def test_an_unchanged_program_never_fails_on_a_machine_that_drifts() -> None:
    assert not any(any(is_worse(1.0, seed=seed)) for seed in range(150))


def test_a_series_like_this_fails_where_the_sides_are_not_measured_in_turns() -> None:
    """So that the test above is about something: the same rule, without the second measurement."""
    sources = (Planted(seed, 1.0, interleaved=False) for seed in range(150))
    assert sum(decide_times(source)[0].first.is_worse for source in sources) > 5


def test_what_takes_half_as_long_again_is_caught() -> None:
    assert sum(is_worse(1.5, seed=seed)[0] for seed in range(40)) >= 38


def test_what_is_faster_never_fails() -> None:
    assert not any(is_worse(0.5, seed=seed)[0] for seed in range(40))


def test_what_is_worse_is_found_among_many_that_are_not() -> None:
    for seed in range(10):
        assert is_worse(1.0, 1.0, 2.0, 1.0, 1.0, 1.0, seed=seed) == [False, False, True] + 3 * [
            False
        ]


def test_a_lower_bound_is_the_same_the_other_way_round() -> None:
    rng = random.Random(3)  # noqa: S311  # no secret
    base = [rng.lognormvariate(0, 0.05) for _ in range(REPEATS)]
    fast, same = [value / 2 for value in base], list(reversed(base))
    assert sample(base, fast, is_upper=False).is_beyond
    assert find_p(sample(base, fast, is_upper=False)) < 1e-6
    assert not sample(base, same, is_upper=False).is_beyond
    assert find_p(sample(base, same, is_upper=False)) > 0.9


@pytest.mark.parametrize("part", ["minimum", "lower quartile", "median"])
def test_minimum_quartile_and_median_all_have_to_be_beyond(part: str) -> None:
    base = [100 + n for n in range(REPEATS)]
    worse = [2 * value for value in base]
    assert sample(base, worse).is_beyond
    spoiled = {
        "minimum": [105, *worse[1:]],
        "lower quartile": [*([115] * 6), *worse[6:]],
        "median": [*([120] * 11), *worse[11:]],
    }[part]
    assert not sample(base, spoiled).is_beyond


# ---------------------------------------------------------------- the same data, the same verdict


def test_the_order_of_the_repeats_of_a_side_has_no_influence() -> None:
    rng = random.Random(7)  # noqa: S311  # no secret
    for factor in (1.0, 1.1, 1.2, 1.5):
        one = Planted(11, factor).begin(None)[0]
        expected = find_p(one), one.is_beyond, one.detectable, one.repeats_needed, one.ratio
        for _ in range(20):
            pairs = list(zip(one.base, one.limits, strict=True))
            rng.shuffle(pairs)
            candidate = rng.sample(one.candidate, len(one.candidate))
            base, limits = zip(*pairs, strict=True)
            other = replace(one, base=base, limits=limits, candidate=tuple(candidate))
            found = find_p(other), other.is_beyond, other.detectable, other.repeats_needed
            assert (*found, other.ratio) == expected


def test_the_same_series_come_to_the_same_outcome() -> None:
    for seed in range(5):
        assert decide_times(Planted(seed, 1.0, 1.2)) == decide_times(Planted(seed, 1.0, 1.2))


# ---------------------------------------------------------------- looks


class Fixed:
    """A source that returns prepared comparisons, and notes what it is asked."""

    def __init__(self, *answers: Mapping[str, TimeSamples]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, list[str] | None]] = []

    def begin(self, gates: Collection[str] | None) -> Mapping[str, TimeSamples]:
        self.asked.append(("begin", None if gates is None else sorted(gates)))
        return self.answers.pop(0)

    def extend(self, gates: Collection[str]) -> Mapping[str, TimeSamples]:
        self.asked.append(("extend", sorted(gates)))
        return self.answers.pop(0)


def steady(factor: float, repeats: int = REPEATS) -> TimeSamples:
    """Hardly any noise."""
    base = [1000 + n for n in range(repeats)]
    return sample(base, [value * factor for value in base])


def noisy(factor: float, repeats: int = REPEATS) -> TimeSamples:
    """Values over two orders of magnitude."""
    base = [10 * 1.2**n for n in range(repeats)]
    return sample(base, [value * factor for value in base])


def test_what_is_clear_at_the_first_look_is_not_measured_longer() -> None:
    source = Fixed({"same": steady(1.0), "within": steady(1.05)})
    found = decide_times(source)
    assert source.asked == [("begin", None)]
    assert [(one.is_worse, one.again) for one in found.values()] == [(False, None)] * 2


def test_what_is_blunt_gets_a_second_look_and_no_third() -> None:
    source = Fixed({"noise": noisy(1.0), "same": steady(1.0)}, {"noise": noisy(1.0, 40)})
    found = decide_times(source)
    assert source.asked == [("begin", None), ("extend", ["noise"])]
    assert (found["noise"].first.number, found["same"].first.number) == (2, 1)
    assert found["noise"].first.samples.repeats == 40
    assert not found["noise"].is_worse


def test_a_median_beyond_the_bound_without_proof_gets_a_second_look() -> None:
    near = steady(1.1005)  # beyond by less than the values differ among themselves
    assert near.is_median_beyond
    assert not near.is_blunt
    source = Fixed({"near": near}, {"near": steady(1.1005, 40)})
    assert not decide_times(source)["near"].is_worse
    assert source.asked == [("begin", None), ("extend", ["near"])]


def test_what_fails_is_measured_once_more_and_fails_if_it_fails_again() -> None:
    source = Fixed({"slow": steady(1.5), "same": steady(1.0)}, {"slow": steady(1.4)})
    found = decide_times(source)
    assert source.asked == [("begin", None), ("begin", ["slow"])]
    assert (found["slow"].is_worse, found["same"].is_worse) == (True, False)
    assert found["slow"].again is not None
    assert found["slow"].again.samples.ratio == steady(1.4).ratio


def test_what_does_not_fail_again_does_not_fail() -> None:
    found = decide_times(Fixed({"slow": steady(1.5)}, {"slow": steady(1.0)}))["slow"]
    assert (found.first.is_worse, found.is_worse) == (True, False)


def test_what_cannot_be_measured_again_is_not_proven() -> None:
    found = decide_times(Fixed({"slow": steady(1.5)}, {}))["slow"]
    assert (found.first.is_worse, found.again, found.is_worse) == (True, None, False)


def test_each_look_has_half_of_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    for p, worse in ((0.0051, False), (0.0049, True)):
        monkeypatch.setattr(looks, "find_p", lambda _samples, p=p: p)
        answers = [{"slow": steady(1.5)}] * 4
        assert decide_times(Fixed(*answers))["slow"].first.is_worse is worse


def test_settled_comparisons_still_count_at_the_second_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two comparisons, so that a p of 0.004 is 0.008; it would be enough for one alone."""
    monkeypatch.setattr(looks, "find_p", lambda _samples: 0.004)
    blunt = sample([10 * 1.2**n for n in range(20)], [30 * 1.2**n for n in range(20)])
    assert blunt.is_beyond
    found = decide_times(Fixed({"noise": blunt, "same": steady(1.0)}, {"noise": blunt}))
    assert found["noise"].first.p == pytest.approx(0.008)
    assert not found["noise"].first.is_worse
    alone = decide_times(Fixed({"noise": blunt}, {"noise": blunt}, {"noise": blunt}))
    assert alone["noise"].is_worse


def test_too_few_repeats_are_known_to_prove_nothing() -> None:
    def can_fail(repeats: int, number: int) -> bool:
        gates = {str(n): steady(3.0, repeats) for n in range(number)}
        return decide_times(Fixed(*[gates] * 4))["0"].first.can_fail

    assert [can_fail(n, 1) for n in (3, 4, 5, 20)] == [False, False, True, True]
    assert [can_fail(n, 10) for n in (5, 6, 7)] == [False, False, True]


def test_the_least_p_is_that_of_separated_sides() -> None:
    assert find_least_p(3) == pytest.approx(1 / 20)  # one of the 6! / 3! / 3! orders
    assert find_p(steady(3.0)) == find_least_p(REPEATS)


# ---------------------------------------------------------------- Holm


def test_holm_is_as_in_the_literature() -> None:
    """Holm (1979), and R: p.adjust(c(.01, .04, .03, .005), "holm")."""
    assert adjust_p_values([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust_p_values([0.9, 0.8]) == [1.0, 1.0]
    assert adjust_p_values([0.02]) == [0.02]
    assert adjust_p_values([]) == []


def test_holm_agrees_with_its_definition() -> None:
    """Step by step: the least p against alpha / m, the next against alpha / (m - 1), until one is
    not below."""
    rng = random.Random(5)  # noqa: S311  # no secret
    for _ in range(300):
        values = [rng.random() ** 4 for _ in range(rng.randrange(1, 8))]
        alpha = rng.choice([0.005, 0.01, 0.05])
        rejected, left = set(), len(values)
        for index in sorted(range(len(values)), key=values.__getitem__):
            if values[index] >= alpha / left:
                break
            rejected.add(index)
            left -= 1
        found = {n for n, p in enumerate(adjust_p_values(values)) if p < alpha}
        assert found == rejected


# ---------------------------------------------------------------- what can be seen


def test_the_smallest_detectable_change_is_that_of_the_noisier_side() -> None:
    quiet = [Fraction(n) for n in (100, 100, 100, 100, 100)]
    wide = [Fraction(n) for n in (80, 90, 100, 110, 120)]  # an IQR of 20
    assert measure_noise(wide) == pytest.approx(0.2)
    for base, candidate in ((quiet, wide), (wide, quiet)):
        one = sample(base, candidate)
        assert one.detectable == pytest.approx(2.5 * 0.2 / 5**0.5)
        assert one.is_blunt
        assert one.repeats_needed == 25
    assert sample(quiet, quiet).detectable == 0
    assert not sample(quiet, quiet).is_blunt


def test_the_repeats_it_would_take_are_enough() -> None:
    one = noisy(1.0)
    needed = one.repeats_needed
    assert needed is not None
    scale = (needed / one.repeats) ** 0.5
    assert one.detectable / scale <= one.tolerance
    assert one.detectable / ((needed - 1) / one.repeats) ** 0.5 > one.tolerance


def test_without_a_tolerance_or_a_time_no_number_of_repeats_is_enough() -> None:
    one = noisy(1.0)
    assert replace(one, limits=one.base).repeats_needed is None
    nothing = sample([0] * 5, [0] * 5)
    assert (nothing.ratio, nothing.repeats_needed, nothing.is_blunt) == (None, None, True)
