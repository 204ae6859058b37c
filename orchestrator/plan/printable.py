"""Foreign text in messages: file names and strings of plans must not command a terminal or a CI
system that reads our lines."""

__all__ = ["make_printable", "make_printable_lines", "make_printable_name"]


def make_printable(text: str) -> str:
    """`text` as part of a line: control characters, line ends and characters that reorder or hide
    text are written as Python escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def make_printable_name(name: str) -> str:
    """A file name that begins a line. `::` would begin a workflow command there."""
    shown = make_printable(name)
    return f"./{shown}" if shown.startswith("::") else shown


def make_printable_lines(text: str) -> str:
    """`text` with its lines and tabs; each line as of `make_printable`."""
    return "\n".join(
        "\t".join(make_printable(part) for part in line.split("\t")) for line in text.split("\n")
    )


def _escape(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte of a file name that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")
