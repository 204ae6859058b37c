"""The keys of metrics: names, expressions and named expressions."""

import pytest

from orchestrator.plan.findings import PlanError
from orchestrator.plan.load import check_plan, load_plan
from orchestrator.plan.model import Metric
from tests.support.plans import probe


def metric(by: str, *, before: str = "", chosen: str | None = None) -> Metric:
    """The metric `n` of a probe, by this key; `chosen`: the value of the param `by`."""
    settings = {} if chosen is None else {"by": chosen}
    text = probe(f"metrics: {{n: {{count: true, by: {by}}}}}", before=before)
    return load_plan(text, settings=settings).probes[0].metrics[0]


def codes(by: str, *, before: str = "") -> list[str]:
    """The codes of what is found in a plan with this key."""
    text = probe(f"metrics: {{n: {{count: true, by: {by}}}}}", before=before)
    return [finding.code for finding in check_plan(text)[1]]


def test_an_expression_is_its_own_label() -> None:
    """Its text with single spaces, in the order of the list."""
    made = metric('[comm, "args.count  //  4096", args.count]')
    assert made.by == ("comm", "args.count // 4096", "args.count")
    assert list(made.computed) == ["args.count // 4096"]


def test_a_name_is_the_label_of_its_expression() -> None:
    made = metric('[{pages: "args.count // 4096"}, comm]')
    assert made.by == ("pages", "comm")
    assert made.computed["pages"].text == "args.count // 4096"


def test_two_parts_of_one_label_are_refused() -> None:
    assert codes("[comm, {comm: pid}]") == ["PP057"]


def test_what_is_wrong_in_a_key_is_found_at_its_place() -> None:
    """A name that does not exist, and text that is no expression, by line and column."""
    with pytest.raises(PlanError) as refused:
        metric('[{pages: args.count // pageze}, "ntohs("]')
    places = [(one.code, one.position.line, one.position.column) for one in refused.value.findings]
    assert places == [("PP022", 8, 59), ("PP020", 8, 74)]


CHOICE = "params: {by: {type: choice, choices: [comm, args.count // 4096], default: comm}}"
TEXT = "params: {by: {type: string, default: comm}}"


def test_a_choice_may_be_an_expression() -> None:
    """The plan lists it, so that the command line cannot bring another."""
    made = metric("[$(params.by)]", before=CHOICE, chosen="args.count // 4096")
    assert made.by == ("args.count // 4096",)


def test_free_text_is_a_name_and_no_expression() -> None:
    """`--set` cannot make a plan compute what its author did not write."""
    assert metric("[$(params.by)]", before=TEXT, chosen="tid").by == ("tid",)
    with pytest.raises(PlanError, match="cannot count by"):
        metric("[$(params.by)]", before=TEXT, chosen="load(u64, arg0)")
