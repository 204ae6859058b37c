"""Naming stacks: addresses of this machine's kernel to frames, as a run does once per stack."""

import random
import time
from typing import TYPE_CHECKING

from bench.figures import Figure, Target
from bench.setting import NotPossible, Setting

if TYPE_CHECKING:
    from orchestrator.symbols.frames import Stack

__all__ = ["stacks"]

STACKS, DEPTH = 10_000, 30
_PLACES = 50_000  # different return addresses in all of them: more than a busy host has
_TARGET = Target(at="most", bound=1.0)


def stacks(setting: Setting) -> list[Figure]:
    """CPU seconds from addresses to names for 10,000 distinct kernel stacks, including reading the
    kernel's symbols."""
    from orchestrator.symbols.book import StackBook
    from orchestrator.symbols.kernel_symbols import KernelSymbols

    made = _made(KernelSymbols.live().addresses(), setting.of(STACKS))
    took: list[float] = []
    for number in range(setting.rounds):
        setting.say(f"stacks: round {number + 1}")
        start = time.process_time()
        known = StackBook().learn(made)
        names = [one.names for one in known]
        took.append(time.process_time() - start)
        if not all(names) or any(one.why for one in known):
            raise NotPossible("not every stack was named")
    name = f"CPU time of naming {len(made):,} kernel stacks of {DEPTH} frames"
    return [Figure(name=name, unit="s", ours=took, target=_TARGET)]


def _made(functions: list[int], count: int) -> "list[Stack]":
    """Distinct stacks of addresses in kernel functions. Raises NotPossible."""
    from orchestrator.symbols.frames import Stack

    if len(functions) < DEPTH:
        raise NotPossible("the kernel's addresses are hidden: CAP_SYSLOG is needed")
    draw = random.Random(1)  # noqa: S311  # the same work every time
    places = [address + 4 for address in draw.choices(functions, k=_PLACES)]
    return [
        Stack(id=2 + number, space="kernel", pid=0, addresses=tuple(draw.choices(places, k=DEPTH)))
        for number in range(count)
    ]
