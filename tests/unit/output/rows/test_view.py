"""The view of a run: shown and omitted records are all, whatever the terminal takes; it holds up no
run, and a terminal that is gone ends a run whose only output it is."""

import errno
import io
import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator.kernel.facts import live_facts
from orchestrator.output.rows.view import RowView
from orchestrator.output.run_output import DiscardingSink
from orchestrator.output.sink import Sink
from orchestrator.run.choice import Prepared, choose_backend
from orchestrator.run.lifecycle import Run
from orchestrator.run.options import RunOptions
from orchestrator.run.report.result import RunResult
from orchestrator.run.signals import Signals
from tests.support.fake_backend import FakeBackend, Script, program
from tests.support.fake_runs import a_plan, checked_lines

ROW = re.compile(r"^\d\d:\d\d:\d\d\.\d{3}  ", re.MULTILINE)
MORE = re.compile(r"^\+([\d,]+) more$", re.MULTILINE)


class GoneTerminal(Sink):
    """Fails as a terminal that was hung up does."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.failed = errno.EIO


class StuckTerminal(Sink):
    """Takes nothing, until it is given up."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.pushes = 0

    @property
    def congested(self) -> bool:
        return self.failed is None

    def push(self, patience_s: float) -> bool:
        self.pushes += 1
        return False

    def give_up(self) -> None:
        self.failed = errno.EAGAIN


def make_view(sink: Sink, **options: Any) -> RowView:
    return RowView(sink, io.StringIO(), colours=False, **options)


def ran(tmp_path: Path, view: RowView, log: Sink, batches: list[list[int]]) -> RunResult:
    facts, wanted = live_facts(), program()
    backend = {"bcc": FakeBackend(Script(batches=batches))}
    with Signals() as signals:
        prepared = Prepared(
            plan=a_plan(),
            facts=facts,
            policies=(),
            program=wanted,
            choice=choose_backend(wanted, facts, "bcc", backend),
        )
        options = RunOptions(log=log, view=view, journals=(tmp_path / "journals",))
        return Run(prepared, options, None, signals).execute()


def counted(text: str) -> tuple[int, int]:
    return len(ROW.findall(text)), sum(int(n.replace(",", "")) for n in MORE.findall(text))


def test_what_is_shown_and_what_is_left_out_is_what_was_delivered(tmp_path: Path) -> None:
    terminal, log = io.BytesIO(), io.BytesIO()
    view = make_view(Sink(terminal), per_second=1)
    batches = [list(range(40)) for _ in range(5)]
    result = ran(tmp_path, view, Sink(log), batches)
    shown, omitted = counted(terminal.getvalue().decode())
    assert (shown, omitted) == (view.shown, view.omitted)
    assert shown + omitted == result.finished["delivered"] == 200
    assert 10 <= shown < 200
    events = [line for line in checked_lines(log.getvalue()) if line["event"] == "event.recorded"]
    assert len(events) == 200


def test_records_that_no_one_keeps_are_accounted_as_if_a_pipe_got_them(tmp_path: Path) -> None:
    terminal = io.BytesIO()
    sink = Sink(terminal)
    result = ran(tmp_path, make_view(sink), DiscardingSink(sink), [[1, 2, 3]])
    assert (result.finished["delivered"], result.complete) == (3, True)
    text = terminal.getvalue().decode()
    assert counted(text) == (3, 0)
    assert "{" not in text
    assert text.startswith("fake-plan: 1 attach point by fake (bcc); ends after 100 ms")


def test_a_terminal_that_is_gone_ends_a_run_that_has_no_other_output(tmp_path: Path) -> None:
    gone = GoneTerminal()
    result = ran(tmp_path, make_view(gone), DiscardingSink(gone), [[1, 2]])
    assert result.outcome == "output"


def test_a_terminal_that_is_gone_does_not_end_a_run_with_a_log(tmp_path: Path) -> None:
    log = io.BytesIO()
    view = make_view(GoneTerminal())
    result = ran(tmp_path, view, Sink(log), [[1, 2]])
    assert (result.outcome, result.finished["delivered"]) == ("duration", 2)
    assert (view.shown, view.omitted) == (0, 2)


def test_a_terminal_that_takes_nothing_holds_up_no_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.run import delivery

    monkeypatch.setattr(delivery, "_PATIENCE_S", 0.1)
    stuck, log = StuckTerminal(), io.BytesIO()
    view = make_view(stuck)
    result = ran(tmp_path, view, Sink(log), [[1, 2], [3]])
    assert (result.outcome, result.finished["delivered"]) == ("duration", 3)
    assert (view.shown, view.omitted) == (0, 3)
    assert stuck.pushes > 0


def test_without_a_summary_the_end_is_shown_here(tmp_path: Path) -> None:
    terminal = io.BytesIO()
    ran(tmp_path, make_view(Sink(terminal), has_summary=False), Sink(io.BytesIO()), [[1]])
    text = terminal.getvalue().decode()
    assert "opens.calls (count)" in text
    assert re.search(r"^ended after .*: 1 records, 0 lost$", text, re.MULTILINE)


def test_lines_are_held_for_a_view_that_is_drawn_after_them() -> None:
    """They come together, and what is drawn is taken away once, before them."""
    terminal, written_before = io.BytesIO(), []
    view = make_view(
        Sink(terminal),
        before=lambda: written_before.append(terminal.getvalue()),
        hold_ns=1 << 62,
    )
    for by_ns in (1, 2):
        view.note("clock.stepped", "warning", {"by_ns": by_ns})
        view.tick()
    assert terminal.getvalue() == b""
    view.note("run.finished", "info", {})
    assert terminal.getvalue().count(b"the system's clock was set forward by") == 2
    assert written_before == [b""]
