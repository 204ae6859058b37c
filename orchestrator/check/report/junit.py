"""A JUnit report: a suite for each check, a test case for each expectation. Pure.

The elements and attributes are those of the schema junit-10 of Jenkins, which other readers accept
too; so the figures are properties of the suite, EXPECTATION.NAME.
"""

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from orchestrator.check.expectation.claim import read_claim
from orchestrator.check.report.check_report import (
    CheckReport,
    InconclusiveRule,
    find_standing,
    list_texts,
)
from orchestrator.check.report.numbers import number_text
from orchestrator.check.verdict.model import ExpectationVerdict, JudgedSeries
from orchestrator.plan.printable import make_printable, make_printable_lines

if TYPE_CHECKING:
    from junitparser.junitparser import FinalResult, TestCase, TestSuite

__all__ = ["make_junit"]

#: What XML cannot hold is written as Python escapes, as control characters are everywhere.
_TEXT, _ATTRIBUTE = make_printable_lines, make_printable


def make_junit(reports: Sequence[CheckReport], rule: InconclusiveRule) -> bytes:
    """The report as XML in UTF-8. An expectation that does not hold is a failure, what could not be
    decided an error with its verdict as type; what fails nothing is skipped or passes."""
    from junitparser import JUnitXml  # 90 ms

    report = JUnitXml("probeplan check")
    suites = [_make_suite(one, rule) for one in reports]
    for suite in suites:
        report.append(suite)
    report.tests = sum(suite.tests for suite in suites)
    report.failures = sum(suite.failures for suite in suites)
    report.errors = sum(suite.errors for suite in suites)
    report.time = _seconds(sum(one.duration_ns for one in reports))
    written = io.BytesIO()
    report.write(written)
    return written.getvalue() + b"\n"


def _seconds(duration_ns: int) -> float:
    return round(duration_ns / 1e9, 3)


def _make_suite(report: CheckReport, rule: InconclusiveRule) -> "TestSuite":
    from junitparser import TestSuite

    suite = TestSuite(report.check.name)
    if report.began is not None:
        suite.timestamp = report.began.strftime("%Y-%m-%dT%H:%M:%S")
    for name, value in _list_properties(report):
        suite.add_property(_ATTRIBUTE(name), _ATTRIBUTE(value))
    for judged in report.judged:
        suite.append(_make_case(report, judged, rule))
    if report.verdict is None:
        suite.append(_make_unmeasured(report))
    suite.update_statistics()
    suite.time = _seconds(report.duration_ns)
    return suite


def _list_properties(report: CheckReport) -> Iterator[tuple[str, str]]:
    yield "file", report.check.path
    if report.commit:
        yield "commit", report.commit
    if report.verdict is not None and report.verdict.sides is not None:
        sides = report.verdict.sides
        yield "sides", f"{sides.param}={','.join(sides.values)}"
    for judged in report.judged:
        expectation = judged.expectation
        yield f"{expectation.name}.that", expectation.that.text
        yield f"{expectation.name}.at", str(expectation.position)
        yield f"{expectation.name}.verdict", judged.verdict
        yield f"{expectation.name}.severity", expectation.severity
        for series in judged.series:
            yield from _list_figures(judged, series)


def _list_figures(judged: ExpectationVerdict, series: JudgedSeries) -> Iterator[tuple[str, str]]:
    name = judged.expectation.name
    whose = f"{name} ({series.label})" if series.label else name
    yield f"{whose}.value", number_text(series.value)
    yield f"{whose}.values", " ".join(map(number_text, series.values))
    bounds = zip(read_claim(judged.expectation.that).bounds, series.bounds, strict=True)
    yield f"{whose}.bounds", ", ".join(f"{b.op} {number_text(value)}" for b, value in bounds)
    if series.baseline is not None:
        yield f"{whose}.baseline", number_text(series.baseline)
    if series.times:
        yield f"{whose}.p", " ".join(f"{outcome.first.p:.2g}" for outcome in series.times)


def _make_case(
    report: CheckReport, judged: ExpectationVerdict, rule: InconclusiveRule
) -> "TestCase":
    from junitparser import Error, Failure, Skipped, TestCase

    expectation = judged.expectation
    case = TestCase(expectation.name, report.check.name)
    text = "\n".join((f"{expectation.position}: {expectation.that.text}", *list_texts(judged)))
    match find_standing(judged, rule):
        case "failure":
            case.result = [_fill(Failure, judged, text)]
        case "error":
            case.result = [_fill(Error, judged, text)]
        case "warning" if judged.verdict == "inconclusive":
            case.result = [_fill(Skipped, judged, text)]
        case _ if judged.verdict != "ok" or judged.notes:
            case.system_out = _TEXT(text)
    return case


def _fill(kind: "type[FinalResult]", judged: ExpectationVerdict, text: str) -> "FinalResult":
    result = kind(_ATTRIBUTE("; ".join(judged.reasons)), judged.verdict)
    result.text = _TEXT(text)
    return result


def _make_unmeasured(report: CheckReport) -> "TestCase":
    """A check without verdicts must not be missing: that would pass."""
    from junitparser import Error, TestCase

    case = TestCase("measured", report.check.name)
    result = Error(_ATTRIBUTE(report.trouble.partition("\n")[0]), "not measured")
    result.text = _TEXT(report.trouble)
    case.result = [result]
    return case
