"""How a hook reads notes: each is looked up once an event, by the hook's own key."""

from collections.abc import Iterator

from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.hook_nodes import may_be_null, walk_deep
from orchestrator.backends.bcc.emit.context import CUT_BIT
from orchestrator.backends.bcc.emit.key import ValueWriter, store_key_part
from orchestrator.backends.bcc.emit.site import EmitSite
from orchestrator.compile.expressions.nodes import Node, Noted, NoteValue
from orchestrator.compile.expressions.types import Ip, Str, size_of

__all__ = ["NoteLooks"]


class NoteLooks:
    """The notes that one C function reads. `e` writes the values of their keys."""

    def __init__(self, e: ValueWriter, site: EmitSite) -> None:
        self._e, self._site = e, site

    def look_up(self, *tops: Node) -> None:
        """Look up what these nodes and their definitions read, where that was not done before: so
        that it is done once an event, whatever is evaluated of them."""
        for node in self._find_looks(tops):
            self.find(node)

    def test_fault(self, *nodes: Node) -> str:
        """A C condition: a read of these nodes failed, and not only for a note that is not kept."""
        looks = (part for part in self._find_looks(nodes) if isinstance(part, NoteValue))
        return " && ".join(dict.fromkeys(("fault", *map(self.find, looks))))

    def count_fault(self, count: str, *nodes: Node) -> str:
        """The C statement `count` for where a read of these nodes failed, which `fault` says: not
        done where nothing but a note is missing."""
        counted = self.test_fault(*nodes)
        return count if counted == "fault" else f"if ({counted}) {count}"

    def _find_looks(self, tops: tuple[Node, ...]) -> Iterator[NoteValue | Noted]:
        for top in tops:
            for node in walk_deep(top, self._site.body, captures=False):
                if isinstance(node, NoteValue | Noted):
                    yield node

    def find(self, node: NoteValue | Noted) -> str:
        """The name of a pointer to what is kept, 0 where nothing is, declared at its first use. The
        look is counted there."""
        name = f"note_{node.note}"
        if self._e.writer.once(name):
            self._look_up(node, name)
        return name

    def _look_up(self, node: NoteValue | Noted, name: str) -> None:
        note, line = self._site.notes[node.note], self._e.writer.line
        nullable = any(may_be_null(part, self._site.body) for part in node.key)
        self._e.writer.comment(f"note {note.name}, by {', '.join(part.name for part in note.key)}")
        line(f"char {name}_key[{note.key_size}] __attribute__((aligned(8))) = {{}};")
        if nullable:
            line("fault = 0;")
        for part, value in zip(note.key, node.key, strict=True):
            store_key_part(self._e, part, value, f"{name}_key")
        look = f"pp_map_lookup(PP_MAP({layout.note_map(note)}), {name}_key)"
        line(f"struct note_{note.index} *{name} = {'fault ? 0 : ' if nullable else ''}{look};")
        if layout.note_bytes(note) > layout.STACK_FRAME_BYTES:
            line(f"if ({name} && !PP_READ({name}->head.ready)) /* another CPU is filling it in */")
            line(f"\t{name} = 0;")
        line(f"PP_COUNT_LOOK({self._site.note_elements[note.index]}, {name});")
        if nullable:
            line("fault = cut = 0;")

    # -- values --------------------------------------------------------------------------------

    def _has_value(self, node: NoteValue) -> str:
        name = self.find(node)
        return f"{name} && !({name}->head.nulls >> {node.index} & 1)"

    def read_number(self, node: NoteValue, kind: str) -> str:
        """A C expression of the type `kind`; sets `fault` where there is no value."""
        test = self._has_value(node)
        value = f"{self.find(node)}->c{node.index}"
        return f"({{ {kind} v = 0; if ({test}) v = {value}; else fault = 1; v; }})"

    def read_word(self, node: NoteValue, at: int) -> str:
        """A C expression: the u32 that is `at` bytes into the value; sets `fault` where there is
        none."""
        test, name = self._has_value(node), self.find(node)
        value = f"*(u32 *)({name}->c{node.index} + {at})"
        return f"({{ u32 v = 0; if ({test}) v = {value}; else fault = 1; v; }})"

    def find_address(self, node: NoteValue) -> str:
        """A C expression of the address of the value's bytes; 0, where no read succeeds."""
        test = self._has_value(node)
        return f"({test} ? (u64){self.find(node)}->c{node.index} : (fault = 1, 0ULL))"

    def copy(self, node: NoteValue, to: str) -> None:
        """Statements that put a value of a Stored type at `to`. What is kept has zeros after its
        NUL."""
        name, size = self.find(node), size_of(node.type)
        copy = "__builtin_memcpy" if isinstance(node.type, Str | Ip) else "pp_copy"
        test = self._has_value(node)
        line = self._e.writer.line
        line(f"if ({test}) {{")
        line(f"\t{copy}({to}, {name}->c{node.index}, {size});")
        line(f"\tcut = {name}->head.nulls >> {CUT_BIT + node.index} & 1;")
        line("} else {")
        line("\tfault = 1;")
        line("}")
