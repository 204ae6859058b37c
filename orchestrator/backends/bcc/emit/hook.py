"""The C functions of one hook: one per side, in the order in which events are judged.

Fuse and deadline, target, filters, sampling, and only then work. Every event ends in exactly one
disposition.
"""

from collections.abc import Mapping
from itertools import chain

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
from orchestrator.backends.bcc.emit.sharing import blocks_of, share_values
from orchestrator.backends.bcc.emit.site import EmitSite
from orchestrator.backends.bcc.emit.span import SpanBlock
from orchestrator.backends.bcc.emit.target import TargetTest
from orchestrator.backends.bcc.emit.writer import CWriter, comment_text
from orchestrator.compile.describe import describe_node
from orchestrator.compile.expressions.nodes import Node
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
        is_of_another = e.site.body.task not in (None, "none")
        if is_of_another:  # to find the task may be costly, and is part of the work
            e.writer.line("ONLY_COUNTED(accepted);")
        target.identify_task()
        if e.site.body.tests_target:
            target.test_target()
        if not is_of_another:
            e.writer.line("ONLY_COUNTED(accepted);")
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
        blocks = blocks_of(body)
        e.notes.look_up(*chain.from_iterable(blocks))
        share_values(e, blocks)
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
        writer.line("ONLY_COUNTED(unpaired);")
        calls = CallBlock(e, self.layout, side, self.spots[side.hook.id])
        calls.declare_call()
        calls.take_call(f"{side.function}_kept(ctx, control, ledger, (void *)frame);")
        return self._end_function(writer)
