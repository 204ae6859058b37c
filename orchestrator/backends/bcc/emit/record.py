"""How a hook's record is made: rate, cap, a slot of the ring, and the fields read into it."""

from collections.abc import Sequence

from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.hook_nodes import may_be_null
from orchestrator.backends.bcc.emit.expressions import Expressions
from orchestrator.backends.bcc.emit.key import store_key_part
from orchestrator.compile.describe import describe_node, describe_type
from orchestrator.compile.expressions.nodes import Node, SpanValue, walk
from orchestrator.compile.expressions.types import COMM_SIZE, Cut, Stored, Str
from orchestrator.compile.program import Emit, OnceSpec, Program, RecordField
from orchestrator.plan.model import Rate
from orchestrator.values import dataclass

_WIDTHS = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordBounds:
    """A probe's own bounds, in addition to the plan's, by its index; None: unbounded. `once`: with
    the nodes of its key."""

    probe: int
    rate: Rate | None
    cap: int | None
    once: OnceSpec | None = None
    key: Sequence[Node] = ()


class RecordBlock:
    """The block of C that makes one record with the fields of `emit`, whose values are `nodes`."""

    def __init__(
        self,
        expressions: Expressions,
        program: Program,
        emit: Emit,
        nodes: Sequence[Node],
        own: RecordBounds | None = None,
    ) -> None:
        self.e, self.program, self.emit = expressions, program, emit
        self.nodes, self.own = nodes, own
        self._marked = ""  # the map that has the key of this event
        self.line = expressions.writer.line

    def write_block(self) -> None:
        """The whole block. `now` must be declared before it."""
        self.e.writer.comment("record")
        with self.e.writer.block("do", "while (0);"):
            if self.own is not None and self.own.once is not None:
                self._check_once(self.own, self.own.once)
            self._check_bounds()
            self.line(
                f"char *slot = pp_ringbuf_reserve(PP_MAP({layout.RING}), "
                f"{self.program.record_size}, 0);"
            )
            self._leave_if("!slot", "ring_lost")
            self._fill_record()
            self.line("COUNT(recorded);")
            # Flags 0: the kernel notifies only a reader that has caught up
            # (kernel/bpf/ringbuf.c, bpf_ringbuf_commit).
            self.line("pp_ringbuf_submit(slot, 0);")

    def _leave_if(self, condition: str, disposition: str) -> None:
        """Leave without a record. The next event with the same key then is the first."""
        self.line(f"if ({condition}) {{")
        self.line(f"\tCOUNT({disposition});")
        if self._marked:
            self.line(f"\tpp_map_delete({self._marked}, key);")
        self.line("\tbreak;")
        self.line("}")

    # -- once by key ---------------------------------------------------------------------------

    def _check_once(self, own: RecordBounds, once: OnceSpec) -> None:
        """Leave unless the event is the first with its key, or the last one's period is over. Of
        CPUs that find it over at once, one can delete the key, and of those that find none, one can
        insert it."""
        keys = f"PP_MAP({layout.once_map(own.probe)})"
        self.line(f"char key[{once.key_size}] __attribute__((aligned(8))) = {{}};")
        for part, node in zip(once.key, own.key, strict=True):
            store_key_part(self.e, part, node)
        is_recent = "last"
        if once.per_ns:
            is_recent = f"last && (s64)(now - *last) < {once.per_ns}LL"
        self.line(f"u64 *last = pp_map_lookup({keys}, key), marked = now;")
        self._leave_if(is_recent, "repeated")
        if once.per_ns:
            self._leave_if(f"last && pp_map_delete({keys}, key)", "repeated")
        self.line(f"s64 refused = pp_map_update({keys}, key, &marked, PP_NOEXIST);")
        self._leave_if("refused == PP_EEXIST", "repeated")
        self._leave_if("refused", "keys_full")
        self._marked = keys

    # -- bounds --------------------------------------------------------------------------------

    def _check_bounds(self) -> None:
        """The probe's own bounds come first, so that a noisy probe does not use up the plan's. A
        record that then finds the ring full has counted against the caps: they bound the attempts,
        and never undercount."""
        self._rate_and_cap_maps()
        own = self.own
        if own is not None and own.rate is not None:
            self._check_rate(f"control->probe[{own.probe}].", self._shared_word("rate", own.probe))
        self._check_rate("control->", self._shared_word("rate", None))
        if own is not None and own.cap is not None:
            cap = f"control->probe[{own.probe}].cap"
            self._check_cap(cap, self._shared_word("emitted", own.probe), None)
        self._check_cap(
            "control->cap", self._shared_word("emitted", None), self.program.limits.at_cap
        )

    def _rate_and_cap_maps(self) -> None:
        self.line("u32 none = 0;")
        self.line(f"struct shared *shared = pp_map_lookup(PP_MAP({layout.SHARED}), &none);")
        self._leave_if("!shared", "rate_limited")

    @staticmethod
    def _shared_word(what: str, probe: int | None) -> str:
        line = layout.MapLayout.rate_line(probe)
        if what == "emitted":
            line = layout.MapLayout.emitted_line(probe)
        return f"&shared->line[{line}].word"

    def _check_rate(self, where: str, word: str) -> None:
        allows = f"pp_rate_allows({word}, now, {where}rate_gap, {where}rate_burst)"
        self._leave_if(f"!{allows}", "rate_limited")

    def _check_cap(self, cap: str, word: str, at_cap: str | None) -> None:
        with self.e.writer.block():
            self.line(f"u64 cap = {cap}, taken = pp_take({word}, cap);")
            self._leave_if("taken >= cap", "over_cap")
            if at_cap == "stop":
                self.line("if (taken + 1 >= cap) /* the last record that is allowed */")
                self.line("\tdisarm(control);")

    # -- contents ------------------------------------------------------------------------------

    def _fill_record(self) -> None:
        body = self.e.site.body
        self.line("u32 nulls = 0, truncated = 0, cut = 0;")
        for field, node in zip(self.emit.fields, self.nodes, strict=True):
            self.e.writer.comment(
                f"{field.name} = {describe_node(node, body)}, {describe_type(node)}"
            )
            self._fill_field(field, node)
        self._fill_header()

    def _fill_field(self, field: RecordField, node: Node) -> None:
        to = f"slot + {field.offset}"
        if isinstance(node.type, Stored):
            self._fill_stored(field, node, to)
            return
        value = self.e.number(node)
        kind = _WIDTHS[field.size]
        if not may_be_null(node, self.e.site.body):
            self.line(f"*({kind} *)({to}) = ({kind})({value});")
            return
        self.line("fault = 0;")
        self.line(f"*({kind} *)({to}) = ({kind})({value});")
        self._note_fault(field, node)

    def _fill_stored(self, field: RecordField, node: Node, to: str) -> None:
        self.line("fault = 0;")
        if isinstance(node.type, Cut):
            self.line("cut = 0;")
        if isinstance(node.type, Str):
            self.line(f"*({to}) = 0;")
        self.e.store(node, to, field.size)
        self._note_fault(field, node)
        if isinstance(node.type, Cut):
            self.line("if (cut) {")
            self.line(f"\ttruncated |= {1 << field.bit:#x}U;")
            self.line("\tCOUNT(truncated);")
            self.line("}")

    def _note_fault(self, field: RecordField, node: Node) -> None:
        """A null is a failed read, except for what only a via provides, when no via was seen, and
        for what a note does not keep."""
        of_via = any(isinstance(n, SpanValue) and n.name.startswith("via.") for n in walk(node))
        counted = self.e.notes.test_fault(node)
        self.line("if (fault) {")
        self.line(f"\tnulls |= {1 << field.bit:#x}U;")
        if of_via:
            self.line("\tif (open->head.seen)")
        if counted != "fault":
            self.line(f"\tif ({counted})")
        self.line("\tCOUNT(faulted);")
        self.line("}")

    def _fill_header(self) -> None:
        for text in (
            "*(u64 *)slot = now;",
            f"*(u16 *)(slot + 8) = {self.emit.index};",
            "*(u16 *)(slot + 10) = (u16)pp_cpu();",
            "*(u32 *)(slot + 20) = (u32)weight;",
            "*(u32 *)(slot + 24) = nulls;",
            "*(u32 *)(slot + 28) = truncated;",
        ):
            self.line(text)
        task = self.e.site.body.task
        if task == "none" or not self.emit.has_task:
            self.line("*(u32 *)(slot + 12) = *(u32 *)(slot + 16) = 0;")
            self.line("*(u64 *)(slot + 32) = *(u64 *)(slot + 40) = 0;")
            return
        if task is None:
            self.e.declare_ids()
            self.e.store_comm("slot + 32")
        else:
            comm = self.e.site.task_member("task", "comm")
            self.line(f"if (pp_read(0, slot + 32, {COMM_SIZE}, {comm}))")
            self.line("\t*(u64 *)(slot + 32) = 0;")
        self.line("*(u32 *)(slot + 12) = pid;")
        self.line("*(u32 *)(slot + 16) = tid;")
