"""How a hook opens a call at its entry and closes it at its return (headers, probeplan/calls.h)."""

from orchestrator.backends.bcc.design import layout, registers
from orchestrator.backends.bcc.design.hook_nodes import nodes_at_hook
from orchestrator.backends.bcc.emit.expressions import Expressions
from orchestrator.backends.bcc.emit.frame import declare_frame, fill_frame
from orchestrator.compile.describe import describe_node
from orchestrator.compile.expressions.nodes import Builtin
from orchestrator.compile.program import Hook, ResolvedTarget

__all__ = ["CallBlock", "declare_call_frame", "include_calls", "is_fixed", "render_enders"]
__all__ += ["ENDED", "REPLACED"]

#: Programs at sched_process_exit and sched_process_free, and at sched_process_exec.
ENDED, REPLACED = ("end_calls", "free_calls"), "replace_calls"

_ENDERS = """
/* Calls that are open when a thread ends, or another program takes its place. */
int end_calls(unsigned long long *ctx)
{
	pp_end_task(pp_task());
	return 0;
}

/* What the thread did after that, on its way to its end. */
int free_calls(unsigned long long *ctx)
{
	pp_end_task(ctx[0]);
	return 0;
}

int replace_calls(unsigned long long *ctx)
{
	pp_exec_task(pp_task());
	return 0;
}
"""


def include_calls() -> str:
    """The C that follows the elements of the maps where calls are paired."""
    maps = {"OPEN": layout.OPEN, "CALLERS": layout.CALLERS, "LEDGER": layout.LEDGER}
    defines = (f"#define PP_{name} {number}\n" for name, number in maps.items())
    return "".join(defines) + "#include <probeplan/calls.h>\n"


def render_enders() -> str:
    """The programs that drop the calls of threads that end or exec."""
    return _ENDERS


def is_fixed(target: ResolvedTarget) -> bool:
    """Whether a thread cannot become a part of the target, or leave it, while a call is open."""
    return not (target.uid or target.comm or target.cgroup)


def declare_call_frame(hook: Hook) -> str:
    """The C structure of a call's frame."""
    assert hook.body.entry is not None
    kept = [(node.type, describe_node(node, hook.body)) for node in hook.body.entry.captures]
    return declare_frame(f"frame_{hook.id}", kept, head="PP_CALL_HEAD")


class CallBlock:
    """The statements of one side that find, open and close its calls. `element`: the ledger's
    element of the side; `probe`: the probe's index."""

    def __init__(
        self, expressions: Expressions, map_layout: layout.MapLayout, element: int, probe: int
    ) -> None:
        self.e, self.layout = expressions, map_layout
        self.element, self.epoch = element, f"(u32)PP_READ(control->probe[{probe}].epoch)"
        self.hook, self.arch = expressions.site.hook, expressions.site.arch
        self.line = expressions.writer.line

    def declare_call(self) -> None:
        """Declare `call`, the key of this call's frame."""
        self.line(
            f"struct pp_call call = {{.task = pp_task(), .place = {self._place()}, "
            f".hook = {self.hook.id}}};"
        )

    def _place(self) -> str:
        match self.e.site.access:
            case "registers":
                stack = self.e.read_word(registers.find_stack(self.arch))
                step = registers.return_step(self.arch) if self.e.site.side == "return" else 0
                return f"{stack} - {step}" if step else stack
            case "arguments":
                return "pp_address(ctx)"
            case "record":
                return "0"

    @property
    def _site(self) -> str:
        match self.hook.traits.site:
            case "user code":
                return "PP_USER_CODE"
            case "system call":
                return "PP_SYSTEM_CALL"
            case _:
                return "PP_FUNCTION"

    # -- entry ---------------------------------------------------------------------------------

    def leave_calls(self) -> None:
        """Drop the calls of this task that were left without a return."""
        link = registers.find_link(self.arch) if self._site == "PP_USER_CODE" else None
        address = "0" if link is None else self.e.read_word(link)
        self.line(f"struct pp_caller *caller = pp_map_lookup(PP_MAP({layout.CALLERS}), &call);")
        self.line("if (caller)")
        self.line(f"\tpp_leave(caller, &call, {self._site}, {address});")

    def open_call(self) -> None:
        """Keep what the return needs. The event is dropped where that is impossible."""
        self._drop_too_deep()
        self.line("if (!caller)")
        self.line("\tcaller = pp_caller_of(&call.task);")
        self.line("if (!caller)")
        self.line("\tDROP(map_full);")
        if self.layout.frames_on_stack:
            size = self.layout.frame_bytes
            self.line(f"char space[{size}] __attribute__((aligned(8))) = {{}};")
            self.line(f"struct frame_{self.hook.id} *frame = (void *)space;")
            self._fill_frame()
            self.line(f"if ({_push_frame('space')})")
            self.line("\tDROP(map_full);")
        else:
            self._push_blank()
        self.line("pp_link(caller, &call);")

    def _drop_too_deep(self) -> None:
        offsets = self.e.site.task_offsets
        if self._site == "PP_USER_CODE" and {"utask", "depth"} <= offsets.keys():
            followed = f"pp_followed(call.task, {offsets['utask']}, {offsets['depth']})"
            self.line(f"if ({followed} >= PP_MOST_FOLLOWED)")
            self.line("\tDROP(too_deep);")

    def _push_blank(self) -> None:
        """A frame too large for the BPF stack is inserted blank and filled in the map."""
        self.line("u32 none = 0;")
        self.line(f"void *blank = pp_map_lookup(PP_MAP({layout.BLANK}), &none);")
        self.line(f"if (!blank || {_push_frame('blank')})")
        self.line("\tDROP(map_full);")
        self.line(
            f"struct frame_{self.hook.id} *frame = pp_map_lookup(PP_MAP({layout.OPEN}), &call);"
        )
        self.line("if (!frame)")
        self.line("\tDROP(map_full);")
        self._fill_frame()

    def _fill_frame(self) -> None:
        body = self.e.site.body
        assert body.entry is not None
        self.line("frame->head.weight = (u32)weight;")
        opened = f"(void *)frame, caller, {self._site}, {self.element}, {self.epoch}"
        self.line(f"pp_open({opened});")
        fill_frame(self.e, "frame", enumerate(body.entry.captures))
        if _needs_time(self.hook):
            self.line("frame->head.time = pp_ktime_ns();")

    # -- return --------------------------------------------------------------------------------

    def take_call(self, use: str) -> None:
        """Find the frame, run the statement `use` on it, and remove it last, since its bytes are
        read in place."""
        top = f"pp_top(PP_MAP({layout.OPEN}), &call, &call.depth, PP_DEPTH, &outer)"
        for text in (
            "struct pp_frame *outer = 0;",
            f"struct pp_opened *frame = (void *){top};",
            f"if (!frame || frame->epoch != {self.epoch})",
            "\tDROP(unpaired);",
            use,
            "if (outer)",
            "\touter->nested = 0;",
            "pp_close(&call, frame);",
        ):
            self.line(text)


def _push_frame(frame: str) -> str:
    return f"pp_push(PP_MAP({layout.OPEN}), &call, &call.depth, PP_DEPTH, {frame})"


def _needs_time(hook: Hook) -> bool:
    return any(isinstance(n, Builtin) and n.name == "elapsed" for n in nodes_at_hook(hook.body))
