"""VictoriaMetrics, a real server that takes OTLP, on loopback for the time of a test."""

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.otlp_server import find_free_port
from tests.support.projects import VICTORIA_METRICS, find_project

__all__ = ["VictoriaMetrics", "run_victoria_metrics"]

_READY_S = 20


class VictoriaMetrics:
    """A server that runs at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which OTLP goes there. It takes no logs."""
        return {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{self.url}/opentelemetry/v1/metrics",
            "OTEL_LOGS_EXPORTER": "none",
        }

    def query(self, text: str) -> dict[tuple[tuple[str, str], ...], float]:
        """The values of a MetricsQL expression now, by labels (without the name)."""
        self.ask("/internal/force_flush")  # what was taken can be asked for at once
        parameters = urllib.parse.urlencode({"query": text, "time": time.time() + 1})
        answer = json.loads(self.ask(f"/api/v1/query?{parameters}"))
        return {
            tuple(sorted((k, v) for k, v in row["metric"].items() if k != "__name__")): float(
                row["value"][1]
            )
            for row in answer["data"]["result"]
        }

    def query_one(self, text: str) -> float:
        """The only value of an expression."""
        (value,) = self.query(text).values()
        return value

    def ask(self, path: str) -> Any:
        """The body of an answer."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:  # noqa: S310
            return answer.read()


@contextmanager
def run_victoria_metrics(data: Path, port: int = 0) -> Iterator[VictoriaMetrics]:
    """A server with its data in `data`, until the block ends."""
    server = find_project(VICTORIA_METRICS) / "usr/bin/victoria-metrics"
    address = f"127.0.0.1:{port or find_free_port()}"
    log = data.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                server,
                f"-httpListenAddr={address}",
                f"-storageDataPath={data}",
                "-search.latencyOffset=0s",
                "-memory.allowedBytes=64MB",
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        running = VictoriaMetrics(f"http://{address}")
        _wait_until_ready(running, process, log)
        yield running
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(
    running: VictoriaMetrics, process: subprocess.Popen[bytes], log: Path
) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            running.ask("/health")
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        else:
            return
