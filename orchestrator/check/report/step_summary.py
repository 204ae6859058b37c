"""The summary of a step of GitHub Actions: a table for each check, in Markdown. Pure."""

from collections.abc import Iterator, Sequence

from orchestrator.check.report.check_report import CheckReport
from orchestrator.check.report.rows import list_headings, list_remarks, list_rows
from orchestrator.check.verdict.model import CheckVerdict
from orchestrator.plan.printable import make_printable

__all__ = ["MOST_BYTES", "make_summary"]

#: GitHub refuses the summary of a step, with all that the step has written, beyond 1 MiB.
MOST_BYTES = 1_000_000
_CUT = "\n*The summary is cut here: it would be larger than {most:,} bytes.*\n"
#: What means something in GitHub's Markdown, mathematics and emoji between text, or in HTML.
_MARKUP = frozenset("\\`*_{}[]<>()#!|~&$:@\"'")


def make_summary(reports: Sequence[CheckReport], room: int = MOST_BYTES) -> bytes:
    """The summary in UTF-8, of at most `room` bytes; cut at the end of a row, which it says. Empty
    where there is not even room for that."""
    cut = _CUT.format(most=MOST_BYTES).encode()
    parts: list[bytes] = []
    left = room - len(cut)
    if left < 0:
        return b""
    for report in reports:
        for line in _list_lines(report):
            encoded = f"{line}\n".encode()
            if len(encoded) > left:
                return b"".join((*parts, cut))
            left -= len(encoded)
            parts.append(encoded)
    return b"".join(parts)


def _list_lines(report: CheckReport) -> Iterator[str]:
    check = report.check
    yield f"### {_escape(check.name)}: {_escape(check.metadata.summary)}"
    yield ""
    if report.verdict is None:
        yield from (_escape(f"not measured: {line}") for line in report.trouble.split("\n")[:1])
    else:
        yield from _list_table(report.verdict)
    yield ""


def _list_table(verdict: CheckVerdict) -> Iterator[str]:
    headings = list_headings(verdict)
    yield _show_cells(headings)
    yield f"|---|{'--:|' * (len(headings) - 2)}---|"
    for row in list_rows(verdict):
        name, *figures, outcome = map(_escape, row.texts)
        yield _show_cells((name, *figures, outcome if row.is_good else f"**{outcome}**"))
    yield ""
    for remark in list_remarks(verdict):
        yield f"- {_escape(remark)}"


def _show_cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    """Text that is shown as it is: what could be markup is written as character references, which
    Markdown never takes for structure (CommonMark, 2.5)."""
    return "".join(f"&#{ord(c)};" if c in _MARKUP else c for c in make_printable(text))
