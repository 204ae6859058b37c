"""How a hook sets and drops notes.

What is kept is an element of the note's own map. Everything is counted in the note's element of the
ledger: set = replaced + dropped + kept (what the map holds).
"""

from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.hook_nodes import may_be_null
from orchestrator.backends.bcc.emit.expressions import Expressions
from orchestrator.backends.bcc.emit.frame import declare_frame, fill_frame
from orchestrator.backends.bcc.emit.key import store_key_part
from orchestrator.compile.program import NoteProgram, NoteUse

__all__ = ["NoteBlock", "declare_notes"]

_COUNTS = """
#define PP_COUNT_LOOK(element, note)                                                       \\
	do {                                                                               \\
		u32 place = element;                                                       \\
		struct note_counts *own = pp_map_lookup(PP_MAP(LEDGER_MAP), &place);       \\
		if (own && (note))                                                         \\
			PP_ADD(&own->found, 1);                                            \\
		else if (own)                                                              \\
			PP_ADD(&own->missed, 1);                                           \\
	} while (0)
"""


def declare_notes(notes: tuple[NoteProgram, ...]) -> str:
    """The C structures of what notes keep and of their counts; "" for a plan without notes."""
    if not notes:
        return ""
    words = f"\nstruct note_counts {{ u64 {', '.join(layout.NOTE_WORDS)}; }};\n"
    head = "struct { u64 nulls, ready; } head"
    frames = (
        declare_frame(f"note_{note.index}", [(kept.type, kept.name) for kept in note.kept], head)
        for note in notes
    )
    return words + _COUNTS.replace("LEDGER_MAP", str(layout.LEDGER)) + "".join(frames)


class NoteBlock:
    """The block of C in which one hook sets or drops one note."""

    def __init__(
        self, expressions: Expressions, map_layout: layout.MapLayout, use: NoteUse
    ) -> None:
        self.e, self.layout, self.use = expressions, map_layout, use
        self.note = map_layout.program.notes[use.note]
        self.line = expressions.writer.line
        self.map = f"PP_MAP({layout.note_map(self.note)})"

    def write_block(self) -> None:
        """The whole block."""
        names = ", ".join(part.name for part in self.note.key)
        self.e.writer.comment(f"{self.use.role} note {self.note.name}, by {names}")
        with self.e.writer.block("do", "while (0);"):
            self._write_lines(
                f"u32 place = {self.layout.note_element(self.note.index)};",
                f"struct note_counts *own = pp_map_lookup(PP_MAP({layout.LEDGER}), &place);",
                "if (!own)",
                "\tbreak;",
            )
            self._declare_key()
            if self.use.role == "drop":
                self._drop()
            else:
                self._set()

    def _write_lines(self, *lines: str) -> None:
        for text in lines:
            self.line(text)

    def _leave_if(self, condition: str, word: str) -> None:
        self._write_lines(f"if ({condition}) {{", f"\tPP_ADD(&own->{word}, 1);", "\tbreak;", "}")

    def _declare_key(self) -> None:
        """Declare `key`. An event with a key that cannot be read changes nothing."""
        self.line(f"char key[{self.note.key_size}] __attribute__((aligned(8))) = {{}};")
        nullable = any(may_be_null(node, self.e.site.body) for node in self.use.key)
        if nullable:
            self.line("fault = 0;")
        for part, node in zip(self.note.key, self.use.key, strict=True):
            store_key_part(self.e, part, node)
        if nullable:
            count = self.e.notes.count_fault("PP_ADD(&own->faulted, 1);", *self.use.key)
            self._write_lines("if (fault) {", f"\t{count}", "\tbreak;", "}")

    def _drop(self) -> None:
        self._write_lines(
            f"if (pp_map_delete({self.map}, key) == 0)",
            "\tPP_ADD(&own->dropped, 1);",
            "else",
            "\tPP_ADD(&own->absent, 1);",
        )

    # -- set -----------------------------------------------------------------------------------

    def _set(self) -> None:
        size = layout.note_bytes(self.note)
        kind = f"struct note_{self.note.index} *"
        if size <= layout.STACK_FRAME_BYTES:
            self.line(f"char space[{size}] __attribute__((aligned(8))) = {{}};")
            self.line(f"{kind}kept = (void *)space;")
            self._fill()
            self._insert("space")
        else:
            self._write_lines(
                "u32 none = 0;",
                f"void *blank = pp_map_lookup(PP_MAP({layout.note_blank(self.note)}), &none);",
                "if (!blank)",
                "\tbreak;",
            )
            self._insert("blank")
            self.line(f"{kind}kept = pp_map_lookup({self.map}, key);")
            self.line("if (kept) {")
            self._fill()
            self.line("\tPP_WRITE(kept->head.ready, 1);")
            self.line("}")
        self.line("PP_ADD(&own->set, 1);")

    def _fill(self) -> None:
        fill_frame(self.e, "kept", self.use.kept, [kept.type for kept in self.note.kept])

    def _insert(self, frame: str) -> None:
        self.line(f"s64 error = pp_map_update({self.map}, key, {frame}, PP_NOEXIST);")
        if self.note.once:
            self._leave_if("error == PP_EEXIST", "repeated")
        else:
            self._write_lines(
                "if (error == PP_EEXIST) {",
                f"\terror = pp_map_update({self.map}, key, {frame}, PP_EXIST);",
                "\tif (!error)",
                "\t\tPP_ADD(&own->replaced, 1);",
                "\telse /* dropped by another CPU in the meantime */",
                f"\t\terror = pp_map_update({self.map}, key, {frame}, PP_NOEXIST);",
                "}",
            )
        self._leave_if("error", "full")
