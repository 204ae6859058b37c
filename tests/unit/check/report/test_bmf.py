"""Bencher's JSON: the format's schema as Bencher documents it, and its limits of names."""

import json

from jsonschema import Draft7Validator

from orchestrator.check.report.bmf import make_bmf
from orchestrator.check.report.check_report import CheckReport
from tests.support.check_reports import (
    all_reports,
    check_report,
    hostile_report,
    ok_report,
    unmeasured_report,
)
from tests.support.measurements import Counts, cell

_NUMBER = {"type": "number"}
#: bencher.dev, Bencher Metric Format: a benchmark has measures, a measure a value and its limits;
#: names of benchmarks have at most 1,024 characters, those of measures 64.
SCHEMA = {
    "type": "object",
    "propertyNames": {"minLength": 1, "maxLength": 1024},
    "additionalProperties": {
        "type": "object",
        "propertyNames": {"minLength": 1, "maxLength": 64},
        "additionalProperties": {
            "type": "object",
            "properties": {"value": _NUMBER, "lower_value": _NUMBER, "upper_value": _NUMBER},
            "required": ["value"],
            "additionalProperties": False,
        },
    },
}


def read(*reports: CheckReport) -> dict[str, dict[str, dict[str, float]]]:
    found = json.loads(make_bmf(reports))
    Draft7Validator(SCHEMA).validate(found)
    return found


def test_a_value_is_between_the_least_and_the_greatest_of_the_repeats() -> None:
    counts: list[Counts] = [{"write.calls": count} for count in (7, 4, 5)]
    found = read(check_report("write.calls <= 5", counts=counts, name="start"))
    assert found == {"start": {"e1": {"value": 5, "lower_value": 4, "upper_value": 7}}}


def test_only_what_has_a_valid_figure_is_there() -> None:
    found = read(*all_reports())
    assert {name for name in found if "hostile" not in name} == {"good", "bad"}
    assert read(unmeasured_report()) == {}


def test_each_cell_is_a_benchmark_with_a_printable_name() -> None:
    hostile, plain = read(hostile_report())
    assert plain == "hostile (comm b, number 1)"
    assert hostile.isprintable()
    assert read(hostile_report())[plain]["e1"]["value"] == 2


def test_names_that_are_too_long_stay_apart() -> None:
    cells = [cell(1, number=1, comm="x" * 2000 + end) for end in "ab"]
    counts: list[Counts] = [{"call.named": cells}]
    found = read(check_report("{that: call.named <= 5, each: true}", counts=counts))
    assert [len(name) for name in found] == [1024, 1024]


def test_numbers_beyond_a_float_are_the_greatest() -> None:
    product = " * ".join(["write.calls"] * 60)
    counts: list[Counts] = [{"write.calls": 10**6}]
    [[metric]] = [
        found.values()
        for found in read(check_report(f"{product} / 3 >= 1", counts=counts)).values()
    ]
    assert metric["value"] == 1.7976931348623157e308


def test_whole_numbers_are_exact() -> None:
    counts: list[Counts] = [{"write.calls": 2**53 + 1}]
    text = make_bmf([check_report("write.calls >= 1", counts=counts)]).decode()
    assert f'"value": {2**53 + 1}' in text
    assert json.loads(make_bmf([ok_report()]))["good"]["e1"]["value"] == 5 / 3
