"""What people read on standard error."""

import io
import os
import pty

import pytest

from orchestrator.compile.histogram import bucket_index
from orchestrator.output.people import amount, harmless, histogram_rows
from orchestrator.output.percentiles import histogram_fields
from orchestrator.output.progress import Progress
from orchestrator.output.summary import print_summary
from tests.output.samples import finished, lifecycle, metric


def summary(record: dict, *records: dict, limits: tuple[dict, ...] = ()) -> str:
    """The summary as text."""
    out = io.StringIO()
    print_summary({"plan": "slow-reads", **record}, records, limits, file=out, width=110)
    return out.getvalue()


def row(text: str, start: str) -> list[str]:
    """The words of the line that starts with a word."""
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [start])


def test_a_probe_s_row_says_where_its_events_went() -> None:
    """Fired at the entry, kept at the return, what is lost, and that some of it is unknown."""
    words = row(summary(finished()), "read")
    assert words == ["read", "fexit", "12,345", "345", "340", "7", "+", "unknown"]


def test_the_verdict_says_incomplete_and_why() -> None:
    """An incomplete run cannot be overlooked."""
    text = summary(finished())
    assert "slow-reads: INCOMPLETE. 340 records in 30 s, 5 lost; ended by its duration" in text
    assert "5 records of read were lost: no room in the buffer" in text
    assert "slow-reads: complete." in summary(finished(complete=True, why_incomplete=[]))
    assert "completeness unknown" in summary(finished(complete="unknown"))


def test_a_run_that_saw_nothing_says_where_everything_went() -> None:
    """And a limit that was reached is named with who enforced it."""
    text = summary(
        finished(saw_nothing="read fired 12,345 times: all filtered by where"),
        limits=(lifecycle()["limit.reached"],),
    )
    assert "nothing was seen: read fired 12,345 times" in text
    assert "limit reached: events 10,000, by the kernel, stop: after 3.2 s" in text


def test_metrics_are_tables_in_readable_units() -> None:
    """Keys and values; the cell `other` by name; what is left out by number."""
    cells = [
        {"key": {"comm": f"proc{i}"}, "other": False, "value": 1_500_000 - i} for i in range(25)
    ]
    cells.append({"key": {}, "other": True, "value": 7})
    text = summary(finished(), metric("sum", cells), metric("count", []))
    assert row(text, "proc0") == ["proc0", "1.5", "ms"]
    assert "… and 6 more" in text
    assert "read.latency (count): nothing counted" in text


def test_an_empty_histogram_is_said_in_a_word_as_other_metrics_are() -> None:
    """Its one cell stands in the log; a table of dashes tells people nothing."""
    cell = {"key": {}, "other": False, **histogram_fields({})}
    assert "read.latency (histogram): nothing counted" in summary(
        finished(), metric("histogram", [cell])
    )


def test_histograms_show_percentiles_and_bars() -> None:
    """One bar an octave, the longest for the fullest, empty ones between kept."""
    counts = {bucket_index(600): 10, bucket_index(1023): 30, bucket_index(5000): 20}
    cell = {"key": {}, "other": False, **histogram_fields(counts, below=3)}
    text = summary(finished(), metric("histogram", [cell]))
    bars = [line for line in text.splitlines() if "│" in line]
    assert [line.count("█") for line in bars] == [40, 0, 0, 20]
    assert [line.split("│")[-1].strip() for line in bars] == ["40", "0", "0", "20"]
    assert "below the buckets: 3" in text
    assert "1.01 µs" in text


def test_names_from_processes_cannot_drive_the_terminal() -> None:
    """Escape sequences in a comm are shown, not obeyed; nor is rich's markup."""
    cells = [{"key": {"comm": "\x1b[2J[red]x\u202e"}, "other": False, "value": 1}]
    text = summary(finished(), metric("count", cells))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[2J[red]x\\u202e" in text
    assert harmless("a\nb") == "a\\nb"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1500, "ns", "1.5 µs"), (30_000_000_000, "us", "30 s"), (0, "ns", "0 ns"),
        (8 << 20, "bytes", "8 MiB"), (1234567, "", "1,234,567"), (None, "ns", "-"),
        ("unknown", "ns", "unknown"), (999_999, "ns", "1,000 µs"), (2.5, "pages", "2.50 pages"),
    ],
)  # fmt: skip
def test_amounts_read_well(value: float, unit: str, text: str) -> None:
    """Durations are ns and sizes bytes, whatever the display unit."""
    assert amount(value, unit) == text


def test_many_linear_buckets_are_grouped_without_losing_any() -> None:
    """At most two dozen rows."""
    rows = histogram_rows([[i, 2] for i in range(100)], linear=True)
    assert len(rows) <= 24
    assert sum(number for _, number in rows) == 200


def test_the_bar_is_drawn_on_a_terminal_and_taken_away() -> None:
    """After `hide` the line is empty again, so that a log line can stand there."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        with Progress(10, terminal) as progress:
            progress.update(5, 1000, None)
            drawn = os.read(ours, 4096).decode()
            progress.hide()
            assert os.read(ours, 4096).decode() == "\r\x1b[K"
        assert drawn.startswith("\r\x1b[K[############............] 5.0/10 s")
        assert "1,000 events  200/s  unknown lost" in drawn
    os.close(ours)


def test_the_bar_is_drawn_at_most_ten_times_a_second() -> None:
    """However often it is told."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        progress = Progress(None, terminal)
        progress.update(1, 1, 0)
        progress.update(1, 2, 0)
        assert os.read(ours, 4096).decode().count("events") == 1
    os.close(ours)


def test_nothing_is_drawn_where_there_is_no_terminal() -> None:
    """Nor on a stream that is closed."""
    out = io.StringIO()
    with Progress(10, out) as progress:
        progress.update(5, 1000, 0)
    assert out.getvalue() == ""
    out.close()
    Progress(10, out).update(5, 1000, 0)
