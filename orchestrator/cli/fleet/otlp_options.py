"""`probeplan export --otlp`: its options, and what they make."""

import argparse
import os
from typing import TYPE_CHECKING

from orchestrator.accounting.count import UNKNOWN
from orchestrator.cli.messages import print_note
from orchestrator.export.otlp.exponential import MAX_BUCKETS
from orchestrator.plan.findings import HostError, PlanError, of_command_line
from orchestrator.run.report.host_identity import read_host_id

if TYPE_CHECKING:
    from orchestrator.export.otlp.delivery import SeriesSource
    from orchestrator.export.otlp.destination import OtlpDestination

__all__ = ["add_otlp_options", "check_otlp_options", "make_otlp"]


def add_otlp_options(where: "argparse._ArgumentGroup", series: "argparse._ArgumentGroup") -> None:
    """--otlp and --events among the options that say where to, --otlp-buckets among those of
    series."""
    where.add_argument(
        "--otlp",
        action="store_true",
        help="send metrics and the records of a run's life by OTLP over HTTP, to the collector "
        "that OTEL_EXPORTER_OTLP_ENDPOINT names (default http://localhost:4318)",
    )
    where.add_argument(
        "--events",
        action="store_true",
        help="with --otlp: send records of all kinds as log records, also those of single events",
    )
    series.add_argument(
        "--otlp-buckets",
        type=_bucket_count,
        default=MAX_BUCKETS,
        metavar="N",
        help="most buckets of an exponential histogram, for servers that take no more (default: as "
        "many as needed, 32 an octave); with fewer, they are wider",
    )


def check_otlp_options(args: argparse.Namespace) -> None:
    """Raises PlanError for options that would do nothing without --otlp."""
    given = "--events" if args.events else f"--otlp-buckets {args.otlp_buckets}"
    if not args.otlp and (args.events or args.otlp_buckets != MAX_BUCKETS):
        hint = "add --otlp, or leave it out"
        raise PlanError([of_command_line(f"{given} is only for --otlp", hint)])


def make_otlp(args: argparse.Namespace, store: "SeriesSource") -> "OtlpDestination":
    """What sends, by the OTEL_* variables. Raises HostError where the library is missing, PlanError
    for a variable that cannot be used."""
    try:
        from orchestrator.export.otlp.destination import OtlpDestination
        from orchestrator.export.otlp.metrics import HistogramForm
        from orchestrator.export.otlp.settings import OtlpSettingsError, read_settings
    except ImportError as error:
        package = "opentelemetry-exporter-otlp-proto-http 1.39 or later"
        hint = "install it: pip install 'probeplan[export]'"
        message = f"--otlp needs the package {package}, which is not installed ({error})"
        raise HostError([of_command_line(message, hint)]) from None
    try:
        settings = read_settings(os.environ)
    except OtlpSettingsError as error:
        hint = "docs/export.md lists the variables"
        raise PlanError([of_command_line(f"--otlp: {error}", hint)]) from None
    for signal, chosen in (("metrics", settings.metrics), ("logs", settings.logs)):
        where = "not sent" if chosen is None else f"sent to {chosen.shown_url}"
        print_note(f"{signal} are {where}")
    host_id = read_host_id()  # as in results
    return OtlpDestination(
        store,
        settings,
        host=os.uname().nodename,
        host_id=None if host_id == UNKNOWN else host_id,
        form=HistogramForm(exact=args.exact_buckets, max_buckets=args.otlp_buckets),
        interval_s=args.interval,
        wants_events=args.events,
        say=print_note,
    )


def _bucket_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 2 <= int(text) <= MAX_BUCKETS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 2 to {MAX_BUCKETS:,}")
    return int(text)
