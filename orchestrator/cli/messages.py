"""Messages for people, on standard error."""

import sys

__all__ = ["print_error", "print_message", "print_note"]


def print_error(text: str) -> None:
    """Print `text` as it is. Does nothing if standard error is closed, or nothing reads it."""
    if sys.stderr is None:  # print would take standard output instead
        return
    try:
        print(text, file=sys.stderr)
    except OSError:
        return  # the exit code has to do


def print_message(text: str) -> None:
    """Print `text` after the name of the program, without which it could be of its COMMAND."""
    print_error(f"probeplan: {text}")


def print_note(text: str) -> None:
    """Print something that people should know and that fails nothing."""
    print_message(f"note: {text}")
