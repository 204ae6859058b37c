"""The C functions of one hook: a side each, in the order in which events are judged.

Fuse and deadline, target, filters, sampling, and only then work. Every event leaves by exactly one
disposition.
"""

from orchestrator.backends.bcc import layout
from orchestrator.backends.bcc.describe import describe
from orchestrator.backends.bcc.emit_metric import MetricBlock
from orchestrator.backends.bcc.emit_nodes import (
    CUT_BIT,
    EmitError,
    Expressions,
    Site,
    c_type,
    may_be_null,
)
from orchestrator.backends.bcc.emit_record import RecordBlock
from orchestrator.backends.bcc.emit_strings import Strings
from orchestrator.backends.bcc.emit_target import TargetTest
from orchestrator.backends.bcc.mechanism import RETURNS, Mechanism, nodes_of
from orchestrator.backends.bcc.writer import Writer, comment_text
from orchestrator.compile.nodes import Builtin, LetRef, Node, walk
from orchestrator.compile.program import Hook, ProbeProgram, Program
from orchestrator.compile.types import Ip, Str, size_of


class HookText:
    """The functions of one hook, by `mechanism`."""

    def __init__(
        self, program: Program, lay: layout.Layout, probe: ProbeProgram, mechanism: Mechanism
    ) -> None:
        self.program, self.layout, self.probe, self.mechanism = program, lay, probe, mechanism

    def function(self, side: layout.Side, site: Site) -> str:
        """One side: an inlined function that does the work, and the program that calls it."""
        parts = {"hit": self._hit, "entry": self._entry, "return": self._return}
        head = self._frame_struct(side.hook) if side.name == "entry" else ""
        return head + parts[side.name](side, site) + self._outer(side)

    # -- around --------------------------------------------------------------------------------

    def _title(self, side: layout.Side) -> str:
        hook = side.hook
        return comment_text(f"{self.probe.name}: {hook.label}, {side.name}, by {self.mechanism}")

    def _outer(self, side: layout.Side) -> str:
        """Looks the two elements up; returns the same number on every path."""
        return (
            f"\n/* {self._title(side)} */\n"
            f"int {side.function}(unsigned long long *ctx)\n{{\n"
            f"\tu32 none = 0, side = {side.index};\n"
            f"\tstruct control *control = pp_map_lookup(PP_MAP({layout.CONTROL}), &none);\n"
            f"\tstruct ledger *ledger = pp_map_lookup(PP_MAP({layout.LEDGER}), &side);\n"
            "\tif (control && ledger)\n"
            f"\t\t{side.function}_work(ctx, control, ledger);\n"
            f"\treturn {RETURNS[self.mechanism]};\n}}\n"
        )

    def _work(self, side: layout.Side, site: Site) -> tuple[Writer, Expressions]:
        """The beginning of the inlined function: the fuse."""
        writer = Writer()
        writer.line(
            f"PP_INLINE void {side.function}_work(unsigned long long *ctx, "
            "struct control *control, struct ledger *ledger)"
        )
        writer.line("{")
        inside = Writer(1)
        inside.lines = writer.lines
        word, bit = divmod(self.probe.index, 64)
        inside.line(f"FUSE({word}, {bit});")
        inside.line("u32 fault = 0, cut = 0;")
        return inside, Expressions(site, inside)

    @staticmethod
    def _end(writer: Writer) -> str:
        writer.lines.append("}")
        return "\n" + writer.text()

    # -- unpaired ------------------------------------------------------------------------------

    def _hit(self, side: layout.Side, site: Site) -> str:
        writer, e = self._work(side, site)
        self._judge(e, site.body.where)
        self._sample(writer)
        self._keep(e)
        return self._end(writer)

    def _judge(self, e: Expressions, where: tuple[Node, ...]) -> None:
        target = TargetTest(e, self.program)
        target.identify()
        target.test()
        self._filter(e, where)

    @staticmethod
    def _filter(e: Expressions, where: tuple[Node, ...]) -> None:
        body, line = e.site.body, e.writer.line
        for node in where:
            e.writer.comment(f"where: {describe(node, body)}")
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

    def _sample(self, writer: Writer) -> None:
        if self.probe.sample == 1:
            writer.line("const u64 weight = 1;")
            return
        writer.comment(f"sample: 1/{self.probe.sample} at first; N lies in the control element")
        every = f"control->probe[{self.probe.index}].sample"
        writer.line(f"u64 weight = pp_sampled(&ledger->gap, &ledger->weight, {every});")
        writer.line("if (!weight)")
        writer.line("\tDROP(sampled_out);")

    def _keep(self, e: Expressions) -> None:
        """What is done with an event that is kept."""
        body = e.site.body
        if self.probe.emit is not None:
            e.now()
            e.writer.line("if (now >= control->deadline)")
            e.writer.line("\tDROP(late);")
        e.writer.line("COUNT(accepted);")
        self._share_lets(e)
        specs = {metric.index: metric for metric in self.program.metrics}
        for number, use in enumerate(body.metrics):
            sampled = self.probe.sample != 1
            MetricBlock(e, specs[use.metric], use, number, sampled).write()
        if self.probe.emit is not None:
            RecordBlock(e, self.program, self.probe).write()

    def _share_lets(self, e: Expressions) -> None:
        """Evaluate in front what more than one block uses, so that it is evaluated once."""
        body = e.site.body
        blocks: list[list[Node]] = [list(body.emit)]
        for use in body.metrics:
            tops = (*use.key, use.value, use.where)
            blocks.append([node for node in tops if node is not None])
        uses = [_lets_in(block) for block in blocks]
        for index, let in enumerate(body.lets):
            shared = sum(index in used for used in uses) > 1
            if shared and not isinstance(let.node.type, Str | Ip):
                e.number(LetRef(index, let.name, let.node.type))

    # -- paired --------------------------------------------------------------------------------

    def _frame_struct(self, hook: Hook) -> str:
        assert hook.body.entry is not None
        writer = Writer()
        writer.line(f"struct frame_{hook.id} {{")
        writer.line("\tstruct pp_frame head;")
        for index, node in enumerate(hook.body.entry.captures):
            text = comment_text(describe(node, hook.body))
            if isinstance(node.type, Str | Ip):
                declaration = f"char c{index}[{size_of(node.type)}]"
            else:
                declaration = f"{c_type(node.type)} c{index}"
            writer.line(f"\t{declaration} __attribute__((aligned(8))); /* {text} */")
        writer.line("};")
        return "\n" + writer.text()

    def _entry(self, side: layout.Side, site: Site) -> str:
        assert site.body.entry is not None
        writer, e = self._work(side, site)
        self._judge(e, site.body.entry.where)
        self._sample(writer)
        self._call(writer, side.hook)
        if self.layout.frames_on_stack:
            size = self.layout.frame_bytes
            writer.line(f"char space[{size}] __attribute__((aligned(8))) = {{}};")
            writer.line(f"struct frame_{side.hook.id} *frame = (void *)space;")
            self._capture(e)
            writer.line(f"if (pp_push(PP_MAP({layout.OPEN}), &call, space))")
            writer.line("\tDROP(map_full);")
        else:
            self._push_blank(e)
        writer.line("COUNT(accepted);")
        return self._end(writer)

    def _push_blank(self, e: Expressions) -> None:
        """A frame too large for the BPF stack is inserted blank and filled in its place."""
        line, hook = e.writer.line, e.site.hook
        line("u32 none = 0;")
        line(f"void *blank = pp_map_lookup(PP_MAP({layout.BLANK}), &none);")
        line(f"if (!blank || pp_push(PP_MAP({layout.OPEN}), &call, blank))")
        line("\tDROP(map_full);")
        line(f"struct frame_{hook.id} *frame = pp_map_lookup(PP_MAP({layout.OPEN}), &call);")
        line("if (!frame)")
        line("\tDROP(map_full);")
        self._capture(e)

    @staticmethod
    def _call(writer: Writer, hook: Hook) -> None:
        writer.line(f"struct pp_call call = {{.thread = THREAD(), .hook = {hook.id}}};")

    def _capture(self, e: Expressions) -> None:
        body, line = e.site.body, e.writer.line
        assert body.entry is not None
        line("frame->head.weight = (u32)weight;")
        if len(body.entry.captures) > CUT_BIT:
            raise EmitError(f"more than {CUT_BIT} values are kept from the entry")
        for index, node in enumerate(body.entry.captures):
            nullable = may_be_null(node, body)
            if isinstance(node.type, Str | Ip):
                line("fault = cut = 0;")
                Strings(e).store(node, f"(char *)frame->c{index}", size_of(node.type))
                if not isinstance(node, Builtin):  # comm is never cut
                    line(f"frame->head.nulls |= (u64)cut << {CUT_BIT + index};")
            else:
                text = e.number(node)
                if nullable:
                    line("fault = 0;")
                line(f"frame->c{index} = {text};")
            if nullable:
                line("if (fault)")
                line(f"\tframe->head.nulls |= {1 << index:#x}ULL;")
        if _needs_time(e.site.hook):
            line("frame->head.time = pp_ktime_ns();")

    def _return(self, side: layout.Side, site: Site) -> str:
        hook = side.hook
        kept = Writer()
        kept.line(
            f"PP_INLINE void {side.function}_kept(unsigned long long *ctx, "
            "struct control *control, struct ledger *ledger, "
            f"struct frame_{hook.id} *frame)"
        )
        kept.line("{")
        inside = Writer(1)
        inside.lines = kept.lines
        inside.line("u32 fault = 0, cut = 0;")
        e = Expressions(site, inside)
        TargetTest(e, self.program).identify()
        self._filter(e, site.body.where)
        weight = "1" if self.probe.sample == 1 else "frame->head.weight"
        inside.line(f"const u64 weight = {weight};")
        self._keep(e)
        return self._end(inside) + self._pop(side)

    def _pop(self, side: layout.Side) -> str:
        """Finds the frame, has it used, and removes it: last, since its bytes are read in place."""
        writer = Writer(1)
        word, bit = divmod(self.probe.index, 64)
        writer.line(f"FUSE({word}, {bit});")
        self._call(writer, side.hook)
        writer.line("struct pp_frame *outer = 0;")
        open_map = f"PP_MAP({layout.OPEN})"
        writer.line(f"struct pp_frame *frame = pp_top({open_map}, &call, &outer);")
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


def _lets_in(tops: list[Node]) -> set[int]:
    return {node.index for top in tops for node in walk(top) if isinstance(node, LetRef)}


def _needs_time(hook: Hook) -> bool:
    return any(isinstance(n, Builtin) and n.name == "elapsed" for n in nodes_of(hook.body))
