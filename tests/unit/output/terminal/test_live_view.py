"""The live view, on a terminal that remembers what it was sent."""

import re
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from orchestrator.output.terminal import live_view as view
from orchestrator.output.terminal.live_view import LiveView
from orchestrator.output.terminal.progress import hidden_at_end
from tests.support.samples import lifecycle, metric
from tests.unit.output.terminal.test_summary import terminal

if TYPE_CHECKING:
    from orchestrator.compile.program import Program

PROGRAM = cast("Program", SimpleNamespace(metrics=(), spans=()))
KEY = [
    SimpleNamespace(name=name, size=8, unit=unit)
    for name, unit in (("caller", "address"), ("size", ""))
]
ADDRESSES = SimpleNamespace(probe="read", name="calls", key=KEY)
CELL = {"key": {"comm": "cat"}, "other": False, "value": 7}


def looked(value: int) -> Any:
    return SimpleNamespace(
        metrics=[metric("count", [{**CELL, "value": value}], unit="")],
        derived=lifecycle()["figure.reported"],
        warnings=[lifecycle()["metric.warned"]],
        outstanding=[],
    )


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def screen(sent: str) -> list[str]:
    """The lines that a terminal shows: line feeds, cursor up, erased lines; colours aside."""
    rows, row = [""], 0
    for code, text in re.findall(r"(\x1b\[\??[0-9;]*[A-Za-z]|\r|\n)|([^\x1b\r\n]+)", sent):
        match code:
            case "":
                rows[row] += text
            case "\n":
                row += 1
                rows += [""] * (row == len(rows))
            case "\x1b[1A":
                row -= 1
            case "\x1b[2K":
                rows[row] = ""
    return rows


def test_it_shows_the_metrics_over_its_own_lines_and_goes_away(monkeypatch) -> None:
    """Twice drawn, the second over the first; at the end every line of it is taken back."""
    monkeypatch.setattr(view, "_PERIOD", 0)
    with terminal() as (stream, read):
        values = iter((7, 8))
        with hidden_at_end(LiveView(10, stream)) as live:
            live.follow(lambda: looked(next(values)), PROGRAM)
            live.update(1, 5, 0)
            first = screen(read())
            live.update(2, 5, 0)
            second = screen(read())
            live.hide()
            last = screen(read())
        assert "\x1b[?25h" in read(), "a run that is killed leaves the cursor to be seen"
    assert first[0] == "[##......................] 1.0/10 s  5 events  5/s  0 lost"
    assert first[1] == "warning: read.latency: p99 > 10*ms: comm=cat: p99 12.4 ms"
    assert [line.split() for line in first[-2:]] == [["comm", "count"], ["cat", "7"]]
    assert ["mean", "4", "KiB"] in [line.split() for line in first]
    assert second[0].endswith("2.0/10 s  5 events  2/s  0 lost")
    assert second[1:-1] == first[1:-1]
    assert second[-1].split() == ["cat", "8"]
    assert set(last) == {""}


def test_it_is_drawn_once_a_second(monkeypatch) -> None:
    """However often it is reported; the metrics are read no more often."""
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    reads = []
    with terminal() as (stream, _), hidden_at_end(LiveView(None, stream)) as live:
        live.follow(lambda: reads.append(clock[0]) or looked(1), PROGRAM)
        for _ in range(30):
            live.update(1, 1, 0)
            clock[0] += 0.1
    assert len(reads) == 3


def test_it_is_no_taller_than_the_terminal(monkeypatch) -> None:
    """What does not fit is left out: lines that scrolled away could not be drawn over."""
    cells = [{**CELL, "key": {"comm": f"p{i}"}} for i in range(40)]
    many = SimpleNamespace(
        metrics=[metric("count", cells, unit="")] * 3, derived=None, warnings=[], outstanding=[]
    )
    with terminal(lines=15) as (stream, read), hidden_at_end(LiveView(None, stream)) as live:
        live.follow(lambda: many, PROGRAM)
        live.update(1, 1, 0)
        assert read().count("\n") < 15


def test_a_terminal_that_went_away_does_not_end_the_run() -> None:
    """The view is gone, the run goes on."""
    with terminal() as (stream, _):
        live = LiveView(None, stream)
        stream.close()
        live.update(1, 1, 0)
        live.hide()


def test_addresses_in_keys_are_hexadecimal(monkeypatch) -> None:
    program = SimpleNamespace(metrics=[ADDRESSES], spans=())
    cell = {**CELL, "key": {"caller": 0xFFFF_FFFF_8100_0000, "size": 4096}}
    seen = metric("count", [cell], unit="") | {"probe": "read", "metric": "calls"}
    look = SimpleNamespace(metrics=[seen], derived=None, warnings=[], outstanding=[])
    with terminal() as (stream, read), hidden_at_end(LiveView(10, stream)) as live:
        live.follow(lambda: cast("Any", look), cast("Program", program))
        live.update(1, 5, 0)
        drawn = "\n".join(screen(read()))
    assert "0xffffffff81000000" in drawn
    assert " 4096" in drawn
