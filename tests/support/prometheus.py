"""Debian's Prometheus and node_exporter, unpacked by scripts/fetch_projects.sh, on loopback."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.support.otlp_server import find_free_port
from tests.support.projects import PROMETHEUS, find_project

__all__ = ["PrometheusServer", "run_node_exporter", "run_prometheus", "run_promtool"]

_WAIT_S = 30


class PrometheusServer:
    """A server that scrapes."""

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, text: str, *labels: str) -> dict[Any, float]:
        """The values of an instant query, by those of these labels; one: by its value alone."""
        words = urllib.parse.urlencode({"query": text})
        url = f"{self._url}/api/v1/query?{words}"
        with urllib.request.urlopen(url, timeout=_WAIT_S) as answer:  # noqa: S310  # it is HTTP
            found = json.load(answer)["data"]["result"]
        values = {}
        for series in found:
            key = tuple(series["metric"].get(name, "") for name in labels)
            assert key not in values, text
            values[key if len(labels) != 1 else key[0]] = float(series["value"][1])
        return values

    def wait_for(self, text: str, expected: Mapping[Any, float], *labels: str) -> None:
        """Until the query has these values."""
        end = time.monotonic() + _WAIT_S
        while (values := self.query(text, *labels)) != expected:
            assert time.monotonic() < end, f"{text} is {values}, and not {expected}"
            time.sleep(0.1)


@contextmanager
def run_node_exporter(folder: Path) -> Iterator[str]:
    """node_exporter with the files in this folder, and nothing else; its address."""
    address = f"127.0.0.1:{find_free_port()}"
    words = [
        "--collector.disable-defaults", "--collector.textfile",
        f"--collector.textfile.directory={folder}", f"--web.listen-address={address}",
    ]  # fmt: skip
    with _run("prometheus-node-exporter", words, f"http://{address}/metrics"):
        yield address


@contextmanager
def run_prometheus(folder: Path, targets: Mapping[str, str]) -> Iterator[PrometheusServer]:
    """A server with its data in `folder`, which scrapes the targets by job, twice a second."""
    scraped = [
        {"job_name": job, "static_configs": [{"targets": [target]}]}
        for job, target in targets.items()
    ]
    config = folder / "prometheus.json"  # which is YAML too
    times = {"scrape_interval": "500ms", "scrape_timeout": "500ms"}
    config.write_text(json.dumps({"global": times, "scrape_configs": scraped}))
    address = f"127.0.0.1:{find_free_port()}"
    words = [
        f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}", "--log.level=warn",
    ]  # fmt: skip
    with _run("prometheus", words, f"http://{address}/-/ready"):
        yield PrometheusServer(f"http://{address}")


def run_promtool(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """promtool with these words."""
    command = [_program("promtool"), *words]
    return subprocess.run(command, check=False, text=True, capture_output=True, **options)


def _program(name: str) -> Path:
    return find_project(PROMETHEUS) / "usr/bin" / name


@contextmanager
def _run(name: str, words: list[str], ready: str) -> Iterator[None]:
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(
                [_program(name), *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
        )
        stack.callback(process.kill)
        _wait_until(lambda: _answers(ready), process)
        yield


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=_WAIT_S) as answer:  # noqa: S310  # it is HTTP
            return int(answer.status) == 200
    except OSError:
        return False


def _wait_until(is_true: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _WAIT_S
    while not is_true():
        assert process.stderr is not None
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < end, "it is not ready"
        time.sleep(0.05)
