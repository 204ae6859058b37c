"""Lines of C, and the local variables that are declared in them."""

import pytest

from orchestrator.backends.bcc.emit.writer import CWriter, comment_text


@pytest.mark.parametrize(
    "text",
    [
        "*/ evil(); /*",
        "a\nint b;",
        "\\",
        "??/",
        "a???/",
        "?" * 9,
        "\x00",
        "é",
        "x" * 500,
        "/*/",
        "**//",
    ],
)
def test_no_text_leaves_its_comment(text: str) -> None:
    """Whatever a plan says, a comment stays one line of printable ASCII without its own end."""
    made = comment_text(text)
    assert "*/" not in made
    assert "/*" not in made
    assert "\\" not in made
    assert "??" not in made
    assert made.isascii()
    assert made.isprintable()
    assert len(made) <= 200


def test_what_is_declared_in_a_block_is_forgotten_at_its_end() -> None:
    """Another block declares it again; one inside the block does not."""
    writer = CWriter()
    with writer.block("if (a)"):
        assert writer.once("now")
        with writer.block():
            assert not writer.once("now")
    assert writer.once("now")
    assert writer.text() == "if (a) {\n\t{\n\t}\n}\n"


def test_declarations_at_the_top_come_once_and_in_order() -> None:
    """Before what was written after the mark, each name the first time that it is asked for."""
    writer = CWriter(1)
    writer.line("u32 fault = 0;")
    writer.mark_top()
    writer.line("use(a);")
    writer.at_top("a", "u64 a = ctx[0];")
    writer.at_top("b", "u64 b = ctx[1];")
    writer.at_top("a", "u64 a = ctx[0];")
    assert [line.strip() for line in writer.lines] == [
        "u32 fault = 0;",
        "u64 a = ctx[0];",
        "u64 b = ctx[1];",
        "use(a);",
    ]
