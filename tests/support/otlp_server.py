"""A collector for tests: a small HTTP server on loopback that decodes what it is sent by OTLP, and
answers as the test says."""

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import create_server
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

__all__ = [
    "OtlpServer",
    "find_free_port",
    "hold_connections",
    "plain_attributes",
    "plain_value",
    "run_otlp_server",
]

_WAIT_S = 30


class OtlpServer:
    """What arrived: `metrics` and `logs`, one request after the other, and the `headers` of all.
    `status`: of its answers; `rejected`: how much its answers reject; while `gate` is not set, it
    does not answer; `delay_s`: before each answer. Requests that are not answered with 200 are only
    counted, in `refused`."""

    def __init__(self) -> None:
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.logs: list[ExportLogsServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.refused = 0
        self.status = 200
        self.rejected = 0
        self.delay_s = 0.0
        self.gate = threading.Event()
        self.gate.set()
        self.url = ""
        self._arrived = threading.Condition()

    def wait_for(self, is_true: Any) -> None:
        """Waits until the condition holds, which is looked at after each request."""
        with self._arrived:
            assert self._arrived.wait_for(is_true, _WAIT_S), "the collector got nothing like that"

    def points(self, name: str) -> list[Any]:
        """The data points of a metric in the newest request that has it."""
        for request in reversed(self.metrics):
            for metric in list_metrics(request):
                if metric.name == name:
                    return list(getattr(metric, metric.WhichOneof("data")).data_points)
        return []

    def log_records(self) -> list[Any]:
        """All log records in the order of their arrival."""
        return [
            record
            for request in self.logs
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Keeps a request, and returns the status and the body of the answer."""
        self.gate.wait(_WAIT_S)
        time.sleep(self.delay_s)
        is_logs = path.endswith("/v1/logs")
        request = ExportLogsServiceRequest() if is_logs else ExportMetricsServiceRequest()
        request.ParseFromString(body)
        with self._arrived:
            status = self.status
            self.headers.append(headers)
            if status == 200:
                (self.logs if is_logs else self.metrics).append(request)
            else:
                self.refused += 1
            self._arrived.notify_all()
        answer = ExportLogsServiceResponse() if is_logs else ExportMetricsServiceResponse()
        if self.rejected:
            field = "rejected_log_records" if is_logs else "rejected_data_points"
            setattr(answer.partial_success, field, self.rejected)
        return status, answer.SerializeToString()


@contextmanager
def run_otlp_server(port: int = 0) -> Iterator[OtlpServer]:
    """A collector on a port of loopback (0: any that is free), until the block ends."""
    collector = OtlpServer()
    server = ThreadingHTTPServer(("127.0.0.1", port), make_handler(collector))
    server.daemon_threads = True
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield collector
    finally:
        collector.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def hold_connections() -> Iterator[str]:
    """The URL of a black hole: it accepts connections, reads nothing and never answers."""
    with create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def find_free_port() -> int:
    """A port of loopback on which nothing listens."""
    with create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def plain_value(value: Any) -> Any:
    """An AnyValue of OTLP as Python has it."""
    kind = value.WhichOneof("value")
    if kind == "kvlist_value":
        return {pair.key: plain_value(pair.value) for pair in value.kvlist_value.values}
    if kind == "array_value":
        return [plain_value(item) for item in value.array_value.values]
    return None if kind is None else getattr(value, kind)


def plain_attributes(attributes: Any) -> dict[str, Any]:
    """Attributes of OTLP as Python has them."""
    return {pair.key: plain_value(pair.value) for pair in attributes}


def list_metrics(request: ExportMetricsServiceRequest) -> Iterator[Any]:
    """All metrics of a request."""
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            yield from scope.metrics


def make_handler(collector: OtlpServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # the name that http.server calls
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answer = collector.take(self.path, {**headers, ":path": self.path}, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            if 300 <= status < 400:
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any) -> None:
            """Nothing on standard error."""

    return Handler
