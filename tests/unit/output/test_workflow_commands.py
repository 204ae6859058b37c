"""Nothing in an annotation ends its line, a field of it, or begins another command."""

import re

import pytest

from orchestrator.output.workflow_commands import format_annotation
from orchestrator.plan.findings import Position

HOSTILE = "a\n::stop-commands::x\r\n%0A,file=b::c\x1b[2J##[error]d"


def decoded(text: str) -> str:
    """As the runner does (actions/runner, ActionCommand.cs)."""
    for code, char in (("3A", ":"), ("2C", ","), ("0D", "\r"), ("0A", "\n"), ("25", "%")):
        text = text.replace(f"%{code}", char)
    return text


def test_a_place_becomes_fields() -> None:
    place = Position(file="checks/a,b:c.yaml", line=3, column=7)
    line = format_annotation("warning", "50%", title="t", position=place)
    assert line == "::warning file=checks/a%2Cb%3Ac.yaml,line=3,col=7,title=t::50%25"


@pytest.mark.parametrize(
    ("position", "fields"),
    [
        (None, ""),
        (Position(file="f"), "file=f,"),
        (Position(file="f", line=1), "file=f,line=1,col=0,"),
    ],
)
def test_fields_that_are_not_known_are_left_out(position: Position | None, fields: str) -> None:
    assert (
        format_annotation("notice", "m", title="t", position=position)
        == f"::notice {fields}title=t::m"
    )


def test_hostile_text_stays_where_it_is() -> None:
    line = format_annotation(
        "error", HOSTILE, title=HOSTILE, position=Position(file=HOSTILE, line=1, column=1)
    )
    assert line.splitlines() == [line]
    assert line.isprintable()
    command, properties, message = re.fullmatch(r"::(\w+) (.*?)::(.*)", line).groups()
    assert command == "error"
    assert [part.partition("=")[0] for part in properties.split(",")] == [
        "file",
        "line",
        "col",
        "title",
    ]
    assert "##[" not in line
    assert decoded(message).startswith("a\n::stop-commands::x\\r\n%0A,file=b::c\\x1b[2J")
