"""How a hook starts, continues, ends and cancels spans.

An open span is an element of the span's own map. Everything is counted in the span's element of the
ledger: started = ended + cancelled + replaced + not_target + in flight (what the map holds).
"""

from collections.abc import Callable, Mapping

from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.hook_nodes import may_be_null
from orchestrator.backends.bcc.design.implied_counts import span_counts_all
from orchestrator.backends.bcc.emit.expressions import Expressions
from orchestrator.backends.bcc.emit.frame import declare_frame, fill_frame
from orchestrator.backends.bcc.emit.key import store_key_part
from orchestrator.backends.bcc.emit.metric import MetricBlock
from orchestrator.backends.bcc.emit.record import RecordBlock
from orchestrator.backends.bcc.emit.sharing import blocks_of_end, share_values
from orchestrator.backends.bcc.emit.target import TargetTest
from orchestrator.compile.describe import describe_node
from orchestrator.compile.expressions.nodes import Node
from orchestrator.compile.program import MetricUse, Program, SpanProgram, SpanRole, SpanUse


def declare_span(span: SpanProgram) -> str:
    """The C structure of an open span."""
    return declare_frame(f"span_{span.index}", [(kept.type, kept.name) for kept in span.kept])


class SpanBlock:
    """The block of C in which one hook plays its role in one span. `weight` must be declared before
    it, and `now` where the span makes records."""

    def __init__(
        self,
        expressions: Expressions,
        map_layout: layout.MapLayout,
        span: SpanProgram,
        use: SpanUse,
    ) -> None:
        self.e, self.layout, self.span, self.use = expressions, map_layout, span, use
        self.program: Program = map_layout.program
        self.line = expressions.writer.line
        self.map = f"PP_MAP({layout.span_map(span)})"

    def write_block(self) -> None:
        """The whole block."""
        parts: Mapping[SpanRole, Callable[[], None]] = {
            "start": self._start_span,
            "via": self._see_via,
            "add": self._add_up,
            "end": self._end_span,
            "cancel": self._cancel_span,
        }
        names = ", ".join(part.name for part in self.span.key)
        self.e.writer.comment(f"{self.use.role} of span {self.span.name}, by {names}")
        with self.e.writer.block("do", "while (0);"):
            self._declare_own()
            self._declare_key()
            parts[self.use.role]()

    def write_skip(self) -> None:
        """The block for a start that is sampled out: an open span of its key goes on no longer, or,
        where spans nest, the next end is not its own."""
        self.e.writer.comment(f"a start of span {self.span.name} is left out")
        with self.e.writer.block("do", "while (0);"):
            self._declare_own()
            self._declare_key()
            if self.span.again == "nest":
                self._skip_nested()
            else:
                self._remove_span("replaced")

    def _skip_nested(self) -> None:
        self.line("struct pp_frame *outer = 0;")
        self.line(f"pp_skip({self._top_frame()});")

    def _top_frame(self) -> str:
        return f"pp_top({self.map}, key, {self._depth_word}, {layout.SPAN_DEPTH}, &outer)"

    def _write_lines(self, *lines: str) -> None:
        for text in lines:
            self.line(text)

    def _declare_own(self) -> None:
        self._write_lines(
            f"u32 place = {self.layout.span_element(self.span.index)};",
            f"struct ledger *own = pp_map_lookup(PP_MAP({layout.LEDGER}), &place);",
            "if (!own)",
            "\tbreak;",
        )

    def _leave_if(self, condition: str, word: str) -> None:
        self._write_lines(f"if ({condition}) {{", f"\tPP_ADD(&own->{word}, 1);", "\tbreak;", "}")

    def _declare_key(self) -> None:
        """Declare `key`. An event with a key that cannot be read takes no part in the span."""
        size = layout.span_key_bytes(self.span)
        self.line(f"char key[{size}] __attribute__((aligned(8))) = {{}};")
        nullable = any(may_be_null(node, self.e.site.body) for node in self.use.key)
        if nullable:
            self.line("fault = 0;")
        for part, node in zip(self.span.key, self.use.key, strict=True):
            store_key_part(self.e, part, node)
        if nullable:
            count = self.e.notes.count_fault("PP_ADD(&own->faulted, 1);", *self.use.key)
            self._write_lines("if (fault) {", f"\t{count}", "\tbreak;", "}")

    @property
    def _depth_word(self) -> str:
        return f"(u32 *)(key + {self.span.key_size})"

    # -- start ---------------------------------------------------------------------------------

    def _start_span(self) -> None:
        size = layout.span_bytes(self.span)
        on_stack = size <= layout.STACK_FRAME_BYTES
        if on_stack:
            self.line(f"char space[{size}] __attribute__((aligned(8))) = {{}};")
            self.line(f"struct span_{self.span.index} *open = (void *)space;")
            self._fill_span()
            self._insert_span("space")
        else:
            self._write_lines(
                "u32 none = 0;",
                f"void *blank = pp_map_lookup(PP_MAP({layout.span_blank(self.span)}), &none);",
                "if (!blank)",
                "\tbreak;",
            )
            self._insert_span("blank")
            self.line(f"struct span_{self.span.index} *open = pp_map_lookup({self.map}, key);")
            self.line("if (open) {")
            self._fill_span()
            self.line("}")
        self.line("PP_ADD(&own->started, 1);")

    def _fill_span(self) -> None:
        self.line("open->head.weight = (u32)weight;")
        if self.span.tests_target:
            self.line(f"open->head.judged = {int(self.e.site.body.task != 'none')};")
        via = sum(1 << i for i, kept in enumerate(self.span.kept) if kept.role == "via")
        if via:
            self.line(f"open->head.nulls = {via:#x}ULL; /* until a via is seen */")
        fill_frame(self.e, "open", self.use.kept, [kept.type for kept in self.span.kept])
        if self.span.timed:
            self.line(f"open->head.time = {self.e.declare_now()};")

    def _insert_span(self, frame: str) -> None:
        """Put the frame into the map; `again` decides what happens to a span that is open
        already."""
        match self.span.again:
            case "keep":
                self.line(f"s64 error = pp_map_update({self.map}, key, {frame}, PP_NOEXIST);")
                self._leave_if("error == PP_EEXIST", "repeated")
            case "nest":
                push = f"pp_push({self.map}, key, {self._depth_word}, {layout.SPAN_DEPTH}, {frame})"
                self.line(f"s64 error = {push};")
                with self.e.writer.block("if (error)"):
                    self._skip_nested()
            case "replace":
                self._write_lines(
                    f"s64 error = pp_map_update({self.map}, key, {frame}, PP_NOEXIST);",
                    "if (error == PP_EEXIST) {",
                    f"\terror = pp_map_update({self.map}, key, {frame}, PP_EXIST);",
                    "\tif (!error)",
                    "\t\tPP_ADD(&own->replaced, 1);",
                    "\telse /* ended by another CPU in the meantime */",
                    f"\t\terror = pp_map_update({self.map}, key, {frame}, PP_NOEXIST);",
                    "}",
                )
        self._leave_if("error", "map_full")

    # -- later ---------------------------------------------------------------------------------

    def _find_span(self) -> None:
        """Declare `open`: the open span, the innermost one if they nest."""
        kind = f"struct span_{self.span.index} *"
        if self.span.again == "nest":
            self.line("struct pp_frame *outer = 0;")
            self.line(f"{kind}open = (void *){self._top_frame()};")
            with self.e.writer.block("if (open && open->head.skipped)"):
                if self.use.role not in ("via", "add"):
                    self.line("open->head.skipped--;")
                self.line("open = 0;")
        else:
            self.line(f"{kind}open = pp_map_lookup({self.map}, key);")
        self._leave_if("!open", "no_start")
        self._judge_target()

    def _judge_target(self) -> None:
        """Test the plan's target at the first event of a span that has a task."""
        has_no_task = self.e.site.body.task == "none"
        if has_no_task or not self.span.tests_target or self.use.role == "cancel":
            return
        with self.e.writer.block("if (!open->head.judged)"):
            self.line("open->head.judged = 1;")
            self.line("int refused = 0;")
            with self.e.writer.block("do", "while (0);"):
                refuse = "{ refused = 1; break; }"
                TargetTest(self.e, self.program, refuse).test_target()
            with self.e.writer.block("if (refused)"):
                self._remove_span("not_target")
                self.line("open = 0;")
        self._write_lines("if (!open)", "\tbreak;")

    def _remove_span(self, word: str, otherwise: str = "") -> None:
        if self.span.again == "nest":
            self._write_lines("if (outer)", "\touter->nested = 0;")
        self._write_lines(
            f"if (pp_map_delete({self.map}, key) == 0)",
            f"\tPP_ADD(&own->{word}, 1);",
        )
        if otherwise:
            self._write_lines("else", f"\tPP_ADD(&own->{otherwise}, 1);")

    def _see_via(self) -> None:
        self._find_span()
        mask = sum(1 << index | 1 << index + 32 for index, _ in self.use.kept)
        if mask:
            self.line(f"open->head.nulls &= ~{mask:#x}ULL;")
        fill_frame(self.e, "open", self.use.kept, [kept.type for kept in self.span.kept])
        self.line("open->head.seen = 1;")

    def _add_up(self) -> None:
        """An event whose value cannot be read adds nothing, and is counted as faulted."""
        self._find_span()
        for index, node in self.use.kept:
            nullable = may_be_null(node, self.e.site.body)
            with self.e.writer.block():
                if nullable:
                    self.line("fault = 0;")
                self.line(f"u64 more = {self.e.number(node)};")
                if nullable:
                    count = self.e.notes.count_fault("PP_ADD(&own->faulted, 1);", node)
                    self._write_lines("if (fault) {", f"\t{count}", "} else")
                self.line(f"\t__sync_fetch_and_add((u64 *)&open->c{index}, more);")

    def _cancel_span(self) -> None:
        self._find_span()
        self._remove_span("cancelled")

    def _end_span(self) -> None:
        self._find_span()
        if self.span.again == "nest":
            self.line(f"u32 depth = *{self._depth_word};")
        end = self.use.end
        assert end is not None
        if self.span.resource is None:
            with self.e.writer.block("do", "while (0);"):
                self.line("struct ledger *ledger = own; /* counts from here on are the span's */")
                self.line("const u64 weight = open->head.weight;")
                for node in end.where:
                    self._filter_span(node)
                self.line("COUNT(accepted);")
                share_values(self.e, blocks_of_end(end), at_end=True)
                for number, use in enumerate(end.metrics):
                    self._feed_metric(number, use)
                if self.span.emit is not None:
                    RecordBlock(self.e, self.program, self.span.emit, end.emit).write_block()
        self._remove_span("ended", "raced")

    def _feed_metric(self, number: int, use: MetricUse) -> None:
        spec = self.span.metrics[number]
        every = span_counts_all(self.program, self.span, number)
        MetricBlock(self.e, spec, use, number, every).write_block()

    def _filter_span(self, node: Node) -> None:
        self.e.writer.comment(f"where: {describe_node(node, self.e.site.body)}")
        text = self.e.number(node)
        nullable = may_be_null(node, self.e.site.body)
        with self.e.writer.block():
            if nullable:
                self.line("fault = 0;")
            self.line(f"u32 holds = {text};")
            if nullable:
                count = self.e.notes.count_fault("COUNT(faulted);", node)
                self._write_lines("if (fault) {", f"\t{count}", "\tholds = 0;", "}")
            self._write_lines("if (!holds) {", "\tCOUNT(filtered);", "\tbreak;", "}")
