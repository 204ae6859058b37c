"""Frames: values kept in a map from a call's entry to its return, or while a span is open."""

from collections.abc import Iterable, Sequence

from orchestrator.backends.bcc.design.hook_nodes import may_be_null
from orchestrator.backends.bcc.emit.context import CUT_BIT
from orchestrator.backends.bcc.emit.expressions import Expressions
from orchestrator.backends.bcc.emit.site import EmitError, c_type
from orchestrator.backends.bcc.emit.writer import CWriter, comment_text
from orchestrator.compile.expressions.nodes import Builtin, Node
from orchestrator.compile.expressions.types import Stored, Type, size_of


def declare_frame(
    name: str, fields: Sequence[tuple[Type, str]], head: str = "struct pp_frame head"
) -> str:
    """The C structure `name`: a head, then each field, aligned to 8 bytes. `fields`: the type of
    each, and a description for a comment."""
    writer = CWriter()
    writer.line(f"struct {name} {{")
    writer.line(f"\t{head};")
    for index, (kind, text) in enumerate(fields):
        if isinstance(kind, Stored):
            field = f"char c{index}[{size_of(kind)}]"
        else:
            field = f"{c_type(kind)} c{index}"
        writer.line(f"\t{field} __attribute__((aligned(8))); /* {comment_text(text)} */")
    writer.line("};")
    return "\n" + writer.text()


def fill_frame(
    e: Expressions, frame: str, values: Iterable[tuple[int, Node]], types: Sequence[Type]
) -> None:
    """Statements that write values into the frame's fields (by index, of these types), and note
    which could not be read (null) or were cut. Raises EmitError."""
    line = e.writer.line
    for index, node in values:
        if index >= CUT_BIT:
            raise EmitError(f"more than {CUT_BIT} values are kept")
        nullable = may_be_null(node, e.site.body)
        if isinstance(node.type, Stored):
            line("fault = cut = 0;")
            e.store(node, f"(char *){frame}->c{index}", size_of(types[index]))
            if not isinstance(node, Builtin):  # comm is never cut
                line(f"{frame}->head.nulls |= (u64)cut << {CUT_BIT + index};")
        else:
            text = e.number(node)
            if nullable:
                line("fault = 0;")
            line(f"{frame}->c{index} = {text};")
        if nullable:
            line("if (fault)")
            line(f"\t{frame}->head.nulls |= {1 << index:#x}ULL;")
