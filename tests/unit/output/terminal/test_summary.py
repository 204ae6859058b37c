"""What people read on standard error."""

import io
import os
import pty
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import pytest

from orchestrator.accounting.vocabulary import NOTE, SPAN
from orchestrator.cells.buckets import LOG
from orchestrator.compile.program import FieldUnit, KeyField
from orchestrator.output.percentiles import histogram_fields
from orchestrator.output.terminal.summary import print_summary
from tests.support.samples import finished, lifecycle, metric


def summary(record: dict, *records: dict, width: int = 110, **others: Any) -> str:
    """The summary as text."""
    out = io.StringIO()
    print_summary({"plan": "slow-reads", **record}, records, **others, file=out, width=width)
    return out.getvalue()


def row(text: str, start: str) -> list[str]:
    """The words of the line that starts with a word."""
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [start])


def test_a_probe_s_row_says_where_its_events_went() -> None:
    """Fired at the entry, kept at the return, what is lost, and that some of it is unknown."""
    words = row(summary(finished()), "read")
    assert words == ["read", "fexit", "12,345", "345", "340", "7", "+", "unknown"]


def test_a_span_s_row_says_what_became_of_its_starts() -> None:
    """Ended, still open, kept, and lost: because they did not fit, or on the way out."""
    ends = ("cancelled", "replaced", "not_target", "filtered", "raced", "repeated", "no_start")
    counts = {
        **dict.fromkeys(ends, 0), "started": 748, "ended": 735, "in_flight": 13,
        "accepted": 700, "map_full": 4,
    }  # fmt: skip
    busy = {"time": {"counted": 700, "filtered": 0, "map_full": 0, "map_busy": 2, "ring_lost": 0}}
    run = finished()
    run["ledger"]["spans"] = {"blocked": {"counts": counts, "emit": None, "metrics": busy}}
    assert row(summary(run), "blocked") == ["blocked", "748", "735", "13", "700", "-", "6"]


def test_records_that_limits_output_left_unwritten_are_no_loss() -> None:
    """As the verdict has it."""
    run = finished()
    run["ledger"]["probes"]["read"]["emit"]["delivered"] -= 10
    limit = {**lifecycle()["limit.reached"], "limit": "output", "value": 1 << 20}
    assert "17 + unknown" in summary(run)
    assert "7 + unknown" in summary(run, limits=[limit]).replace("17 + unknown", "")


def test_the_verdict_says_incomplete_and_why() -> None:
    """An incomplete run cannot be overlooked."""
    text = summary(finished())
    said = "slow-reads: INCOMPLETE. 345 events counted, 340 recorded, 5 lost. Ended by its duration"
    assert f"{said} after 30 s." in text.replace("\n", " ")
    assert "5 records of read were lost: the buffer was full" in text
    assert "slow-reads: complete." in summary(
        finished(complete=True, recorded="all", incomplete_because=[])
    )
    unknown = summary(finished(complete="unknown", lost="unknown"))
    assert (
        "completeness unknown. 345 events counted, 340 recorded, losses unknown. Ended" in unknown
    )


def with_accounts(**changes: Any) -> dict[str, Any]:
    """A complete run whose probe emits nothing but what is said here."""
    run = finished(complete=True, recorded=None, lost=0, incomplete_because=[], delivered=0)
    run["ledger"]["probes"]["read"]["emit"] = None
    return {**run, **changes}


def test_the_verdict_says_what_was_held_back_by_which_limit_and_what_changes_it() -> None:
    """A limit of the plan has an option; one of a probe is in the plan."""
    held = [
        {"limit": "events", "probe": None, "bound": "10k", "records": 11_311},
        {"limit": "rate", "probe": "read", "bound": "1k/s", "records": 1},
    ]
    limit = lifecycle()["limit.reached"]
    run = finished(complete=True, lost=0, incomplete_because=[], held_back=held)
    text = summary(run, limits=[limit])
    assert "complete. 345 events counted, 340 recorded, 11,312 held back. Ended" in text
    events = "  11,311 records were held back by limits.events (10k): --limit events=… raises it\n"
    assert events in text
    rate = "  1 record was held back by `rate` of read (1,000 records per second): raise `rate` of"
    assert f"{rate} read in the plan\n" in text
    assert "was reached" not in text, "it is said once"


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        ("1/m", "1 record per minute"),
        ("10/5s", "10 records per 5 s"),
        ("1k/s, at most 5,000 at once", "1,000 records per second, at most 5,000 at once"),
        ("as of a later release", "as of a later release"),
    ],
)
def test_a_rate_that_held_records_back_has_its_period_in_words(bound: str, words: str) -> None:
    held = [{"limit": "rate", "probe": None, "bound": bound, "records": 7}]
    text = summary(finished(held_back=held), width=200)
    assert f"7 records were held back by limits.rate ({words}): --limit rate=… raises it" in text


def test_a_rate_that_was_reached_has_its_period_in_words() -> None:
    limit = {**lifecycle()["limit.reached"], "limit": "rate", "value": 10, "per_ns": 1_000_000}
    assert "limits.rate (10 records per millisecond) was reached" in summary(
        finished(), limits=[limit]
    )


def test_a_note_s_row_says_what_became_of_it_and_what_looks_found() -> None:
    counts = dict.fromkeys(NOTE.counts, 0)
    run = finished()
    run["ledger"]["notes"] = {
        "call": {**counts, "set": 1240, "dropped": 1238, "kept": 2, "found": 12, "missed": 4},
        "owner": {**counts, "set": 7, "kept": 7, "full": 2, "missed": 9},
    }
    text = summary(run)
    assert row(text, "still") == ["still", "no", "not"]
    assert row(text, "note") == ["note", "set", "dropped", "kept", "room", "found", "found"]
    assert row(text, "call") == ["call", "1,240", "1,238", "2", "0", "12", "4"]
    assert row(text, "owner") == ["owner", "7", "0", "7", "2", "0", "9"]
    assert "call: 4 of 16 looks found nothing" in text
    assert "owner: all 9 looks found nothing: there was no room for some of what should be" in text


def test_all_counts_of_notes_fit_into_80_columns() -> None:
    run = finished()
    run["ledger"]["notes"] = {"calls": dict.fromkeys(NOTE.counts, 1_234)}
    assert row(summary(run, width=80), "calls") == ["calls", *["1,234"] * len(NOTE.counts)]


def test_a_run_of_metrics_or_spans_alone_is_not_said_to_have_no_records() -> None:
    """What it measured is said instead; resources that are outstanding measure no spans."""
    assert "complete. 345 events counted. Ended" in summary(with_accounts())
    run = with_accounts()
    counts = {**dict.fromkeys(SPAN.counts, 0), "accepted": 700}
    run["ledger"]["spans"] = {
        name: {"counts": counts, "emit": None, "metrics": {}} for name in ("blocked", "heap")
    }
    held = {
        "outstanding": "heap", "unit": "", "value": 0, "count": 0, "growth": 0, "cells": [],
        "cells_omitted": 0, "min_age_ns": 0, "caveats": [],
    }  # fmt: skip
    text = summary(run, outstanding=[held])
    assert "complete. 345 events counted, 700 spans measured. Ended" in text
    assert "record" not in text


def test_reads_that_failed_and_events_skipped_by_sampling_are_said() -> None:
    run = with_accounts()
    run["ledger"]["faulted"] = 6
    run["ledger"]["probes"]["read"]["hooks"][0]["sides"]["entry"]["sampled_out"] = 3105
    text = summary(run)
    assert "  6 memory reads failed: null in records, and a condition on one is false" in text
    assert "  3,105 events were skipped by sampling, as `sample` in the plan says" in text


def test_a_run_that_saw_nothing_says_where_everything_went() -> None:
    """And a limit that was reached is named with who enforced it."""
    text = summary(
        finished(nothing_seen_because="read fired 12,345 times: all filtered by where"),
        limits=(lifecycle()["limit.reached"],),
    )
    assert "nothing was seen: read fired 12,345 times" in text
    assert "limits.events (10,000) was reached: the run ended: after 3.2 s" in text


def test_metrics_are_tables_in_readable_units() -> None:
    """Keys and values; the cell `other` by name; what is left out by number."""
    cells = [
        {"key": {"comm": f"proc{i}"}, "other": False, "value": 1_500_000 - i} for i in range(25)
    ]
    cells.append({"key": {}, "other": True, "value": 7})
    text = summary(finished(), metric("sum", cells), metric("count", []))
    assert row(text, "proc0")[:5] == ["proc0", "1.5", "ms", "4.0", "%"]
    assert "… and 6 more" in text
    assert "read.latency (count): nothing counted" in text


def test_an_empty_histogram_is_said_in_a_word_as_other_metrics_are() -> None:
    """Its one cell is in the log; a table of dashes reports people nothing."""
    cell = {"key": {}, "other": False, **histogram_fields({})}
    assert "read.latency (histogram): nothing counted" in summary(
        finished(), metric("histogram", [cell])
    )


def test_histograms_show_percentiles_with_their_error_and_bars() -> None:
    """The longest bar for the fullest row; ranges, counts, and what lies outside."""
    counts = {LOG.index(600): 10, LOG.index(1023): 30, LOG.index(5000): 20}
    cell = {"key": {}, "other": False, **histogram_fields(counts, below=3)}
    text = summary(finished(), metric("histogram", [cell]))
    bars = [line for line in text.splitlines() if "│" in line]
    assert bars[0].split("│")[0].strip() == "[512 ns, 640 ns)"
    assert bars[-1].split("│")[0].strip() == "[4.1 µs, 5.12 µs)"
    assert [line.count("█") for line in bars if "█" in line] == [20, 60, 40]
    assert [line.split("│")[-1].strip() for line in bars if "█" in line] == ["10", "30", "20"]
    assert "below the buckets: 3" in text
    assert "count 63  p50 1.01 µs  p75 4.99 µs" in text
    assert "(±3.1 %)" in text


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    """Bars shrink with it, and on a narrow one fewer percentiles are reported."""
    cells = [
        {"key": {"comm": name, "n": 1}, "other": False, **histogram_fields({300: 5000, 400: 2})}
        for name in ("postgres", "kworker/u8:2")
    ]
    for line in summary(finished(), metric("histogram", cells), width=width).splitlines():
        assert len(line) <= width or "│" not in line
        assert len(line) <= max(width, 66)


def test_keyed_histograms_are_blocks_and_a_line_for_the_rest() -> None:
    """Each under its key's name; the table has them all."""
    cells = [
        {"key": {"comm": f"p{i}"}, "other": False, **histogram_fields({100: 9 - i, 140: 1})}
        for i in range(5)
    ]
    lines = summary(finished(), metric("histogram", cells)).splitlines()
    assert [line for line in lines if line in ("p0", "p1", "p2", "p3", "p4")] == ["p0", "p1", "p2"]
    assert "bars of 2 more keys are not drawn" in lines
    assert sum(line.startswith("p") and len(line.split()) > 3 for line in lines) == 6  # and `probe`


def test_counts_say_their_share_where_nothing_is_left_out() -> None:
    """A share of what is not known would be a guess."""
    cells = [{"key": {"comm": n}, "other": False, "value": v} for n, v in (("a", 75), ("b", 25))]
    whole = {**metric("count", cells), "display_unit": ""}
    assert row(summary(finished(), whole), "a")[:4] == ["a", "75", "75.0", "%"]
    assert "share" not in summary(finished(), {**whole, "cells_omitted": 1})


def test_a_histogram_of_a_single_value_is_a_line_and_no_chart() -> None:
    """A bar as wide as the terminal has no shape to show."""
    alone = {"key": {}, "other": False, **histogram_fields({LOG.index(300): 9})}
    text = summary(finished(), metric("histogram", [alone]))
    assert "│" not in text
    assert "█" not in text
    assert "  all 9 in [288 ns, 320 ns)\n" in text
    keyed = {**alone, "key": {"comm": "postgres", "stack": ["f+0x1", "g+0x2"]}}
    text = summary(finished(), metric("histogram", [keyed]))
    assert "f+0x1 < g+0x2: all 9 in [288 ns, 320 ns)" in text
    outside = {**alone, **histogram_fields({LOG.index(300): 9}, below=3)}
    assert "below the buckets: 3" in summary(finished(), metric("histogram", [outside]))


def test_stacks_are_a_frame_a_line_and_short_where_there_is_but_one() -> None:
    """Below their row from the innermost frame outwards; a deep one is cut."""
    deep = [f"f{i}+0x1" for i in range(20)]
    cells = [
        {
            "key": {"comm": "app", "kstack": frames},
            "other": False,
            **histogram_fields({100: 9, 140: 9}),
        }
        for frames in (["inner+0x4", "outer+0x2"], deep)
    ]
    lines = [line.rstrip() for line in summary(finished(), metric("histogram", cells)).splitlines()]
    first = next(at for at, line in enumerate(lines) if line.split()[:2] == ["app", "18"])
    assert lines[first - 1].split() == ["comm", "count", "p50", "p90", "p99", "p99.9"]
    assert lines[first + 1 : first + 3] == ["    inner+0x4", "    outer+0x2"]
    assert lines[first + 3] == ""
    assert lines[first + 4].split()[:2] == ["app", "18"]
    assert "    and 4 more" in lines
    assert "    f16+0x1" not in lines
    assert "inner+0x4 < outer+0x2" in lines
    assert "f0+0x1 < f1+0x1 < f2+0x1 < …" in lines


SYMBOL = "std::vector<std::basic_string<char>>::_M_realloc_insert<const_char_(&)[2]>+0x1a_(libx)"


@pytest.mark.parametrize("width", [40, 80])
def test_no_width_breaks_a_symbol_of_a_stack(width: int) -> None:
    """Rows, charts, and what is outstanding: frames are wrapped between them alone."""
    frames = [f"{SYMBOL}{i}" for i in range(3)]
    cell = {"key": {"comm": "app", "ustack": frames}, "other": False}
    histogram = metric("histogram", [{**cell, **histogram_fields({100: 9, 140: 2})}])
    counts = metric("count", [{**cell, "value": 3}, {"key": {}, "other": True, "value": 1}])
    single = metric("histogram", [{**cell, **histogram_fields({300: 9})}])
    kept = {"key": cell["key"], "value": 1, "count": 2, "growth": 0, "oldest_ns": 9}
    held = {
        "outstanding": "heap", "unit": "", "value": 1, "count": 2, "growth": 0, "cells": [kept],
        "cells_omitted": 0, "min_age_ns": 0, "caveats": [],
    }  # fmt: skip
    run = {"plan": "p", **finished()}
    out = io.StringIO()
    print_summary(run, [histogram, counts, single], outstanding=[held], file=out, width=width)
    words = out.getvalue().split()
    assert sum(word.startswith("std::vector<") for word in words) == 3 * 6
    assert all(word.rstrip(":") in frames for word in words if word.startswith("std::vector<"))
    assert "    (other)" in out.getvalue().splitlines()


def test_two_stacks_of_a_row_are_named_and_a_lost_one_is_said() -> None:
    cell = {"key": {"kstack": None, "ustack": ["main+0x1"]}, "other": False, "value": 3}
    more = {"key": {"kstack": ["vfs_read+0x1"], "ustack": []}, "other": False, "value": 1}
    lines = summary(finished(), metric("count", [cell, more])).splitlines()
    first = lines.index("  kstack:")
    assert lines[first : first + 4] == ["  kstack:", "    (unknown)", "  ustack:", "    main+0x1"]


def test_what_is_outstanding_is_a_table_with_its_caveats() -> None:
    """Its value in its unit, how many, how much more than before, and how old the oldest is."""
    cells = [
        {"key": {"comm": "leaky"}, "value": 8 << 20, "count": 2, "growth": 4096, "oldest_ns": 9},
        {"key": {"comm": "b"}, "value": 5, "count": 1, "growth": -5, "oldest_ns": 2_500_000_000},
    ]
    held = {
        "outstanding": "heap", "unit": "bytes", "value": (8 << 20) + 5, "count": 1234,
        "growth": 0, "cells": cells, "cells_omitted": 3, "min_age_ns": 10_000_000_000,
        "caveats": ["what was opened before the run began is not seen"],
    }  # fmt: skip
    text = summary(finished(), outstanding=[held])
    assert "heap outstanding: 8 MiB in 1,234, at least 10 s old" in text
    assert row(text, "leaky") == ["leaky", "8", "MiB", "2", "4", "KiB", "9", "ns"]
    assert row(text, "b") == ["b", "5", "B", "1", "-5", "B", "2.5", "s"]
    assert "and 3 more" in text
    assert "note: what was opened before the run began is not seen" in text


def test_warnings_are_marked_and_told_with_their_numbers() -> None:
    """In the units of what was judged; bold and yellow where there are colours."""
    warning = lifecycle()["metric.warned"]
    cell = {"key": {"comm": "cat"}, "other": False, **histogram_fields({300: 1})}
    text = summary(finished(), metric("histogram", [cell]), warnings=[warning])
    assert "warning: read.latency: p99 > 10*ms: comm=cat: p99 12.4 ms" in text
    assert "warning: read.latency: p99 > 10*ms: and 2 more cells" in text


def test_derived_figures_and_what_stopped_a_run_are_told() -> None:
    """With the units of the metrics that they name; without a value is a dash."""
    stop = {
        "condition": "total(read.latency) > 10*ms",
        "numbers": {
            "total(read.latency)": 12_000_000,
            "share": 2.5,
            "read.latency.count": 3,
        },
    }
    cells = [{"key": {}, "other": False, "value": 12_000_000}]
    text = summary(
        finished(outcome="stop_when"),
        metric("sum", cells),
        figures=lifecycle()["figure.reported"],
        stopped=stop,
        places=["log: /var/log/x"],
    )
    assert row(text, "mean") == ["mean", "4", "KiB"]
    assert row(text, "share") == ["share", "-"]
    reported = "total(read.latency) 12 ms, share 2.50 %, read.latency.count 3"
    assert f"stopped: total(read.latency) > 10*ms: {reported}" in text
    assert "Ended by its stop_when" in text
    assert text.splitlines()[-1] == "log: /var/log/x"


@contextmanager
def terminal(columns: int = 80, lines: int = 50) -> Iterator[tuple[TextIO, Callable[[], str]]]:
    """A terminal to write to, and what it was sent so far."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (lines, columns))
    os.set_blocking(ours, False)
    sent = b""

    def read() -> str:
        nonlocal sent
        with suppress(BlockingIOError):
            while True:
                sent += os.read(ours, 65536)
        return sent.decode()

    with os.fdopen(theirs, "w") as stream:
        yield stream, read
    os.close(ours)


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_and_for_who_wants_them(
    environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """https://no-color.org: set and not empty; the words are the same."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    with terminal() as (stream, read):
        record = {"plan": "p", **finished()}
        print_summary(record, warnings=[lifecycle()["metric.warned"]], file=stream)
        assert ("\x1b[1;33mwarning" in read()) is coloured
        assert "warning: read.latency: p99 > 10*ms" in read()
    assert "\x1b" not in summary(finished(), warnings=[lifecycle()["metric.warned"]])


def test_columns_decide_the_width_or_else_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """COLUMNS, as shells export it, wins over the terminal's own size."""
    cell = {"key": {}, "other": False, **histogram_fields({100: 5, 140: 1})}
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    widths = []
    for columns in ("", "50"):
        if columns:
            monkeypatch.setenv("COLUMNS", columns)
        with terminal(columns=70) as (stream, read):
            print_summary({"plan": "p", **finished()}, [metric("histogram", [cell])], file=stream)
            widths.append(max(len(line) for line in read().splitlines() if "│" in line))
    assert widths == [70, 50]


def test_names_from_processes_cannot_drive_the_terminal() -> None:
    """Escape sequences in a comm are shown, not obeyed; nor is rich's markup."""
    hostile = "\x1b[2J[red]x\u202e"
    cells = [{"key": {"comm": hostile}, "other": False, "value": 1}]
    stack = [{"key": {"ustack": [hostile], hostile: hostile}, "other": False, "value": 1}]
    held = [{"limit": "rate", "probe": hostile, "bound": hostile, "records": 1}]
    run = {**finished(held_back=held, incomplete_because=[hostile]), "plan": hostile}
    single = {**stack[0], **histogram_fields({300: 5})}
    metrics = (metric("count", cells), metric("count", stack), metric("histogram", [single]))
    text = summary(run, *metrics)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[2J[red]x\\u202e" in text


def test_keys_that_are_addresses_are_hexadecimal_in_all_tables() -> None:
    """By their type, or because a number is that large; a count of 8 bytes stays a count."""

    def part(name: str, unit: FieldUnit) -> KeyField:
        return KeyField(name=name, form="u64", offset=0, size=8, unit=unit)

    keys = [part("lock", "address"), part("word", "word"), part("n", "")]
    owners: list[tuple[str, str | None]] = [("read", "latency"), ("heap", None)]
    addresses = dict.fromkeys(owners, keys)
    key = {"lock": 4096, "word": 0xFFFF888000000000, "n": 4097, "comm": "cat"}
    warning = {
        **lifecycle()["metric.warned"],
        "cells": [{"key": key, "other": False, "numbers": {}}],
    }
    held = {
        "outstanding": "heap", "unit": "", "value": 1, "count": 2, "growth": 0, "cells_omitted": 0,
        "cells": [{"key": key, "value": 1, "count": 2, "growth": 0, "oldest_ns": 9}],
        "min_age_ns": 0, "caveats": [],
    }  # fmt: skip
    text = summary(
        finished(), metric("count", [{"key": key, "other": False, "value": 5}]),
        warnings=[warning], outstanding=[held], addresses=addresses,
    )  # fmt: skip
    assert text.count("0x1000") == 3
    assert text.count("0xffff888000000000") == 3
    assert text.count("4097") == 3
    assert "4096" not in text
