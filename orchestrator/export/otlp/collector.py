"""A collector that takes OTLP over HTTP: one export of metrics or log records, and how it ended.

The exporter library retries within an export, for as long as its timeout, and then says only
whether it succeeded; why not is in its own log. So the HTTP session is ours: by the last answer, an
export that may succeed later is distinguished from one that was refused.
"""

import logging
from collections.abc import Iterable, Sequence

from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.resources import Resource
from requests import RequestException

from orchestrator.export.otlp.logs import make_log_records
from orchestrator.export.otlp.metrics import HistogramForm, make_metrics
from orchestrator.export.otlp.resource import make_scope
from orchestrator.export.otlp.settings import SignalSettings
from orchestrator.export.otlp.watched_session import WatchedSession
from orchestrator.export.snapshot import Snapshot
from orchestrator.values import dataclass

__all__ = ["LogsCollector", "MetricsCollector", "SendOutcome"]

#: What the library would print to standard error at each attempt.
_LIBRARY_LOG = logging.getLogger("opentelemetry")


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOutcome:
    """How an export ended. `failure`: why it failed, in words, with the URL; empty if it did not.
    `may_succeed_later`: of a failed one. `rejected`: data points or log records that the collector
    did not take of an export that succeeded."""

    failure: str = ""
    may_succeed_later: bool = True
    rejected: int = 0


class MetricsCollector:
    """Where metrics go. One thread sends; `give_up` may be called by another one."""

    def __init__(self, settings: SignalSettings, resource: Resource, form: HistogramForm) -> None:
        silence_library()
        self._url, self._resource, self._form = settings.shown_url, resource, form
        self._session = WatchedSession()
        self._exporter = OTLPMetricExporter(
            endpoint=settings.url, timeout=settings.timeout_s, session=self._session
        )

    def send(self, snapshot: Snapshot) -> SendOutcome:
        """Exports a snapshot, in several requests if it is large. Takes up to the timeout for each,
        and ends at the first that fails: the next snapshot has the same and more."""
        requests = make_metrics(snapshot, self._resource, make_scope(), self._form)
        return _export_all(
            map(self._exporter.export, requests),
            self._session,
            self._url,
            ExportMetricsServiceResponse(),
        )

    def give_up(self) -> None:
        """Ends the waiting of an export that is tried again and again."""
        self._exporter.shutdown()


class LogsCollector:
    """Where log records go. One thread sends; `give_up` may be called by another one."""

    def __init__(self, settings: SignalSettings, resource: Resource) -> None:
        silence_library()
        self._url, self._resource = settings.shown_url, resource
        self._session = WatchedSession()
        self._exporter = OTLPLogExporter(
            endpoint=settings.url, timeout=settings.timeout_s, session=self._session
        )

    def send(self, lines: Sequence[bytes]) -> SendOutcome:
        """Exports lines of a log in one request. Takes up to the timeout."""
        exports = (
            self._exporter.export(make_log_records(part, self._resource, make_scope()))
            for part in (lines,)
        )
        return _export_all(exports, self._session, self._url, ExportLogsServiceResponse())

    def give_up(self) -> None:
        """Ends the waiting of an export that is tried again and again."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def silence_library() -> None:
    """Keeps the library's own messages, one for each attempt, off standard error: how an export
    ended is said once, by the one who sends."""
    _LIBRARY_LOG.propagate = False
    if not _LIBRARY_LOG.handlers:
        _LIBRARY_LOG.addHandler(logging.NullHandler())


def _export_all(
    exports: Iterable[MetricExportResult | LogRecordExportResult],
    session: WatchedSession,
    url: str,
    answer: ExportMetricsServiceResponse | ExportLogsServiceResponse,
) -> SendOutcome:
    """Takes one result of `exports` after the other, which is when a request is made and sent,
    until one fails. Taking it may raise anything: sending has to go on. `answer`: what the
    collector's answers are read into."""
    rejected = 0
    _forget_failure(session)
    try:
        for result in exports:
            if result.name != "SUCCESS":
                reason = session.failure or "the export could not be encoded"
                may_succeed_later = bool(session.failure) and session.may_succeed_later
                return SendOutcome(failure=f"{url}: {reason}", may_succeed_later=may_succeed_later)
            rejected += _count_rejected(session.body, answer)
            _forget_failure(session)
    except RequestException as error:
        return SendOutcome(
            failure=f"{url}: {session.failure or error}",
            may_succeed_later=session.may_succeed_later,
        )
    except Exception as error:  # of a record that the library cannot encode
        reason = f"{type(error).__name__}: {error}"
        return SendOutcome(failure=f"{url}: {reason}", may_succeed_later=False)
    return SendOutcome(rejected=rejected)


def _forget_failure(session: WatchedSession) -> None:
    session.failure, session.may_succeed_later = "", True


def _count_rejected(
    body: bytes, answer: ExportMetricsServiceResponse | ExportLogsServiceResponse
) -> int:
    """By the partial success that an answer may have; 0 where the body is of another format."""
    try:
        answer.ParseFromString(body)
    except DecodeError:
        return 0
    if isinstance(answer, ExportMetricsServiceResponse):
        return answer.partial_success.rejected_data_points
    return answer.partial_success.rejected_log_records
