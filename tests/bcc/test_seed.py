"""The first gap of each CPU."""

from collections import Counter
from itertools import count

from orchestrator.backends.bcc.seed import first_gap


def test_first_gaps_have_the_equilibrium_distribution() -> None:
    """Over all tickets, k is drawn 2N - k times: P(k) is proportional to 2N - k, exactly."""
    for sample in (1, 2, 3, 10):
        largest = 2 * sample - 1
        tickets = largest * (largest + 1) // 2
        drawn = Counter(first_gap(sample, lambda _n, t=t: t) for t in range(tickets))  # type: ignore[misc]  # t binds each ticket
        assert drawn == {k: 2 * sample - k for k in range(1, largest + 1)}


def test_the_very_first_events_are_kept_at_the_right_rate() -> None:
    """With these first gaps every event of a CPU, from the first on, is kept with chance 1/N."""
    sample = 5
    largest = 2 * sample - 1
    chance = {k: (2 * sample - k) / (largest * sample) for k in range(1, largest + 1)}
    kept = [0.0] * 60
    for position in range(1, 60):
        from_later = sum(kept[position - gap] / largest for gap in range(1, largest + 1)
                         if position > gap)  # fmt: skip
        kept[position] = chance.get(position, 0.0) + from_later
    for position, _ in zip(range(1, 60), count(), strict=False):
        assert abs(kept[position] - 1 / sample) < 1e-12
