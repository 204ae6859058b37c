"""Runs killed at random moments leave nothing within a second."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.runs import USER, Zygote, foreigners

KILLS, AT_ONCE = 50, 2


def test_a_hundred_random_kills(zygote: Callable[[str, str], Zygote], load: Path) -> None:
    """Fifty of each backend, at the same time."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    all_runs = [zygote(backend, USER) for backend in ("bcc", "tracefs")]
    with foreigners(load), ThreadPoolExecutor() as threads:
        rolls = [random.Random(seed + number) for number in range(AT_ONCE)]  # noqa: S311  # no secret
        killed = list(
            threads.map(lambda runs, roll: runs.killed_at_random(KILLS, roll), all_runs, rolls)
        )
    assert min(killed) > KILLS // 3
    slowest = [round(runs.slowest_s * 1e3) for runs in all_runs]
    print(f"killed {killed} before their end; the slowest cleanings took {slowest} ms")
