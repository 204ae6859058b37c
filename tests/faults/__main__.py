"""Overload, and random kills: `python -m tests.faults [KILLS [ROUNDS]]`, half of the kills and all
rounds of overload a backend."""

import random
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.overload import overload
from tests.faults.runs import USER, Zygote, foreigners
from tests.support.product import build_load

BACKENDS = ("bcc", "tracefs")
ROUNDS, CALLS = 5, 300_000


def main(kills: int = 1000, rounds: int = ROUNDS) -> None:
    """Raises AssertionError when an event went away without a trace, or a killed run left
    anything."""
    for backend in BACKENDS:
        overloaded(backend, rounds)
    killed_at_random(kills)


def overloaded(backend: str, rounds: int) -> None:
    """Several runs alongside writers that are far too fast, each with its figures."""
    with tempfile.TemporaryDirectory() as name:
        load = build_load(Path(name))
        for number in range(rounds):
            reported = overload(backend, Path(name), load, CALLS)
            print(f"{backend}: overload {number + 1} of {rounds}: {reported}", flush=True)


def killed_at_random(kills: int) -> None:
    """Runs that are killed at any moment, half of them a backend."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"random kills, seed {seed}")
    for backend in BACKENDS:
        with tempfile.TemporaryDirectory() as name:
            load = build_load(Path(name))
            runs = Zygote.start(Path(name), backend, USER, load)
            try:
                began = time.monotonic()
                with foreigners(load):
                    killed = runs.killed_at_random(kills // 2, random.Random(seed))  # noqa: S311  # no secret
            finally:
                runs.close()
            print(
                f"{backend}: {kills // 2} runs, {killed} killed before their end, nothing left; "
                f"slowest cleaning {runs.slowest_s * 1e3:.0f} ms; "
                f"{time.monotonic() - began:.0f} s"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
