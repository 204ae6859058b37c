"""Random kills, as many as wanted: `python -m tests.faults [KILLS]`, half of them a backend."""

import random
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.runs import USER, Zygote, foreigners
from tests.live.product import build_load


def main(kills: int) -> None:
    """Raises AssertionError when a killed run left anything."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"random kills, seed {seed}")
    for backend in ("bcc", "tracefs"):
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
    main(int(sys.argv[1]) if sys.argv[1:] else 1000)
