"""Foreign text in messages commands neither a terminal nor a CI system."""

import pytest

from orchestrator.plan.findings import Finding, Position
from orchestrator.plan.printable import make_printable, make_printable_lines, make_printable_name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü €", "plain ü €"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\n::error::b", r"a\n::error::b"),
        ("c1 \x9b bidi \u202e", r"c1 \x9b bidi \u202e"),
        ("\u2028", r"\u2028"),
        ("\udcff", r"\xff"),
        ("\U000e0001", r"\U000e0001"),
        ("a ##[error]b ##vso[task.x]c", r"a \x23#[error]b \x23#vso[task.x]c"),
        ("## heading [1]", "## heading [1]"),
    ],
)
def test_what_is_obeyed_is_escaped(text: str, shown: str) -> None:
    assert make_printable(text) == shown
    assert all(char.isprintable() for char in make_printable(text))


def test_lines_and_tabs_of_ours_stay() -> None:
    assert make_printable_lines("a\tb\n\x1bc") == "a\tb\n\\x1bc"


@pytest.mark.parametrize("margin", ["", "  ", "\t", " \t "])
def test_no_line_begins_with_a_workflow_command_after_white_space(margin: str) -> None:
    """GitHub's runner trims lines before it looks for commands."""
    shown = make_printable_lines(f"a::b\n{margin}::error::x\n\n{margin}::y")
    assert shown == f"a::b\n{margin}\\x3a:error::x\n\n{margin}\\x3a:y"


def test_no_line_of_a_finding_begins_with_a_workflow_command() -> None:
    """File names and values come from the author of the plan."""
    finding = Finding(
        code="PP001",
        message="cannot read\n::error::x",
        hint="a\n::stop-commands::y\x1b",
        position=Position(file="::warning::z\n::b", line=1, column=2),
    )
    lines = str(finding).split("\n")
    assert not any(line.lstrip().startswith("::") for line in lines)
    assert "\x1b" not in str(finding)
    assert make_printable_name("::x") == "./::x"
