"""The keys of probes that make a record once by key: those whose period is over are forgotten, so
that there is room for others."""

import time
from collections.abc import Mapping

from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.handles.maps import Map
from orchestrator.compile.program import Program

__all__ = ["OnceKeys"]

_OFTEN_NS = 500_000_000
_LOOKS_A_PERIOD = 4


class OnceKeys:
    """The maps of all such probes of a program."""

    def __init__(self, program: Program, maps: Mapping[int, Map]) -> None:
        self._kept = [
            (maps[layout.once_map(probe.index)], probe.once)
            for probe in program.probes
            if probe.once is not None and probe.once.per_ns
        ]
        self._next_ns = 0

    def forget_old(self) -> None:
        """Where most of the room is taken, delete the keys whose period is over; from time to time.
        Without that an old key goes only when an event has it again."""
        now = time.monotonic_ns()
        if not self._kept or now < self._next_ns:
            return
        shortest = min(once.per_ns for _, once in self._kept)
        self._next_ns = now + max(_OFTEN_NS, shortest // _LOOKS_A_PERIOD)
        for keys, once in self._kept:
            marked = list(keys.items())
            if len(marked) * 4 < once.keys * 3:
                continue
            for key, stamp in marked:
                if now - int.from_bytes(stamp, "little") >= once.per_ns:
                    keys.delete(key)
