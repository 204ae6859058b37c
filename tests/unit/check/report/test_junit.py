"""JUnit reports, read by another library than the one that writes them."""

from xml.etree import ElementTree as ET

import pytest

from orchestrator.check.report.check_report import CheckReport, InconclusiveRule
from orchestrator.check.report.junit import make_junit
from tests.support.check_reports import (
    all_reports,
    broken_report,
    failed_report,
    hostile_report,
    ok_report,
    sided_report,
    undecided_report,
    unmeasured_report,
)

#: Of Jenkins' schema junit-10, as far as we use it: attributes (required: with a star), children.
ALLOWED: dict[str, tuple[set[str], set[str]]] = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name*", "tests*", "failures*", "errors*", "skipped", "time", "timestamp"},
        {"properties", "testcase"},
    ),
    "properties": (set(), {"property"}),
    "property": ({"name*", "value*"}, set()),
    "testcase": ({"name*", "classname"}, {"failure", "error", "skipped", "system-out"}),
    "failure": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "skipped": ({"type", "message"}, set()),
    "system-out": (set(), set()),
}


def read(*reports: CheckReport, rule: InconclusiveRule = "fail") -> ET.Element:
    return ET.fromstring(make_junit(reports, rule))  # noqa: S314  # it is our own


def results(root: ET.Element) -> dict[str, str]:
    """By SUITE.CASE: the kind of the result and its type; "" of a case that passes."""
    return {
        f"{suite.get('name')}.{case.get('name')}": " ".join(
            f"{one.tag} {one.get('type')}" for one in case if one.tag != "system-out"
        )
        for suite in root.iter("testsuite")
        for case in suite.iter("testcase")
    }


def properties(root: ET.Element) -> dict[str | None, str | None]:
    return {one.get("name"): one.get("value") for one in root.iter("property")}


def test_elements_and_attributes_are_those_of_the_schema() -> None:
    root = read(*all_reports(), sided_report())
    assert root.tag == "testsuites"
    for element in root.iter():
        attributes, children = ALLOWED[element.tag]
        assert set(element.keys()) <= {name.rstrip("*") for name in attributes}
        assert {name[:-1] for name in attributes if name.endswith("*")} <= set(element.keys())
        assert {child.tag for child in element} <= children


def test_each_verdict_is_a_result_of_its_kind() -> None:
    assert results(read(*all_reports())) == {
        "good.e1": "",
        "good.e2": "",
        "bad.e1": "failure fail",
        "bad.e2": "",
        "bad.e3": "",
        "undecided.e1": "error inconclusive",
        "broken.e1": "error workload",
        "unmeasured.measured": "error not measured",
        "hostile.e1": "failure fail",
    }


def test_what_is_inconclusive_is_skipped_where_it_does_not_fail() -> None:
    found = read(undecided_report(), broken_report(), failed_report(), rule="warn")
    assert results(found) == {
        "undecided.e1": "skipped inconclusive",
        "broken.e1": "error workload",
        "bad.e1": "failure fail",
        "bad.e2": "",
        "bad.e3": "",
    }


def test_the_numbers_of_suites_and_of_the_whole_agree_with_the_cases() -> None:
    root = read(*all_reports())
    whole = {name: int(root.get(name, "")) for name in ("tests", "failures", "errors")}
    assert whole == {"tests": 9, "failures": 2, "errors": 3}
    for name, number in whole.items():
        assert number == sum(int(suite.get(name, "")) for suite in root)
    assert root.get("time") == "6.173"  # of five that were measured
    assert root[0].get("time") == "1.235"
    assert root[0].get("timestamp") == "2026-11-27T01:30:00"


def test_values_bounds_and_where_they_are_from_are_properties() -> None:
    found = properties(read(ok_report()))
    assert found["e1.value"] == "1.66666666666667"
    assert found["e1.values"] == "1.33333333333333 1.66666666666667 2"
    assert found["e1.bounds"] == "<= 5"
    assert found["e2.bounds"] == ">= 1, <= 8"
    assert found["e2.that"] == "1 <= write.calls <= 8"
    assert found["commit"] == "c0ffee"
    assert "e1.baseline" not in found


def test_two_sides_and_how_likely_their_difference_is_by_chance_are_properties() -> None:
    found = properties(read(sided_report()))
    assert found["sides"] == "build=./old,./new"
    assert (found["e1.baseline"], found["e1.value"]) == ("1009.5", "1509.5")
    assert float(found["e1.p"]) < 0.0001
    assert results(read(sided_report())) == {"sided.e1": "failure fail"}


def test_a_failure_says_where_and_why() -> None:
    failure = read(failed_report()).find(".//failure")
    assert failure.get("message") == "write.calls <= 5: 9 was measured, the bound is 5"
    assert failure.text.startswith("check.yaml:")
    assert failure.text.endswith("write.calls <= 5: 9 was measured, the bound is 5")


def test_a_check_that_was_not_measured_does_not_pass() -> None:
    error = read(unmeasured_report(trouble="no such probe\n  hint: \x1b[31mnone")).find(".//error")
    assert error.get("message") == "no such probe"
    assert error.text == "no such probe\n  hint: \\x1b[31mnone"


def test_what_xml_cannot_hold_is_escaped() -> None:
    root = read(hostile_report())
    [name] = [name for name in properties(root) if name.endswith(".values") and "error" in name]
    assert r"a\x01\x1b[1m\n" in name
    assert r"\ufffe" in name
    assert r"\x80" in name
    assert "<d>&" in name
    assert "]]>" in "".join(root.find(".//failure").itertext())


@pytest.mark.parametrize("rule", ["fail", "warn"])
def test_the_report_of_no_checks_is_empty(rule: InconclusiveRule) -> None:
    assert results(read(rule=rule)) == {}
