"""OTLP as a destination of an export."""

from collections.abc import Callable

from orchestrator.export.counting.lifecycle import LAST_EVENTS
from orchestrator.export.lines import LogLine
from orchestrator.export.otlp.collector import LogsCollector, MetricsCollector
from orchestrator.export.otlp.delivery import OtlpDelivery, SeriesSource
from orchestrator.export.otlp.metrics import HistogramForm
from orchestrator.export.otlp.resource import make_resource
from orchestrator.export.otlp.settings import OtlpSettings
from orchestrator.export.snapshot import Snapshot

__all__ = ["PATIENCE_S", "OtlpDestination"]

#: How long the end waits for a collector.
PATIENCE_S = 5.0
#: Kinds about data, not about the run: series have some, and others come in floods.
_DATA = frozenset(
    ("event.recorded", "stack.named", "metric.reported", "figure.reported", "outstanding.reported")
)


class OtlpDestination:
    """Sends the series of `source` as metrics, and records of a run's life as log records; with
    `wants_events` records of all kinds. `host_id`: as in results; None: not known.
    `interval_s`: between exports of metrics, if the settings do not say it. `say`: takes a line for
    people, from any thread."""

    def __init__(  # noqa: PLR0913  # what an invocation chooses
        self,
        source: SeriesSource,
        settings: OtlpSettings,
        *,
        host: str,
        host_id: str | None,
        form: HistogramForm,
        interval_s: float,
        wants_events: bool,
        say: Callable[[str], None],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.wants_events = wants_events and settings.logs is not None
        chosen = settings.metrics or settings.logs
        assert chosen is not None  # by what the settings are
        self._patience_s = patience_s
        self._url = chosen.shown_url
        resource = make_resource(host, host_id)
        metrics, logs = settings.metrics, settings.logs
        self._delivery = OtlpDelivery(
            source,
            metrics=None if metrics is None else MetricsCollector(metrics, resource, form),
            logs=None if logs is None else LogsCollector(logs, resource),
            interval_s=settings.interval_s or interval_s,
            say=say,
        )

    def observe(self, line: LogLine) -> None:
        """Sends a line as a log record, soon, and after the last one of a run also the series."""
        kind = None if line.record is None else line.record.get("event")
        is_data = line.record is None or kind in _DATA
        if self.wants_events or not is_data:
            self._delivery.put_line(line.text, is_lifecycle=not is_data)
        if kind in LAST_EVENTS:
            self._delivery.flush()

    def publish(self, snapshot: Snapshot) -> None:
        """Nothing: each request takes a new one."""

    def close(self) -> None:
        """Sends what is left, for at most `patience_s`. Raises OSError with what was not sent."""
        if missing := self._delivery.close(self._patience_s):
            raise OSError(None, f"not sent by OTLP: {missing}", self._url)
