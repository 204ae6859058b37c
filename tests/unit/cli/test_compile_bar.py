"""The line that says how many programs are compiled."""

import io

import pytest

from orchestrator.cli.bundle.compile_bar import CompileBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class GoneTerminal(Terminal):
    def write(self, _text: str) -> int:
        raise OSError(5, "gone")


def test_a_terminal_has_one_line_that_is_redrawn_and_taken_away() -> None:
    terminal = Terminal()
    bar = CompileBar(terminal)
    bar.update(1, 2)
    bar.update(2, 2)
    bar.hide()
    assert terminal.getvalue().split("\r\x1b[K") == [
        "",
        "1 of 2 programs compiled",
        "2 of 2 programs compiled",
        "",
    ]


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_elsewhere_nothing_is_drawn(stream: io.StringIO | None) -> None:
    bar = CompileBar(stream)
    bar.update(1, 2)
    bar.hide()
    assert stream is None or not stream.getvalue()


def test_a_terminal_that_is_gone_does_not_end_the_build() -> None:
    bar = CompileBar(GoneTerminal())
    bar.update(1, 2)
    bar.hide()
