"""A thread that sends one signal (metrics, or log records) to a collector, again and again."""

import time
from collections.abc import Callable
from threading import Condition, Thread
from typing import Literal, NamedTuple

from orchestrator.export.otlp.collector import SendOutcome

__all__ = ["Attempt", "SignalSender"]

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0


class Attempt(NamedTuple):
    """`outcome` of an export; None: there was nothing to send. `has_more`: whether there is more
    to send at once."""

    outcome: SendOutcome | None
    has_more: bool = False


class SignalSender:
    """Calls `attempt` in a separate thread: every `period_s` seconds, at once while it has more,
    and after a failure with growing pauses of up to 30 s. `say` gets a line when exports begin to
    fail, and when they succeed again; it is called in that thread. `count`: each outcome, once."""

    def __init__(  # noqa: PLR0913  # what it calls, each of another one
        self,
        name: str,
        attempt: Callable[[], Attempt],
        *,
        period_s: float,
        say: Callable[[str], None],
        count: Callable[[Literal["ok", "failed"]], None],
        give_up: Callable[[], None],
    ) -> None:
        self._name, self._attempt = name, attempt
        self._period_s = period_s
        self._say, self._count, self._give_up = say, count, give_up
        self._state = Condition()
        self._is_wanted = self._is_closing = False
        self._failures = 0
        # A daemon: one that is stuck in a call does not keep the process from its end.
        self._thread = Thread(target=self._work, name=f"otlp {name}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Lets it send now, unless it waits after a failure. Does not wait."""
        with self._state:
            self._is_wanted = True
            self._state.notify()

    def begin_close(self) -> None:
        """Lets it send what there is, once more, and end. Does not wait."""
        with self._state:
            self._is_closing = True
            self._state.notify()

    def end_close(self, deadline: float) -> bool:
        """Waits until it ended, at most until `deadline` (time.monotonic). Returns whether all was
        sent; afterwards nothing more is."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        is_over = not self._thread.is_alive()
        self._give_up()
        return is_over and not self._failures

    def _work(self) -> None:
        has_more = False
        while True:
            is_closing = self._wait(has_more=has_more)
            outcome, has_more = self._attempt()
            if outcome is not None:
                self._report(outcome)
            if is_closing and (self._failures or not has_more):
                return

    def _wait(self, *, has_more: bool) -> bool:
        """Waits for the next attempt. Returns whether it is among the last ones."""
        if self._failures:
            grown: float = _FIRST_PAUSE_S * 2 ** min(self._failures - 1, 10)
            pause = max(min(grown, _LONGEST_PAUSE_S), self._period_s)
        else:
            pause = 0.0 if has_more else self._period_s
        with self._state:
            self._state.wait_for(lambda: self._is_closing or self._may_send_early(), pause)
            self._is_wanted = False
            return self._is_closing

    def _may_send_early(self) -> bool:
        return self._is_wanted and not self._failures

    def _report(self, outcome: SendOutcome) -> None:
        if not outcome.failure:
            self._count("ok")
            if self._failures:
                self._say(f"{self._name}: sent again, after {self._failures} failed exports")
            self._failures = 0
            return
        self._count("failed")
        self._failures += 1
        if self._failures == 1:
            what_follows = "" if self._is_closing else "; trying again, which no run waits for"
            self._say(f"{self._name}: {outcome.failure}{what_follows}")
