"""Everything that goes to a collector by OTLP, behind calls that never wait.

Whatever the collector does (refuses, does not answer, is slow, is away for an hour), the thread
that reads the log only appends to a bounded queue. Series are cumulative: the newest snapshot of
them is enough, and it is taken when it is sent. Of log records the oldest are dropped where there
is no room, and counted.
"""

import time
from collections.abc import Callable
from typing import Protocol

from orchestrator.export.otlp.collector import LogsCollector, MetricsCollector
from orchestrator.export.otlp.line_queue import LineQueue
from orchestrator.export.otlp.signal_sender import Attempt, SignalSender
from orchestrator.export.snapshot import Snapshot

__all__ = ["OtlpDelivery"]

#: What waits of lifecycle records, and of `event.recorded` and others that come in floods: lines,
#: and bytes. They are apart, so that a flood drops no news of a run.
LIFECYCLE_ROOM, EVENTS_ROOM = (2_000, 2 << 20), (10_000, 8 << 20)
_LINES_PER_REQUEST = 1000
_DROPPED, _SENDS = "probeplan_export_dropped", "probeplan_export_sends"


class SeriesSource(Protocol):
    """Where snapshots come from, and where drops are counted: a SeriesStore."""

    def snapshot(self) -> Snapshot:
        """All series as they are now; in any thread."""

    def count(self, family: str, amount: int = 1, /, **labels: str) -> None:
        """Lets a counter of OWN_FAMILIES grow; in any thread."""


class OtlpDelivery:
    """Sends the series of `source` every `interval_s` seconds to `metrics`, and the lines that it
    is given every `logs_interval_s` to `logs` (None: that signal is not sent). `say`: takes a line
    for people, from any thread."""

    def __init__(  # noqa: PLR0913  # what an invocation chooses
        self,
        source: SeriesSource,
        *,
        metrics: MetricsCollector | None,
        logs: LogsCollector | None,
        interval_s: float,
        say: Callable[[str], None],
        logs_interval_s: float = 1.0,
    ) -> None:
        self._source, self._say = source, say
        self._to_metrics, self._to_logs = metrics, logs
        self._lifecycle, self._events = LineQueue(*LIFECYCLE_ROOM), LineQueue(*EVENTS_ROOM)
        self._in_flight = self._overflow_counted = 0
        for reason in ("overflow", "refused", "undelivered"):
            self._count_dropped(0, reason)
        self._metrics = self._logs = None
        if metrics is not None:
            self._metrics = self._start("metrics", self._send_metrics, interval_s, metrics)
        if logs is not None:
            self._logs = self._start("logs", self._send_logs, logs_interval_s, logs)

    @property
    def dropped(self) -> int:
        """Lines that were dropped so far because the queue was full."""
        return self._lifecycle.dropped + self._events.dropped

    def put_line(self, line: bytes, *, is_lifecycle: bool) -> None:
        """Sends a line of the log as a log record, soon. Never waits."""
        if self._logs is not None:
            (self._lifecycle if is_lifecycle else self._events).put(line)

    def flush(self) -> None:
        """Sends the series soon, as at the end of a run. Never waits."""
        if self._metrics is not None:
            self._metrics.wake()

    def close(self, patience_s: float) -> str:
        """Sends what there is once more, for at most `patience_s` seconds in all, and ends. Returns
        what was not sent, in words; empty: everything was."""
        deadline = time.monotonic() + patience_s
        for sender in (self._logs, self._metrics):
            if sender is not None:
                sender.begin_close()
        missing = []
        if self._metrics is not None and not self._metrics.end_close(deadline):
            missing.append("the newest values of the series")
        if self._logs is not None:
            self._logs.end_close(deadline)
        if left := len(self._lifecycle) + len(self._events) + self._in_flight:
            self._count_dropped(left, "undelivered")
            missing.append(f"{left:,} log records")
        if self.dropped:
            missing.append(f"{self.dropped:,} log records that were dropped earlier")
        return ", ".join(missing)

    def _start(
        self,
        signal: str,
        attempt: Callable[[], Attempt],
        period_s: float,
        collector: MetricsCollector | LogsCollector,
    ) -> SignalSender:
        for result in ("ok", "failed"):
            self._source.count(_SENDS, 0, signal=signal, result=result)
        return SignalSender(
            signal,
            attempt,
            period_s=period_s,
            say=self._say,
            count=lambda result: self._source.count(_SENDS, signal=signal, result=result),
            give_up=collector.give_up,
        )

    def _send_metrics(self) -> Attempt:
        assert self._to_metrics is not None
        overflow = self.dropped
        self._count_dropped(overflow - self._overflow_counted, "overflow")
        self._overflow_counted = overflow
        outcome = self._to_metrics.send(self._source.snapshot())
        if outcome.rejected:
            self._count_dropped(outcome.rejected, "refused", what="data_points")
        return Attempt(outcome)

    def _send_logs(self) -> Attempt:
        assert self._to_logs is not None
        queue = self._lifecycle if len(self._lifecycle) else self._events
        lines = queue.take(_LINES_PER_REQUEST)
        if not lines:
            return Attempt(None)
        self._in_flight = len(lines)
        outcome = self._to_logs.send(lines)
        if outcome.failure and outcome.may_succeed_later:
            queue.put_back(lines)
        elif refused := len(lines) if outcome.failure else outcome.rejected:
            self._count_dropped(refused, "refused")
        self._in_flight = 0
        return Attempt(outcome, has_more=bool(len(self._lifecycle) or len(self._events)))

    def _count_dropped(self, lines: int, reason: str, what: str = "log_records") -> None:
        self._source.count(_DROPPED, lines, what=what, reason=reason)
