"""The C functions of one hook: one per side, in the order in which events are judged.

Fuse and deadline, target, filters, sampling, and only then work. Every event ends in exactly one
disposition.
"""

from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.hook_nodes import may_be_null, nodes_at_hook
from orchestrator.backends.bcc.design.implied_counts import counts_all
from orchestrator.backends.bcc.design.mechanism import Mechanism
from orchestrator.backends.bcc.emit.expressions import Expressions
from orchestrator.backends.bcc.emit.frame import declare_frame, fill_frame
from orchestrator.backends.bcc.emit.metric import MetricBlock
from orchestrator.backends.bcc.emit.record import RecordBlock, RecordBounds
from orchestrator.backends.bcc.emit.site import EmitSite
from orchestrator.backends.bcc.emit.span import SpanBlock
from orchestrator.backends.bcc.emit.target import TargetTest
from orchestrator.backends.bcc.emit.writer import CWriter, comment_text
from orchestrator.compile.body_nodes import metric_top_nodes, span_top_nodes
from orchestrator.compile.describe import describe_node
from orchestrator.compile.expressions.nodes import Builtin, LetRef, Node, Seen, SpanValue, walk
from orchestrator.compile.expressions.types import Stored
from orchestrator.compile.expressions.vocabulary import STACKS
from orchestrator.compile.program import Body, Hook, ProbeProgram, Program


class HookText:
    """The functions of one hook that is attached by `mechanism`."""

    def __init__(
        self,
        program: Program,
        map_layout: layout.MapLayout,
        probe: ProbeProgram,
        mechanism: Mechanism,
    ) -> None:
        self.program, self.layout, self.probe, self.mechanism = (
            program,
            map_layout,
            probe,
            mechanism,
        )

    def write_side(self, side: layout.HookSide, site: EmitSite) -> str:
        """One side: an inlined function that does the work. Raises EmitError."""
        parts = {"hit": self._write_hit, "entry": self._write_entry, "return": self._write_return}
        head = self._declare_frame(side.hook) if side.name == "entry" else ""
        return head + parts[side.name](side, site)

    # -- around --------------------------------------------------------------------------------

    def describe_side(self, side: layout.HookSide) -> str:
        """One side described for a comment."""
        hook = side.hook
        return comment_text(f"{self.probe.name}: {hook.label}, {side.name}, by {self.mechanism}")

    def _begin_work(self, side: layout.HookSide, site: EmitSite) -> tuple[CWriter, Expressions]:
        """The beginning of the inlined function: the fuse."""
        writer = CWriter()
        writer.line(
            f"PP_INLINE void {side.function}_work(unsigned long long *ctx, "
            "struct control *control, struct ledger *ledger)"
        )
        writer.line("{")
        inside = CWriter(1)
        inside.lines = writer.lines
        word, bit = divmod(self.probe.index, 64)
        inside.line(f"FUSE({word}, {bit});")
        inside.line("u32 fault = 0, cut = 0;")
        inside.mark_top()
        return inside, Expressions(site, inside)

    @staticmethod
    def _end_function(writer: CWriter) -> str:
        writer.lines.append("}")
        return "\n" + writer.text()

    # -- unpaired ------------------------------------------------------------------------------

    def _write_hit(self, side: layout.HookSide, site: EmitSite) -> str:
        writer, e = self._begin_work(side, site)
        self._judge_event(e, site.body.where)
        self._sample_event(writer)
        self._use_event(e)
        return self._end_function(writer)

    def _judge_event(self, e: Expressions, where: tuple[Node, ...]) -> None:
        target = TargetTest(e, self.program)
        target.identify_task()
        if e.site.body.tests_target:
            target.test_target()
        self._filter_event(e, where)

    @staticmethod
    def _filter_event(e: Expressions, where: tuple[Node, ...]) -> None:
        body, line = e.site.body, e.writer.line
        for node in where:
            e.writer.comment(f"where: {describe_node(node, body)}")
            text = e.number(node)
            if may_be_null(node, body):
                line("fault = 0;")
                with e.writer.block():
                    line(f"u32 holds = {text};")
                    line("if (fault)")
                    line("\tCOUNT(faulted);")
                    line("if (fault || !holds)")
                    line("\tDROP(filtered);")
            else:
                line(f"if (!({text}))")
                line("\tDROP(filtered);")

    def _sample_event(self, writer: CWriter) -> None:
        if not self.probe.samplable:
            writer.line("const u64 weight = 1;")
            return
        writer.comment(f"sample: 1/{self.probe.sample} at first; N is in the control element")
        writer.line(f"u64 weight = PP_READ(control->probe[{self.probe.index}].sample);")
        writer.line("if (weight > 1)")
        writer.line("\tweight = pp_sampled(&ledger->gap, &ledger->weight, weight);")
        writer.line("if (!weight)")
        writer.line("\tDROP(sampled_out);")

    def _use_event(self, e: Expressions) -> None:
        """What is done with an event that was kept: metrics, record, spans."""
        body = e.site.body
        if self.probe.emit is not None or self._span_records(body):
            e.declare_now()
            e.writer.line("if (now >= control->deadline)")
            e.writer.line("\tDROP(late);")
        e.writer.line("COUNT(accepted);")
        self._share_lets(e)
        specs = {metric.index: metric for metric in self.program.metrics}
        for number, use in enumerate(body.metrics):
            every = counts_all(specs[use.metric], use, body)
            MetricBlock(e, specs[use.metric], use, number, every).write_block()
        if self.probe.emit is not None:
            bounds = RecordBounds(
                probe=self.probe.index, rate=self.probe.rate, cap=self.probe.events
            )
            RecordBlock(e, self.program, self.probe.emit, body.emit, bounds).write_block()
        for span in body.spans:
            SpanBlock(e, self.layout, self.program.spans[span.span], span).write_block()

    def _span_records(self, body: Body) -> bool:
        ending = (use.span for use in body.spans if use.role == "end")
        return any(self.program.spans[span].emit is not None for span in ending)

    def _share_lets(self, e: Expressions) -> None:
        """Evaluate first what more than one block uses, so that it is evaluated once."""
        body = e.site.body
        blocks: list[list[Node]] = [list(body.emit)]
        blocks += [list(metric_top_nodes(use)) for use in body.metrics]
        blocks += [list(span_top_nodes(use)) for use in body.spans]
        uses = [_lets_in(block) for block in blocks]
        for index, let in enumerate(body.lets):
            shared = sum(index in used for used in uses) > 1
            of_span = any(isinstance(node, SpanValue | Seen) for node in walk(let.node))
            if shared and not of_span and not isinstance(let.node.type, Stored):
                e.number(LetRef(index, let.name, let.node.type))
        for stack in STACKS:
            if sum(stack in _written_out(block, body) for block in blocks) > 1:
                e.number(stack)

    # -- paired --------------------------------------------------------------------------------

    def _declare_frame(self, hook: Hook) -> str:
        assert hook.body.entry is not None
        kept = [(node.type, describe_node(node, hook.body)) for node in hook.body.entry.captures]
        return declare_frame(f"frame_{hook.id}", kept)

    def _write_entry(self, side: layout.HookSide, site: EmitSite) -> str:
        assert site.body.entry is not None
        writer, e = self._begin_work(side, site)
        self._judge_event(e, site.body.entry.where)
        self._sample_event(writer)
        self._declare_call(writer, side.hook)
        if self.layout.frames_on_stack:
            size = self.layout.frame_bytes
            writer.line(f"char space[{size}] __attribute__((aligned(8))) = {{}};")
            writer.line(f"struct frame_{side.hook.id} *frame = (void *)space;")
            self._capture_values(e)
            writer.line(f"if ({_push_frame('space')})")
            writer.line("\tDROP(map_full);")
        else:
            self._push_blank(e)
        writer.line("COUNT(accepted);")
        return self._end_function(writer)

    def _push_blank(self, e: Expressions) -> None:
        """A frame too large for the BPF stack is inserted blank and filled in the map."""
        line, hook = e.writer.line, e.site.hook
        line("u32 none = 0;")
        line(f"void *blank = pp_map_lookup(PP_MAP({layout.BLANK}), &none);")
        line(f"if (!blank || {_push_frame('blank')})")
        line("\tDROP(map_full);")
        line(f"struct frame_{hook.id} *frame = pp_map_lookup(PP_MAP({layout.OPEN}), &call);")
        line("if (!frame)")
        line("\tDROP(map_full);")
        self._capture_values(e)

    @staticmethod
    def _declare_call(writer: CWriter, hook: Hook) -> None:
        writer.line(f"struct pp_call call = {{.thread = THREAD(), .hook = {hook.id}}};")

    def _capture_values(self, e: Expressions) -> None:
        body, line = e.site.body, e.writer.line
        assert body.entry is not None
        line("frame->head.weight = (u32)weight;")
        fill_frame(e, "frame", enumerate(body.entry.captures))
        if _needs_time(e.site.hook):
            line("frame->head.time = pp_ktime_ns();")

    def _write_return(self, side: layout.HookSide, site: EmitSite) -> str:
        hook = side.hook
        kept = CWriter()
        kept.line(
            f"PP_INLINE void {side.function}_kept(unsigned long long *ctx, "
            "struct control *control, struct ledger *ledger, "
            f"struct frame_{hook.id} *frame)"
        )
        kept.line("{")
        inside = CWriter(1)
        inside.lines = kept.lines
        inside.line("u32 fault = 0, cut = 0;")
        inside.mark_top()
        e = Expressions(site, inside)
        TargetTest(e, self.program).identify_task()
        self._filter_event(e, site.body.where)
        weight = "frame->head.weight" if self.probe.samplable else "1"
        inside.line(f"const u64 weight = {weight};")
        self._use_event(e)
        return self._end_function(inside) + self._pop_frame(side)

    def _pop_frame(self, side: layout.HookSide) -> str:
        """Find the frame, use it, and remove it last, since its bytes are read in place."""
        writer = CWriter(1)
        word, bit = divmod(self.probe.index, 64)
        writer.line(f"FUSE({word}, {bit});")
        self._declare_call(writer, side.hook)
        writer.line("struct pp_frame *outer = 0;")
        open_map = f"PP_MAP({layout.OPEN})"
        top = f"pp_top({open_map}, &call, &call.depth, PP_DEPTH, &outer)"
        writer.line(f"struct pp_frame *frame = {top};")
        writer.line("if (!frame)")
        writer.line("\tDROP(unpaired);")
        writer.line(f"{side.function}_kept(ctx, control, ledger, (void *)frame);")
        writer.line("if (outer)")
        writer.line("\touter->nested = 0;")
        writer.line(f"pp_map_delete({open_map}, &call);")
        head = (
            f"\nPP_INLINE void {side.function}_work(unsigned long long *ctx, "
            "struct control *control, struct ledger *ledger)\n{\n"
        )
        return head + writer.text() + "}\n"


def _push_frame(frame: str) -> str:
    return f"pp_push(PP_MAP({layout.OPEN}), &call, &call.depth, PP_DEPTH, {frame})"


def _written_out(top_nodes: list[Node], body: Body) -> set[Node]:
    """The builtins in some expressions and in the definitions that they use."""
    parts = [node for top in top_nodes for node in walk(top)]
    lets = [body.lets[node.index].node for node in parts if isinstance(node, LetRef)]
    builtins: set[Node] = {node for node in parts if isinstance(node, Builtin)}
    return builtins | _written_out(lets, body) if lets else builtins


def _lets_in(top_nodes: list[Node]) -> set[int]:
    return {node.index for top in top_nodes for node in walk(top) if isinstance(node, LetRef)}


def _needs_time(hook: Hook) -> bool:
    return any(isinstance(n, Builtin) and n.name == "elapsed" for n in nodes_at_hook(hook.body))
