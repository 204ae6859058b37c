"""The figures of checks in the JSON of Bencher, the Bencher Metric Format. Pure.

A benchmark is a check, or a cell of it; its measures are the expectations. Bencher makes both where
it does not know them, by names of at most 1,024 and 64 characters.
"""

import hashlib
import json
from collections.abc import Sequence

from orchestrator.check.report.check_report import CheckReport
from orchestrator.check.report.numbers import number_from
from orchestrator.check.verdict.model import JudgedSeries
from orchestrator.plan.printable import make_printable

__all__ = ["make_bmf"]

_LONGEST = 1024
_DIGEST = 16


def make_bmf(reports: Sequence[CheckReport]) -> bytes:
    """The figures as JSON: the judged value, and the least and the greatest of the repeats. What
    has no valid figure is left out."""
    benchmarks: dict[str, dict[str, dict[str, int | float]]] = {}
    for report in reports:
        for judged in report.judged:
            for series in judged.series:
                name = _name_benchmark(report.check.name, series.label)
                measures = benchmarks.setdefault(name, {})
                measures[judged.expectation.name] = _make_metric(series)
    return json.dumps(benchmarks, indent=2, allow_nan=False).encode() + b"\n"


def _name_benchmark(check: str, label: str) -> str:
    """The check, with the cell or the size; a name that is too long ends in a digest of it."""
    name = make_printable(f"{check} ({label})" if label else check)
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
    return f"{name[: _LONGEST - _DIGEST - 1]}~{digest}"


def _make_metric(series: JudgedSeries) -> dict[str, int | float]:
    return {
        "value": number_from(series.value),
        "lower_value": number_from(min(series.values)),
        "upper_value": number_from(max(series.values)),
    }
