"""OpenMetrics, read by the parser of Prometheus' client."""

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from orchestrator.check.report.check_report import CheckReport
from orchestrator.check.report.openmetrics import make_openmetrics
from tests.support.check_reports import (
    HOSTILE,
    all_reports,
    hostile_report,
    ok_report,
    sided_report,
    undecided_report,
    unmeasured_report,
)


def families(*reports: CheckReport) -> dict[str, Metric]:
    text = make_openmetrics(reports).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(family: Metric) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def test_all_reports_are_read_by_the_parser() -> None:
    found = families(*all_reports())
    assert {name: family.type for name, family in found.items()} == {
        "probeplan_check_value": "gauge",
        "probeplan_check_bound": "gauge",
        "probeplan_check_baseline": "gauge",
        "probeplan_check_verdict": "stateset",
    }


def test_values_and_bounds_are_as_judged() -> None:
    found = families(ok_report())
    value = {("good", "e1"): pytest.approx(5 / 3), ("good", "e2"): 5}
    assert samples(found["probeplan_check_value"]) == value
    assert samples(found["probeplan_check_bound"]) == {
        ("good", "e1", "<="): 5,
        ("good", "e2", ">="): 1,
        ("good", "e2", "<="): 8,
    }
    assert samples(found["probeplan_check_baseline"]) == {}


def test_the_baseline_of_two_sides_is_the_first_of_them() -> None:
    found = families(sided_report())
    assert samples(found["probeplan_check_baseline"]) == {("sided", "e1"): 1009.5}
    assert samples(found["probeplan_check_value"]) == {("sided", "e1"): 1509.5}


@pytest.mark.parametrize(
    ("report", "state"),
    [
        (ok_report("x"), "ok"),
        (undecided_report("x"), "inconclusive"),
        (unmeasured_report("x"), "unmeasured"),
    ],
)
def test_each_expectation_has_one_verdict(report: CheckReport, state: str) -> None:
    found = samples(families(report)["probeplan_check_verdict"])
    assert next(labels for labels, value in found.items() if value) == ("x", "e1", state)
    assert sum(found.values()) == len(report.check.expectations)


def test_labels_that_would_end_a_line_are_escaped_and_read_back() -> None:
    found = families(hostile_report())["probeplan_check_value"]
    label = next(label for *_, label in samples(found) if "error" in label)
    assert label.startswith(r"comm a\x01\x1b[1m\n::error::b|c<d>&" + '"e"\\f')
    assert HOSTILE not in label


def test_the_text_is_fixed_and_ends_as_the_format_wants() -> None:
    text = make_openmetrics([ok_report()]).decode()
    assert 'probeplan_check_value{check="good",expectation="e2"} 5\n' in text
    assert 'probeplan_check_value{check="good",expectation="e1"} 1.66666666666667\n' in text
    assert text.endswith("\n# EOF\n")
    assert make_openmetrics([]).decode().endswith("\n# EOF\n")
