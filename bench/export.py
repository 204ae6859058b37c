"""`probeplan export`: what a dead collector costs a run, what the export itself takes, and how far
percentiles move on their way to other programs."""

import json
import math
import os
import socket
import subprocess
import tempfile
import time
import urllib.request
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

from bench.export_feed import CELLS, feed_export
from bench.figures import Figure, Target
from bench.process import Load, attached_to, until
from bench.setting import Setting, command
from bench.tools import EVENT, ours
from orchestrator.cells.buckets import LOG
from orchestrator.export.otlp.exponential import ExponentialCounts, convert_to_exponential
from orchestrator.export.prometheus.ladder import add_up, choose_stops
from orchestrator.export.snapshot import HistogramCounts

__all__ = ["export"]

SECONDS = 10
TICK_US = 50
WINDOWS = 31
VALUES = 100_000
PARTS = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
_NOTHING = Target(at="most", bound=0)
_SAME = Target(at="most", bound=1.02)


def export(setting: Setting) -> list[Figure]:
    """All of it."""
    return [*_measure_run(setting), *_measure_export(setting), *_compare_percentiles(setting)]


# ---------------------------------------------------------------- a run and its dead collector


class _Turn(NamedTuple):
    """CPU seconds of the run while its probes were armed; what it lost and its reader missed."""

    cpu_s: float
    lost: int
    unread: int


def _measure_run(setting: Setting) -> list[Figure]:
    alone: list[_Turn] = []
    exported: list[_Turn] = []
    for number in range(setting.rounds):
        setting.say(f"export: a run and its dead collector, round {number + 1}")
        alone.append(_run(setting, setting.directory / "lines"))
        fifo = setting.directory / "fifo"
        os.mkfifo(fifo)
        with _start_export(setting, fifo):
            exported.append(_run(setting, fifo))
        fifo.unlink()
    return [
        Figure(
            name="a run with a dead collector, CPU time",
            unit="s",
            ours=[turn.cpu_s for turn in exported],
            peer="without export",
            theirs=[turn.cpu_s for turn in alone],
            target=_SAME,
        ),
        Figure(
            name="records lost with it",
            unit="",
            ours=[turn.lost + turn.unread for turn in exported],
            target=_NOTHING,
        ),
    ]


def _run(setting: Setting, log: Path) -> _Turn:
    """A run with about ten thousand records a second, to `log` and to a result directory."""
    out = Path(tempfile.mkdtemp(dir=setting.directory)) / "result"
    with Load(setting, "tick", TICK_US) as load:
        more = ("--target", f"pid={load.pid}", "--log", str(log), "--out", str(out))
        with ours(setting, "exported", *more, wait=False) as process:
            process.watch(lambda: attached_to(process.pid, EVENT), "its probe is attached")
            time.sleep(0.5)
            before = process.cpu_s()
            load.go()
            time.sleep(setting.of(SECONDS, least=2))
            cpu_s = process.cpu_s() - before
            process.finish()
    run = json.loads((out / "result.json").read_text())["run"]
    return _Turn(cpu_s=cpu_s, lost=run["lost"], unread=run.get("unread_lines", 0))


@contextmanager
def _start_export(setting: Setting, fifo: Path) -> Iterator[None]:
    """An export to a port that nothing listens on, reading."""
    errors = setting.directory / "export.err"
    with errors.open("wb") as said:
        argv = [*command(), "export", "--otlp", "--events", str(fifo)]
        process = subprocess.Popen(argv, env=_point_nowhere(), stderr=said)
        try:
            until(lambda: _has_open(process.pid, fifo), "the export reading its FIFO")
            yield
        finally:
            process.terminate()
            process.wait()


def _has_open(pid: int, file: Path) -> bool:
    links = Path(f"/proc/{pid}/fd").iterdir()
    return any(os.path.realpath(link) == str(file) for link in links)


def _point_nowhere() -> Mapping[str, str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}


# ---------------------------------------------------------------- the export itself


def _measure_export(setting: Setting) -> list[Figure]:
    """Each way out alone."""
    files = setting.directory / "textfiles"
    files.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    scrape = partial(_scrape, f"http://{address}/metrics")
    return [
        *_measure_way(setting, "--otlp"),
        *_measure_way(setting, "--textfile", str(files)),
        *_measure_way(setting, "--listen", address, after_window=scrape),
    ]


def _measure_way(
    setting: Setting, *options: str, after_window: Callable[[int], None] = lambda _number: None
) -> list[Figure]:
    setting.say(f"export: {CELLS:,} cells in windows of a second, {options[0]}")
    windows = setting.of(WINDOWS, least=5)
    cost = feed_export(options, windows, env=_point_nowhere(), after_window=after_window)
    return [
        Figure(
            name=f"export {options[0]}, {CELLS:,} cells: CPU",
            unit="%",
            ours=[100 * cost.cpu],
            target=Target(at="most", bound=3),
        ),
        Figure(
            name="its peak memory",
            unit="MB",
            ours=[cost.peak_mb],
            target=Target(at="most", bound=60),
        ),
    ]


def _scrape(url: str, number: int) -> None:
    """As often as a Prometheus with its shipped configuration."""
    if number % 15 == 14:
        with urllib.request.urlopen(url) as answer:  # noqa: S310  # it is HTTP
            answer.read()


# ---------------------------------------------------------------- percentiles


def _compare_percentiles(setting: Setting) -> list[Figure]:
    """The largest difference to ours over three distributions, p50 to p99.9, and of `le` at p99."""
    exponential: list[float] = []
    ladder: list[float] = []
    for values in _draw(setting.of(VALUES, least=10_000)):
        counts = Counter(map(LOG.index, values))
        histogram = HistogramCounts(buckets=LOG, counts=counts)
        taken = convert_to_exponential(LOG, counts)
        for part in PARTS:
            rank = math.ceil(len(values) * part)
            mine = LOG.middle(LOG.index(sorted(values)[rank - 1]))
            exponential.append(100 * abs(_read_exponential(taken, rank) / mine - 1))
            if part == 0.99:
                ladder.append(100 * abs(_read_ladder(histogram, part) / mine - 1))
    return [
        Figure(
            name="percentiles after OTLP exponential, off ours",
            unit="%",
            ours=[max(exponential)],
            target=Target(at="most", bound=3),
        ),
        Figure(
            name="p99 after four `le` an octave, off ours",
            unit="%",
            ours=[max(ladder)],
            target=Target(at="most", bound=13),
        ),
    ]


def _draw(count: int) -> Iterator[list[int]]:
    """Times in ns: log-normal, exponential, and of hits and misses of a cache."""
    parts = [(number + 0.5) / count for number in range(count)]
    usual, hits, misses = (
        NormalDist(math.log(middle), width)
        for middle, width in ((80_000, 1.1), (3_000, 0.3), (9_000_000, 0.5))
    )
    yield [int(math.exp(usual.inv_cdf(part))) for part in parts]
    yield [int(-250_000 * math.log(1 - part)) + 1 for part in parts]
    yield [
        int(math.exp((hits if number % 5 else misses).inv_cdf(part)))
        for number, part in enumerate(parts)
    ]


def _read_exponential(taken: ExponentialCounts, rank: int) -> float:
    """The middle of the bucket that has the value of this rank."""
    reached = list(accumulate(taken.positive.counts, initial=taken.zero_count))
    index = taken.positive.offset + bisect_left(reached, rank) - 1
    steps: int = 2**taken.scale
    return float(2 ** (index / steps) + 2 ** ((index + 1) / steps)) / 2


def _read_ladder(histogram: HistogramCounts, part: float) -> float:
    """As Prometheus's histogram_quantile: linear within the bucket."""
    stops = choose_stops(histogram.buckets, [histogram], 4)
    sums: Sequence[int] = add_up(histogram, stops)
    rank = histogram.count * part
    place = bisect_left(sums, rank)
    edges = [histogram.buckets.upper_edge(stop) for stop in stops]
    low, below = (edges[place - 1], sums[place - 1]) if place else (0, 0)
    return low + (edges[place] - low) * (rank - below) / (sums[place] - below)
