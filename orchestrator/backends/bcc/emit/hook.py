"""The C functions of one hook: one per side, in the order in which events are judged.

Fuse and deadline, target, filters, sampling, and only then work. Every event ends in exactly one
disposition.
"""

from collections.abc import Iterator, Mapping

from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.hook_nodes import may_be_null
from orchestrator.backends.bcc.design.implied_counts import counts_all
from orchestrator.backends.bcc.design.mechanism import Mechanism
from orchestrator.backends.bcc.emit.calls import (
    CallBlock,
    can_count_followed,
    count_followed,
    declare_call_frame,
)
from orchestrator.backends.bcc.emit.expressions import Expressions
from orchestrator.backends.bcc.emit.metric import MetricBlock
from orchestrator.backends.bcc.emit.notes.block import NoteBlock
from orchestrator.backends.bcc.emit.record import RecordBlock, RecordBounds
from orchestrator.backends.bcc.emit.site import EmitSite
from orchestrator.backends.bcc.emit.span import SpanBlock
from orchestrator.backends.bcc.emit.target import TargetTest
from orchestrator.backends.bcc.emit.writer import CWriter, comment_text
from orchestrator.compile.body_nodes import metric_top_nodes, note_top_nodes, span_top_nodes
from orchestrator.compile.describe import describe_node
from orchestrator.compile.expressions.nodes import Builtin, LetRef, Node, Seen, SpanValue, walk
from orchestrator.compile.expressions.types import StackId, Stored
from orchestrator.compile.program import Body, ProbeProgram, Program


class HookText:
    """The functions of one hook that is attached by `mechanism`."""

    def __init__(
        self,
        program: Program,
        map_layout: layout.MapLayout,
        probe: ProbeProgram,
        mechanism: Mechanism,
        spots: Mapping[int, int],
    ) -> None:
        """`spots`: by hook, the first hook at the same attach point."""
        self.spots = spots
        self.program, self.layout, self.probe, self.mechanism = (
            program,
            map_layout,
            probe,
            mechanism,
        )

    def write_side(self, side: layout.HookSide, site: EmitSite) -> str:
        """One side: an inlined function that does the work. Raises EmitError."""
        parts = {"hit": self._write_hit, "entry": self._write_entry, "return": self._write_return}
        head = declare_call_frame(side.hook) if side.name == "entry" else ""
        return head + parts[side.name](side, site)

    # -- around --------------------------------------------------------------------------------

    def describe_side(self, side: layout.HookSide) -> str:
        """One side described for a comment."""
        hook = side.hook
        return comment_text(f"{self.probe.name}: {hook.label}, {side.name}, by {self.mechanism}")

    def _begin_work(self, side: layout.HookSide, site: EmitSite) -> tuple[CWriter, Expressions]:
        """The beginning of the inlined function: the fuse."""
        writer = CWriter()
        objects = "unsigned long long *object, " if self.mechanism == "iterator" else ""
        writer.line(
            f"PP_INLINE void {side.function}_work({objects}unsigned long long *ctx, "
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
        self._notice_bound(writer, site)
        self._judge_event(e, site.body.where)
        self._sample_event(e)
        self._use_event(e)
        return self._end_function(writer)

    @staticmethod
    def _notice_bound(writer: CWriter, site: EmitSite) -> None:
        """Count returns of user functions so deep that the kernel may not show deeper ones."""
        traits = site.hook.traits
        is_return = traits.space == "user" and traits.moment == "return"
        if is_return and can_count_followed(site):
            followed = count_followed("pp_task()", site)
            writer.line(f"if ({followed} + 1 >= PP_MOST_FOLLOWED)")
            writer.line("\tCOUNT(at_bound);")

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
                    line(f"if ({e.notes.test_fault(node)})")
                    line("\tCOUNT(faulted);")
                    line("if (fault || !holds)")
                    line("\tDROP(filtered);")
            else:
                line(f"if (!({text}))")
                line("\tDROP(filtered);")

    def _sample_event(self, e: Expressions) -> None:
        writer = e.writer
        period = e.site.hook.period
        if not self.probe.samplable:
            writer.line(f"const u64 weight = {period};")
            return
        writer.comment(f"sample: 1/{self.probe.sample} at first; N is in the control element")
        writer.line(f"u64 weight = PP_READ(control->probe[{self.probe.index}].sample);")
        writer.line("if (weight > 1)")
        writer.line("\tweight = pp_sampled(&ledger->gap, &ledger->weight, weight);")
        with writer.block("if (!weight)"):
            for use in e.site.body.spans:
                SpanBlock(e, self.layout, self.program.spans[use.span], use).write_skip()
            writer.line("DROP(sampled_out);")
        if period != 1:
            writer.line(f"weight *= {period}; /* the events of a period */")

    def _use_event(self, e: Expressions) -> None:
        """What is done with an event that was kept: metrics, record, spans."""
        body = e.site.body
        if self.probe.emit is not None or self._span_records(body):
            e.declare_now()
            e.writer.line("if (now >= control->deadline)")
            e.writer.line("\tDROP(late);")
        e.writer.line("COUNT(accepted);")
        e.notes.look_up(*_block_nodes(body))
        self._share_lets(e)
        specs = {metric.index: metric for metric in self.program.metrics}
        for number, use in enumerate(body.metrics):
            every = counts_all(specs[use.metric], use, body)
            MetricBlock(e, specs[use.metric], use, number, every).write_block()
        if self.probe.emit is not None:
            bounds = RecordBounds(
                probe=self.probe.index,
                rate=self.probe.rate,
                cap=self.probe.events,
                once=self.probe.once,
                key=body.once,
            )
            RecordBlock(e, self.program, self.probe.emit, body.emit, bounds).write_block()
        for span in body.spans:
            SpanBlock(e, self.layout, self.program.spans[span.span], span).write_block()
        for note in body.notes:
            NoteBlock(e, self.layout, note).write_block()

    def _span_records(self, body: Body) -> bool:
        ending = (use.span for use in body.spans if use.role == "end")
        return any(self.program.spans[span].emit is not None for span in ending)

    def _share_lets(self, e: Expressions) -> None:
        """Evaluate first what more than one block uses, so that it is evaluated once."""
        body = e.site.body
        blocks: list[list[Node]] = [list(body.emit), list(body.once)]
        blocks += [list(metric_top_nodes(use)) for use in body.metrics]
        blocks += [list(span_top_nodes(use)) for use in body.spans]
        blocks += [list(note_top_nodes(use)) for use in body.notes]
        uses = [_lets_in(block) for block in blocks]
        for index, let in enumerate(body.lets):
            shared = sum(index in used for used in uses) > 1
            of_span = any(isinstance(node, SpanValue | Seen) for node in walk(let.node))
            if shared and not of_span and not isinstance(let.node.type, Stored):
                e.number(LetRef(index, let.name, let.node.type))
        for stack in _list_stacks(blocks, body):
            if sum(stack in _written_out(block, body) for block in blocks) > 1:
                e.number(stack)

    # -- paired --------------------------------------------------------------------------------

    def _write_entry(self, side: layout.HookSide, site: EmitSite) -> str:
        assert site.body.entry is not None
        writer, e = self._begin_work(side, site)
        calls = CallBlock(e, self.layout, side, self.spots[side.hook.id])
        calls.declare_call()
        self._judge_event(e, site.body.entry.where)
        if site.body.spans:  # sampled at the return, which starts the span
            writer.line("const u64 weight = 1;")
        else:
            self._sample_event(e)
        e.notes.look_up(*site.body.entry.captures)
        calls.open_call()
        writer.line("COUNT(accepted);")
        return self._end_function(writer)

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
        if site.body.spans:
            self._sample_event(e)
        else:
            weight = "frame->head.weight" if self.probe.samplable else "1"
            inside.line(f"const u64 weight = {weight};")
        self._use_event(e)
        return self._end_function(inside) + self._take_call(side, site)

    def _take_call(self, side: layout.HookSide, site: EmitSite) -> str:
        writer, e = self._begin_work(side, site)
        calls = CallBlock(e, self.layout, side, self.spots[side.hook.id])
        calls.declare_call()
        calls.take_call(f"{side.function}_kept(ctx, control, ledger, (void *)frame);")
        return self._end_function(writer)


def _block_nodes(body: Body) -> Iterator[Node]:
    """The outermost nodes of what is done with an event that was kept."""
    yield from body.emit
    for metric in body.metrics:
        yield from metric_top_nodes(metric)
    for span in body.spans:
        yield from span_top_nodes(span)
    for note in body.notes:
        yield from note_top_nodes(note)


def _written_out(top_nodes: list[Node], body: Body) -> set[Node]:
    """The builtins in some expressions and in the definitions that they use."""
    parts = [node for top in top_nodes for node in walk(top)]
    lets = [body.lets[node.index].node for node in parts if isinstance(node, LetRef)]
    builtins: set[Node] = {node for node in parts if isinstance(node, Builtin)}
    return builtins | _written_out(lets, body) if lets else builtins


def _list_stacks(blocks: list[list[Node]], body: Body) -> list[Builtin]:
    """The different stacks that the blocks take, the kernel's first."""
    found = {part for block in blocks for part in _written_out(block, body)}
    stacks = [part for part in found if isinstance(part, Builtin)]
    stacks = [part for part in stacks if isinstance(part.type, StackId)]
    return sorted(stacks, key=lambda stack: (stack.name, stack.depth))


def _lets_in(top_nodes: list[Node]) -> set[int]:
    return {node.index for top in top_nodes for node in walk(top) if isinstance(node, LetRef)}
