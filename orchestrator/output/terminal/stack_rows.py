"""Rows of a table whose keys contain stacks: the other columns in one line, and below it a line for
each frame. A frame is never broken by us, whatever the width: a symbol stays one word to search
for, and a terminal wraps what is longer than its lines. Imports rich (23 ms)."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text

from orchestrator.values import dataclass

__all__ = ["StackRow", "draw_stack_rows", "wrap_frames"]

_GAP = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class StackRow:
    """One row: `columns` as texts, the stacks by their key's name, each from the innermost frame
    outwards, and a style."""

    columns: Sequence[str]
    stacks: Sequence[tuple[str, Sequence[str]]]
    style: str = ""


def draw_stack_rows(
    headings: Sequence[str], rows: Sequence[StackRow], *, texts: int
) -> Iterator[Text]:
    """The rows under their headings. The first `texts` columns and bars, which have no heading, are
    aligned to the left, the others to the right. Texts are printable."""
    is_left = [index < texts or not heading for index, heading in enumerate(headings)]
    table = [headings, *(row.columns for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    yield _make_line(_join_columns(headings, widths, is_left), "bold")
    for number, row in enumerate(rows):
        yield from [_make_line("", "")] if number else []
        yield _make_line(_join_columns(row.columns, widths, is_left), row.style)
        for name, frames in row.stacks:
            named = len(row.stacks) > 1
            yield from [_make_line(f"  {name}:", row.style)] if named else []
            yield from (_make_line(f"    {frame}", row.style) for frame in frames)


def wrap_frames(frames: Sequence[str], width: int) -> list[str]:
    """Frames in few lines, `inner < outer < …`, broken between frames alone."""
    lines: list[str] = []
    for index, frame in enumerate(frames):
        part = frame if index == 0 else f" < {frame}"
        if lines and cell_len(lines[-1]) + cell_len(part) <= width:
            lines[-1] += part
        else:
            lines.append(frame if index == 0 else f"  < {frame}")
    return lines


def _join_columns(columns: Sequence[str], widths: Sequence[int], is_left: Sequence[bool]) -> str:
    padded = []
    for text, width, left in zip(columns, widths, is_left, strict=True):
        space = " " * (width - cell_len(text))
        padded.append(text + space if left else space + text)
    return _GAP.join(padded).rstrip()


def _make_line(text: str, style: str) -> Text:
    """A line as it is: `overflow="ignore"` is what the summary prints without cropping."""
    return Text(text, style=style, no_wrap=True, overflow="ignore")
