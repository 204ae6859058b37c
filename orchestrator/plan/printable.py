"""Foreign text in messages: file names and strings of plans must not command a terminal or a CI
system that reads our lines."""

import re

__all__ = ["make_printable", "make_printable_lines", "make_printable_name"]

#: GitHub Actions obeys `::command::` at the beginning of a line, after white space too, and
#: `##[command]` within a line (actions/runner, src/Runner.Common/ActionCommand.cs); Azure Pipelines
#: `##vso[command]`, and TeamCity `##teamcity[command]`.
_LINE_COMMAND = re.compile(r"^(?P<margin>\s*)::", re.MULTILINE)
_COMMAND = re.compile(r"##(?=\w*\[)")


def make_printable(text: str) -> str:
    """`text` as part of a line: control characters, line ends and characters that reorder or hide
    text are written as Python escapes, and so is what begins a command of a CI system anywhere in
    a line."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escape(char) for char in text)
    return _COMMAND.sub(r"\\x23#", text) if "##" in text else text


def make_printable_name(name: str) -> str:
    """A file name that begins a line. `::` would begin a workflow command there."""
    shown = make_printable(name)
    return f"./{shown}" if shown.startswith("::") else shown


def make_printable_lines(text: str) -> str:
    """`text` with its lines and tabs; each line as of `make_printable`, and none a command."""
    lines = "\n".join(
        "\t".join(make_printable(part) for part in line.split("\t")) for line in text.split("\n")
    )
    return _LINE_COMMAND.sub(r"\g<margin>\\x3a:", lines) if "::" in lines else lines


def _escape(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte of a file name that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")
