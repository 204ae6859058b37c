"""`probeplan export`: the log of runs as time series, for Prometheus and OpenTelemetry."""

import argparse
import errno
import importlib.util
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.fleet.otlp_options import add_otlp_options, check_otlp_options, make_otlp
from orchestrator.cli.messages import print_error, print_note
from orchestrator.export.following import LogFollower
from orchestrator.export.prometheus.ladder import BUCKETS_PER_OCTAVE
from orchestrator.export.series import MAX_SERIES, SeriesStore
from orchestrator.plan.findings import HostError, PlanError, of_command_line
from orchestrator.plan.units import UnitError, parse_duration

if TYPE_CHECKING:
    from orchestrator.export.destination import Destination

EPILOG = """\
examples:
  probeplan run slow-io | probeplan export --listen
  probeplan run slow-io | probeplan export --textfile /var/lib/prometheus/node-exporter
  probeplan export /run/probeplan/export-slow-io.fifo --textfile DIR --listen 9844
  probeplan export saved/events.jsonl --textfile .     once, from a log that was kept
  OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 probeplan export --otlp < events.jsonl

The log of `probeplan run` is read from standard input, or from FILE; a FIFO is read until this is
ended by a signal, and may have several writers. Windows (`every` in a plan) are added up to
counters and histograms, which only grow; what the totals at a run's end have more is added then.

Each metric of a plan is a family probeplan_METRIC_UNIT with the labels plan, probe and those in its
`by`, in seconds or bytes. Always there: probeplan_run_info, probeplan_run_complete,
probeplan_run_lost_total, probeplan_probe_attached and others, listed in docs/export.md.

With --otlp, OTEL_* variables say where to and how, as for all exporters of OpenTelemetry. No run
waits for a collector; what is dropped is counted in probeplan_export_dropped.

Lines that are torn or no records are counted in probeplan_export_lines_skipped_total.

exit codes:
  0  the log ended, or SIGTERM or SIGINT came, and the last values are written
  2  invalid usage, or the log or DIR cannot be used
  3  a library is missing, or the address is in use
  4  the last values could not be written
"""

_MINIMUM_S = 0.1
#: As Prometheus scrapes with its shipped configuration.
_DEFAULT_INTERVAL = "15s"
_DEFAULT_PER_OCTAVE = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `export`."""
    parser.usage = "probeplan export [FILE] [options]"
    parser.epilog = EPILOG
    parser.add_argument("file", nargs="?", metavar="FILE", help="a log or a FIFO; usually stdin")
    where = parser.add_argument_group("where to; several are possible")
    where.add_argument(
        "--textfile",
        metavar="DIR",
        help="write probeplan-PLAN.prom for node_exporter's textfile collector",
    )
    where.add_argument(
        "--listen",
        nargs="?",
        const="",
        metavar="[ADDR:]PORT",
        help="serve /metrics for Prometheus (default 127.0.0.1:9844); IPv6 as [ADDR]:PORT",
    )
    series = parser.add_argument_group("series")
    _add_series_options(series)
    add_otlp_options(where, series)


def _add_series_options(series: argparse._ArgumentGroup) -> None:
    series.add_argument(
        "--interval",
        type=_seconds,
        default=_DEFAULT_INTERVAL,
        metavar="TIME",
        help=f"how often new values are written (default {_DEFAULT_INTERVAL})",
    )
    series.add_argument(
        "--max-series",
        type=_series_count,
        default=MAX_SERIES,
        metavar="N",
        help=f"series of one metric (default {MAX_SERIES:,}); further keys are added to one with "
        'the label other="true"',
    )
    buckets = series.add_mutually_exclusive_group()
    buckets.add_argument(
        "--buckets-per-octave",
        type=int,
        choices=BUCKETS_PER_OCTAVE,
        default=_DEFAULT_PER_OCTAVE,
        help="how finely histograms are divided for Prometheus (default "
        f"{_DEFAULT_PER_OCTAVE}: each bucket is at most 25%% wide)",
    )
    buckets.add_argument(
        "--exact-buckets",
        action="store_true",
        help="give histograms all of our buckets, 16 an octave",
    )


def main(args: argparse.Namespace) -> int:
    """Export; returns the exit code."""
    store = SeriesStore(args.max_series)
    with _stop_signals() as stopped:
        destinations = _make_destinations(args, store)
        try:
            # Last: who can open a FIFO to write to it may rely on its being read.
            with _open_source(args.file) as source:
                interval = args.interval
                LogFollower(source, stopped, store, destinations, interval=interval).follow()
        finally:
            failures = _close(destinations)
    for failure in failures:
        print_error(f"the last values were not written: {failure}")
    return 4 if failures else 0


# ---------------------------------------------------------------- where to


def _make_destinations(args: argparse.Namespace, store: SeriesStore) -> "list[Destination]":
    check_otlp_options(args)
    makers: list[Callable[[], Destination]] = []
    if args.textfile is not None:
        makers.append(lambda: _make_textfile(args))
    if args.listen is not None:
        makers.append(lambda: _make_listener(args, store))
    if args.otlp:
        makers.append(lambda: make_otlp(args, store))
    if not makers:
        hint = "name at least one of --textfile DIR, --listen, --otlp"
        raise PlanError([of_command_line("there is nowhere to export to", hint)])
    made: list[Destination] = []
    try:
        made.extend(make() for make in makers)
    except BaseException:
        _close(made)
        raise
    return made


def _per_octave(args: argparse.Namespace) -> int:
    return BUCKETS_PER_OCTAVE[-1] if args.exact_buckets else int(args.buckets_per_octave)


def _make_textfile(args: argparse.Namespace) -> "Destination":
    _require_library("prometheus_client", "prometheus-client", "--textfile")
    from orchestrator.export.prometheus.textfile import TextfileDestination

    directory = Path(args.textfile)
    try:
        destination = TextfileDestination(directory, _per_octave(args), _report_failure)
        destination.check()
    except OSError as error:
        message = f"{args.textfile!r} cannot be written to: {error.strerror}"
        hint = "name a directory that exists: node_exporter's --collector.textfile.directory"
        raise PlanError([of_command_line(message, hint)]) from None
    return destination


def _make_listener(args: argparse.Namespace, store: SeriesStore) -> "Destination":
    _require_library("prometheus_client", "prometheus-client", "--listen")
    from orchestrator.export.prometheus.listening import (
        DEFAULT_ADDRESS,
        ListenDestination,
        parse_address,
    )

    try:
        address = parse_address(args.listen or DEFAULT_ADDRESS)
    except ValueError as error:
        hint = f"write PORT, ADDRESS:PORT or [ADDRESS]:PORT, such as {DEFAULT_ADDRESS}"
        raise PlanError([of_command_line(f"--listen {args.listen}: {error}", hint)]) from None
    try:
        destination = ListenDestination(address, store.snapshot, _per_octave(args))
    except OSError as error:
        hint = "choose another port, or end what listens there"
        message = f"cannot listen on {address}: {error.strerror}"
        raise HostError([of_command_line(message, hint)]) from None
    print_note(f"listening on http://{destination.address}/metrics")
    return destination


def _require_library(module: str, package: str, option: str) -> None:
    if importlib.util.find_spec(module) is None:
        hint = f"install Debian's python3-{package}, or: pip install 'probeplan[export]'"
        message = f"{option} needs the package {package}, which is not installed"
        raise HostError([of_command_line(message, hint)])


def _report_failure(error: OSError) -> None:
    print_error(f"{str(error.filename)!r} cannot be written to: {error.strerror}; trying again")


def _close(destinations: "Sequence[Destination]") -> list[str]:
    """Why any did not take the last values."""
    failures = []
    for destination in destinations:
        try:
            destination.close()
        except OSError as error:
            failures.append(f"{str(error.filename)!r}: {error.strerror}")
    return failures


# ---------------------------------------------------------------- where from


@contextmanager
def _open_source(path: str | None) -> Iterator[int]:
    """The log. A FIFO is opened for writing too, so that it has no end when a run does."""
    if path is None:
        if sys.stdin is not None and sys.stdin.isatty():
            hint = "pipe the log of a run into it, or name a FILE"
            raise PlanError([of_command_line("standard input is a terminal", hint)])
        yield 0
        return
    try:
        source = os.open(path, _choose_flags(path) | os.O_CLOEXEC | os.O_NOCTTY)
        os.set_blocking(source, True)
        if stat.S_ISDIR(os.fstat(source).st_mode):
            raise IsADirectoryError(errno.EISDIR, "it is a directory", path)
    except OSError as error:
        message = f"{path!r} cannot be read: {error.strerror}"
        hint = "FILE is a log of `probeplan run`, or a FIFO (mkfifo) that one is written to"
        raise PlanError([of_command_line(message, hint)]) from None
    try:
        yield source
    finally:
        os.close(source)


def _choose_flags(path: str) -> int:
    return os.O_RDWR if Path(path).is_fifo() else os.O_RDONLY | os.O_NONBLOCK


@contextmanager
def _stop_signals() -> Iterator[int]:
    """A descriptor that can be read once SIGTERM or SIGINT came."""
    stopped, stop = os.pipe()
    os.set_blocking(stop, False)

    def note(_number: int, _frame: object) -> None:
        with suppress(OSError):
            os.write(stop, b".")

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(stop)
        os.close(stopped)


# ---------------------------------------------------------------- values of options


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text) / 1e9
    except UnitError as error:
        raise argparse.ArgumentTypeError(f"{error}: {error.hint}") from None
    if seconds < _MINIMUM_S:
        raise argparse.ArgumentTypeError(f"{text!r} is less than 100ms")
    return seconds


def _series_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 100,000")
    return int(text)
