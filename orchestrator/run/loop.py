"""The loop between arming and disarming: wait, read, write, check whether to go on."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.accounting.count import Count
from orchestrator.backends.protocol import Counts, Session
from orchestrator.compile.program import Program
from orchestrator.output.run_output import RunOutput
from orchestrator.run.command import Command
from orchestrator.run.cost.governor import Governor
from orchestrator.run.options import LEASE_NS, Bar
from orchestrator.run.report.outcome import Outcome
from orchestrator.run.safety.guard import Guard
from orchestrator.run.signals import Signals
from orchestrator.values import dataclass

if TYPE_CHECKING:
    from orchestrator.run.stream import Stream  # numpy

__all__ = ["Loop", "Supervision"]

_RENEW_NS = 7_000_000_000
#: The longest delay until a signal, a cap or COMMAND's end is noticed.
_IDLE_S, _COMMAND_S = 0.1, 0.02
_LOOK_S = 0.5  # between looks at the counters, which cost system calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """What may end a run apart from its limits, and the guard that ends it when we cannot."""

    signals: Signals
    guard: Guard
    command: Command | None = None


class Loop:
    """One run, armed at `armed_ns` (CLOCK_MONOTONIC).

    look: called with the counters from time to time; returns the records lost so far.
    on_window: called at the end of each window of `window_ns` (None: there are no windows); returns
    whether to stop.
    serve: called in every round, to answer requests.
    governor: ends a run that costs too much.
    """

    def __init__(  # noqa: PLR0913  # the parts of a run meet here
        self,
        *,
        session: Session,
        stream: "Stream",
        output: RunOutput,
        program: Program,
        supervision: Supervision,
        armed_ns: int,
        look: Callable[[Counts], Count],
        window_ns: int | None,
        on_window: Callable[[], bool],
        serve: Callable[[], None],
        governor: Governor,
        bar: Bar | None = None,
    ) -> None:
        self._session, self._stream, self._output = session, stream, output
        self._program, self._supervision, self._bar = program, supervision, bar
        self._look, self._on_window, self._serve = look, on_window, serve
        self._governor = governor
        self._armed_ns = armed_ns
        limit = program.limits.duration_ns
        self._deadline_ns = None if limit is None else armed_ns + limit
        self._lease_ns = armed_ns + LEASE_NS
        self._every_ns = window_ns
        self._window_ns = armed_ns + (window_ns or 0)
        self._stopped = self._too_costly = False
        self._look_ns = armed_ns
        self._lost: Count = 0
        self._stop_at_cap = program.limits.at_cap == "stop"

    def run(self) -> Outcome:
        """Go on until something ends the run; returns what ended it."""
        self._stream.drain()  # what has come since arming waits for no pause of the reader
        while (outcome := self._outcome()) is None:
            if self._output.throttles:  # its reader, not the kernel, says when there is more to do
                self._output.push(self._patience())
            else:
                if self._output.congested:
                    self._output.push(0.0)
                self._session.wait(self._patience())
            self._stream.drain()
            self._keep_time()
            self._serve()
        return outcome

    def _outcome(self) -> Outcome | None:
        if self._supervision.signals.received is not None:
            return "interrupted"
        if self._output.failed is not None:
            return "output"
        if self._stopped:
            return "stop_when"
        if self._supervision.command is not None and self._supervision.command.has_ended():
            return "command"
        if self._stop_at_cap and self._session.capped():
            return "cap"
        if self._stream.full:
            return "limit"
        if self._too_costly:
            return "cost"
        if self._deadline_ns is not None and time.monotonic_ns() >= self._deadline_ns:
            return "duration"
        return None

    def _patience(self) -> float:
        """Seconds to wait: until the next thing is due, and not too long."""
        longest = _IDLE_S if self._supervision.command is None else _COMMAND_S
        due = [self._governor.due_ns]
        if self._deadline_ns is not None:
            due.append(self._deadline_ns)
        if self._every_ns:
            due.append(self._window_ns)
        left = (min(due) - time.monotonic_ns()) / 1e9
        return max(0.0, min(left, longest))

    def _keep_time(self) -> None:
        now = time.monotonic_ns()
        if self._deadline_ns is None and self._lease_ns - now < _RENEW_NS:
            self._lease_ns = now + LEASE_NS
            self._supervision.guard.set_deadline(self._lease_ns)
            self._session.extend(self._lease_ns)
        over = self._deadline_ns is not None and now >= self._deadline_ns
        if self._every_ns and now >= self._window_ns and not over:  # the end ends the last
            missed = (now - self._window_ns) // self._every_ns
            self._window_ns += (missed + 1) * self._every_ns
            self._stopped = self._on_window()
        if now >= self._look_ns:
            self._look_ns = now + int(_LOOK_S * 1e9)
            self._lost = self._look(self._session.counts())
        if not over:
            self._too_costly = self._governor.look(now)
        if self._bar is not None:
            self._bar.update((now - self._armed_ns) / 1e9, self._stream.delivered, self._lost)
