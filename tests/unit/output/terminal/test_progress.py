"""The progress bar, on a terminal only."""

import io
import os
import pty

from orchestrator.output.terminal.progress import Progress, format_progress, hidden_at_end


def test_the_bar_is_drawn_on_a_terminal_and_taken_away() -> None:
    """After `hide` the line is empty again, so that a log line can stand there."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        with hidden_at_end(Progress(10, terminal)) as progress:
            progress.update(5, 1000, "unknown")
            drawn = os.read(ours, 4096).decode()
            progress.hide()
            assert os.read(ours, 4096).decode() == "\r\x1b[K"
        assert drawn.startswith("\r\x1b[K[############............] 5.0/10 s")
        assert "1,000 events  200/s  unknown lost" in drawn
    os.close(ours)


def test_what_takes_a_while_is_shown_until_the_bar_takes_its_place() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, hidden_at_end(Progress(10, terminal)) as progress:
        progress.announce("compiling (first time)")
        assert os.read(ours, 4096).decode() == "\r\x1b[Kcompiling (first time)"
        progress.update(0, 0, 0)
        assert os.read(ours, 4096).decode().startswith("\r\x1b[K[....")
    os.close(ours)


def test_the_bar_is_drawn_at_most_ten_times_a_second() -> None:
    """However often it is reported."""
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
    with hidden_at_end(Progress(10, out)) as progress:
        progress.update(5, 1000, 0)
    assert out.getvalue() == ""
    out.close()
    Progress(10, out).update(5, 1000, 0)


def test_what_is_not_known_to_be_lost_is_unknown() -> None:
    """Without a duration there is no bar, only the time."""
    assert format_progress(2.0, None, 10, "unknown") == "2.0 s  10 events  5/s  unknown lost"
    assert format_progress(0.0, None, 0, 1234) == "0.0 s  0 events  0/s  1,234 lost"
