"""Nodes to C in one function: the façade over numbers, strings, captured values and notes.

Each of the four needs the others for the nodes inside its own nodes. They are handed in here, so
that none imports another.
"""

from orchestrator.backends.bcc.emit.captured import CapturedValues
from orchestrator.backends.bcc.emit.context import EventContext
from orchestrator.backends.bcc.emit.notes.look import NoteLooks
from orchestrator.backends.bcc.emit.numbers import NumberExpressions
from orchestrator.backends.bcc.emit.site import EmitSite
from orchestrator.backends.bcc.emit.strings import StringExpressions
from orchestrator.backends.bcc.emit.writer import CWriter
from orchestrator.compile.expressions.nodes import Builtin, Node

__all__ = ["Expressions"]


class Expressions:
    """Nodes to C at one site; statements that have to come before an expression go to `writer`."""

    def __init__(self, site: EmitSite, writer: CWriter) -> None:
        self.site, self.writer = site, writer
        context = EventContext(site, writer)
        captured = CapturedValues(writer, self.number, site.numbers)
        self.notes = NoteLooks(self, site)
        self._strings = StringExpressions(context, self.number, captured.store, self.notes)
        self._numbers = NumberExpressions(context, self._strings.test_string, self.notes)
        self.declare_now, self.declare_ids = context.declare_now, context.declare_ids
        self.read_word, self.store_comm = context.read_word, self._strings.store_comm

    def number(self, node: Node) -> str:
        """A C expression of type c_type(node.type). Raises EmitError."""
        return self._numbers.number(node)

    def declare_moment(self, node: Builtin) -> None:
        """Statements that take a value which may be another one a moment later, where that was not
        done before: what follows in this block and inside it uses that. Nothing for others."""
        match node.name:
            case "now":
                self.declare_now()
            case "kstack" | "ustack" | "cgroup":
                self.number(node)
            case "comm":
                self._strings.declare_comm()

    def store(self, node: Node, to: str, size: int) -> None:
        """Statements that put a value of a Stored type into the `size` bytes at `to`; they set
        `fault` and `cut`. Raises EmitError."""
        self._strings.store(node, to, size)
