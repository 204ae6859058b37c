from collections import Counter

from orchestrator.html_report.ledger_view import (
    list_losses,
    list_tables,
    make_flow,
    summarize_makers,
)
from tests.support.report_runs import recorded_document


def test_what_enters_a_step_is_what_leaves_it() -> None:
    ledger = recorded_document()["run"]["ledger"]
    flow = make_flow(ledger, "read", output_limited=False)
    into: Counter[str] = Counter()
    out: Counter[str] = Counter()
    for link in flow.links:
        out[link.source] += link.events
        into[link.target] += link.events
    passed = set(into) & set(out)
    assert {name: into[name] for name in passed} == {name: out[name] for name in passed}
    assert out["fired"] == summarize_makers(ledger, output_limited=False)[0].fired


def test_a_loss_is_marked_in_the_flow_and_listed() -> None:
    ledger = recorded_document()["run"]["ledger"]
    entry = ledger["probes"]["read"]["hooks"][0]["sides"]["entry"]
    entry["map_full"], entry["fired"] = 7, entry["fired"] + 7
    flow = make_flow(ledger, "read", output_limited=False)
    assert [link.events for link in flow.links if link.is_loss] == [7]
    [loss] = list_losses(ledger, output_limited=False)
    assert (loss.owner, loss.part, loss.events) == ("read", "syscall:read (entry)", 7)


def test_a_count_that_is_unknown_is_said_and_not_drawn() -> None:
    ledger = recorded_document()["run"]["ledger"]
    ledger["probes"]["read"]["hooks"][0]["sides"]["entry"]["filtered"] = "unknown"
    flow = make_flow(ledger, "read", output_limited=False)
    assert flow.unknown == ["fired → filtered by where"]


def test_columns_of_zeros_are_left_out() -> None:
    [points, *_] = list_tables(recorded_document()["run"]["ledger"])
    assert points.columns == [
        "fired",
        "not the target",
        "return without entry",
        "kept",
        "still open",
    ]


def test_a_flow_of_tracefs_says_what_it_does_not_know() -> None:
    flow = make_flow(recorded_document("tracefs")["run"]["ledger"], "read", output_limited=False)
    assert [(link.source, link.target) for link in flow.links] == [
        ("fired", "entered"),
        ("entered", "kept"),
    ]
    assert flow.unknown == ["entered → still open", "entered → filtered by where"]
