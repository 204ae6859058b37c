"""What the tests of the documentation read: its pages, their blocks, tables and code spans."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from tests.support.paths import ROOT

DOCS = ROOT / "docs"
PAGES = (*sorted(DOCS.glob("*.md")), ROOT / "CONTRIBUTING.md")

#: How a YAML block that is no whole plan becomes one.
HEAD = "apiVersion: probeplan/v1\nkind: ProbePlan\nmetadata: {name: example, summary: An example}\n"
PROBES = 'probes:\n  read: {attach: "syscall:read", emit: {}}\n'

_FENCE = re.compile(r"^ *```(\S*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block of a page: `line` is that of its fence."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a page in these languages, in order."""
    text = page.read_text()
    return [
        Block(page=page, line=text.count("\n", 0, m.start()) + 1, language=m[1], text=dedent(m[2]))
        for m in _FENCE.finditer(text)
        if m[1] in languages
    ]


def code_spans(page: Path) -> Iterator[str]:
    """The texts between backticks, outside of fenced blocks."""
    prose = _FENCE.sub("", page.read_text())
    return (" ".join(match[1].split()) for match in _SPAN.finditer(prose))


def section(text: str, heading: str) -> str:
    """What is below a heading, up to the next one of its level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    below = text.partition(f"\n{heading}\n")[2]
    assert below, f"no heading {heading!r}"
    end = re.search(rf"^#{{1,{level}}} ", below, re.MULTILINE)
    return below[: end.start()] if end else below


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    heads = {index - 1 for index, row in enumerate(cells) if set("".join(row)) <= set("-: ")}
    return [row for index, row in enumerate(cells) if not {index, index - 1} & heads]


def whole_plan(text: str) -> str:
    """A fragment of a plan as a plan; a whole plan as it is."""
    if text.startswith("apiVersion"):
        return text
    return HEAD + text + ("" if re.search(r"^probes:", text, re.MULTILINE) else PROBES)
