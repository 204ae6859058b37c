"""What a run does, in lines for people: every kind of record, and none as JSON."""

import pytest
from rich.cells import cell_len

from orchestrator.output.rows.notices import (
    describe_notice,
    describe_opening,
    draw_window,
    is_window,
    wrap_notice,
)
from tests.support import samples

LIFECYCLE = samples.lifecycle()
SILENT = ("run.started", "probe.attached", "stack.named")


@pytest.mark.parametrize("event", [event for event in LIFECYCLE if not is_window(event)])
def test_every_kind_of_record_is_lines_of_words(event: str) -> None:
    lines = describe_notice(event, LIFECYCLE[event])
    assert bool(lines) is (event not in SILENT)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        ("probe.skipped", "skipped: read at kprobe:x: no such symbol"),
        ("limit.reached", "limit reached: events 10,000: the run ends (after 3.2 s)"),
        ("events.lost", "lost: 120 of read (ring)"),
        ("clock.stepped", "the system's clock was set back by 7,200 s"),
        ("probe.resumed", "resumed: read, after 1.5 s"),
        ("governor.stepped", "limits.cpu: 3.1 % of one CPU, allowed 2 %: sample of read"),
        ("stop.reached", "stopped: total(read.errors) > 10: total(read.errors) 11"),
    ],
)
def test_lines_quote_the_record_with_units(event: str, line: str) -> None:
    assert describe_notice(event, LIFECYCLE[event]) == [line]


def test_a_reason_with_control_characters_is_inert() -> None:
    fields = {**LIFECYCLE["probe.skipped"], "reason": "\x1b[2J\u202e"}
    assert describe_notice("probe.skipped", fields) == [r"skipped: read at kprobe:x: \x1b[2J\u202e"]


@pytest.mark.parametrize("event", ["metric.reported", "figure.reported", "outstanding.reported"])
def test_a_window_is_a_table_that_fits(event: str) -> None:
    cell = {"key": {"comm": "a\x1b[2J" * 20}, "other": False, "value": 3}
    records = {**LIFECYCLE, "metric.reported": samples.metric("count", [cell], "")}
    lines = draw_window(event, records[event], 40, colours=False)
    assert lines
    for line in lines:
        assert line.isprintable()
        assert cell_len(line) <= 40 or event == "outstanding.reported"  # a caveat may be longer


def test_the_opening_says_what_is_traced_and_what_ends_it() -> None:
    started = LIFECYCLE["run.started"]
    attached = [LIFECYCLE["probe.attached"]]
    assert (
        describe_opening("opens", started, attached)
        == "opens: 1 attach point by fexit (tracefs); ends with Ctrl-C"
    )
    limits = {"duration": {"value": 10_000_000_000}}
    timed = {**started, "limits": limits, "command": ["ls"]}
    assert describe_opening("opens", timed, attached * 2).endswith(
        "2 attach points by fexit (tracefs); ends after 10 s, or with COMMAND"
    )


def test_long_lines_are_wrapped() -> None:
    lines = wrap_notice("word " * 30, 40)
    assert len(lines) > 3
    assert max(map(len, lines)) <= 40
    assert lines[1].startswith("  word")
