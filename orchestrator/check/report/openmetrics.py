"""The figures of checks in the text format of OpenMetrics, for GitLab's metrics reports. Pure.

GitLab compares values as text, so that the same figures are always the same text.
"""

from collections.abc import Iterable, Iterator, Sequence

from orchestrator.check.expectation.claim import read_claim
from orchestrator.check.report.check_report import CheckReport
from orchestrator.check.report.numbers import number_text
from orchestrator.check.verdict.model import ExpectationVerdict, JudgedSeries
from orchestrator.plan.printable import make_printable

__all__ = ["make_openmetrics"]

_STATES = ("ok", "fail", "inconclusive", "workload", "unmeasured")
_VERDICT = "probeplan_check_verdict"

Labels = dict[str, str]
_Judged = tuple[Labels, ExpectationVerdict, JudgedSeries]


def make_openmetrics(reports: Sequence[CheckReport]) -> bytes:
    """The metrics in UTF-8. What has no value is left out, but each expectation has a verdict."""
    series = list(_list_series(reports))
    families = (
        _make_family("value", "What was measured.", _list_values(series)),
        _make_family("bound", "What it is compared with.", _list_bounds(series)),
        _make_family("baseline", "What was recorded.", _list_baselines(series)),
        _make_verdicts(reports),
    )
    return ("".join(line for family in families for line in family) + "# EOF\n").encode()


def _list_series(reports: Iterable[CheckReport]) -> Iterator[_Judged]:
    for report in reports:
        for judged in report.judged:
            for series in judged.series:
                labels = {"check": report.check.name, "expectation": judged.expectation.name}
                yield labels | ({"of": series.label} if series.label else {}), judged, series


def _list_values(series: Iterable[_Judged]) -> Iterator[tuple[Labels, str]]:
    for labels, _judged, one in series:
        yield labels, number_text(one.value)


def _list_bounds(series: Iterable[_Judged]) -> Iterator[tuple[Labels, str]]:
    for labels, judged, one in series:
        bounds = read_claim(judged.expectation.that).bounds
        for bound, value in zip(bounds, one.bounds, strict=True):
            yield labels | {"op": bound.op}, number_text(value)


def _list_baselines(series: Iterable[_Judged]) -> Iterator[tuple[Labels, str]]:
    for labels, _judged, one in series:
        if one.baseline is not None:
            yield labels, number_text(one.baseline)


def _make_family(name: str, text: str, samples: Iterable[tuple[Labels, str]]) -> Iterator[str]:
    yield f"# TYPE probeplan_check_{name} gauge\n"
    yield f"# HELP probeplan_check_{name} {text}\n"
    for labels, value in samples:
        yield f"probeplan_check_{name}{_show_labels(labels)} {value}\n"


def _make_verdicts(reports: Iterable[CheckReport]) -> Iterator[str]:
    yield f"# TYPE {_VERDICT} stateset\n"
    yield f"# HELP {_VERDICT} What each expectation comes to.\n"
    for report in reports:
        verdicts = {one.expectation.name: one.verdict for one in report.judged}
        for expectation in report.check.expectations:
            found = verdicts.get(expectation.name, "unmeasured")
            for state in _STATES:
                labels = {"check": report.check.name, "expectation": expectation.name}
                shown = _show_labels(labels | {_VERDICT: state})
                yield f"{_VERDICT}{shown} {int(state == found)}\n"


def _show_labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escape(text)}"' for name, text in labels.items()) + "}"


def _escape(text: str) -> str:
    """Control characters are Python escapes already; the format escapes what ends a value."""
    return make_printable(text).replace("\\", "\\\\").replace('"', '\\"')
