"""Messages for people, on standard error."""

import argparse
import os
import select
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from orchestrator.plan.printable import make_printable_lines

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

__all__ = ["CommandParser", "HelpText", "print_annotations", "print_error", "print_message"]
__all__ += ["print_note", "print_text"]

_PATIENCE_MS = 2000
_USUAL_COLUMNS = 80


def print_error(text: str) -> None:
    """Print `text`, with what could command a terminal escaped. Does nothing if standard error is
    closed, or nothing reads it."""
    _print_line(make_printable_lines(text))


def print_annotations(lines: Iterable[str]) -> None:
    """Print lines of `workflow_commands` as they are, for GitHub's runner to obey; as `print_error`
    where standard error takes nothing. The runner reads it as it does standard output."""
    for line in lines:
        _print_line(line)


def _print_line(text: str) -> None:
    if sys.stderr is None:  # print would take standard output instead
        return
    try:
        if _is_read(sys.stderr):
            print(text, file=sys.stderr)
    except OSError:
        return  # the exit code has to do


def print_text(text: str) -> None:
    """Print lines on standard output, with what could command a terminal escaped."""
    print(make_printable_lines(text))


def _is_read(stream: TextIO) -> bool:
    """Whether a pipe or terminal takes text, soon at least. A message must not hold up the end of
    a run whose reader has stopped reading."""
    poll = select.poll()
    try:
        poll.register(stream.fileno(), select.POLLOUT)
    except (OSError, ValueError):  # it is no file
        return True
    return bool(poll.poll(_PATIENCE_MS))


def print_message(text: str) -> None:
    """Print `text` after the name of the program, without which it could be of its COMMAND."""
    print_error(f"probeplan: {text}")


def print_note(text: str) -> None:
    """Print something that people should know and that fails nothing."""
    print_message(f"note: {text}")


class HelpText(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal, or as COLUMNS says. argparse makes one for each argument that
    is added, and would import shutil for the first: 4 ms of each start."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_find_columns() - 2)


def _find_columns() -> int:
    """As shutil.get_terminal_size has it."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        descriptor = sys.__stdout__.fileno()  # type: ignore[union-attr]  # None: as if closed
        return os.get_terminal_size(descriptor).columns or _USUAL_COLUMNS
    except (AttributeError, OSError, ValueError):
        return _USUAL_COLUMNS


class CommandParser(argparse.ArgumentParser):
    """A parser whose exit code stays what it is when no stream is open for its text."""

    def _print_message(self, message: str, file: "SupportsWrite[str] | None" = None) -> None:
        stream = file if file is not None else sys.stderr
        if stream is not None:
            super()._print_message(message, stream)
