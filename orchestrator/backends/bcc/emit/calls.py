"""How a hook opens a call at its entry and closes it at its return (headers, probeplan/calls.h)."""

from collections import Counter
from collections.abc import Iterable, Mapping

from orchestrator.backends.bcc.design import layout, registers
from orchestrator.backends.bcc.design.hook_nodes import nodes_at_hook
from orchestrator.backends.bcc.design.joining import COOKIE_HOOK, COOKIE_SIDE
from orchestrator.backends.bcc.emit.expressions import Expressions
from orchestrator.backends.bcc.emit.frame import declare_frame, fill_frame
from orchestrator.backends.bcc.emit.site import EmitSite
from orchestrator.compile.describe import describe_node
from orchestrator.compile.expressions.nodes import Builtin
from orchestrator.compile.program import Hook

__all__ = ["CallBlock", "can_count_followed", "close_calls"]
__all__ += [
    "count_followed",
    "declare_call_frame",
    "find_open_call",
    "include_calls",
    "leave_calls",
    "render_enders",
]

_MOST_FRAMES = 160
_MOST_FOLLOWED = 64  # include/linux/uprobes.h, MAX_URETPROBE_DEPTH

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


def include_calls(arch: str, hooks: Iterable[Hook], spots: Mapping[int, int]) -> str:
    """The C that follows the elements of the maps where calls are paired. `hooks` are those of the
    program, `spots` as HookText has them."""
    numbers = {
        "OPEN": layout.OPEN,
        "CALLERS": layout.CALLERS,
        "LEDGER": layout.LEDGER,
        "MOST_OVER": _most_frames(hooks, spots),
        "LINK_ON_STACK": int(registers.find_link(arch) is None),
    }
    defines = (f"#define PP_{name} {number}\n" for name, number in numbers.items())
    return "".join(defines) + "#include <probeplan/calls.h>\n"


def _most_frames(hooks: Iterable[Hook], spots: Mapping[int, int]) -> int:
    """How many frames of a task are dropped in one step; the next step goes on with the rest. The
    verifier walks through as many rounds of each loop: 160 take 13 to 30 ms of CPU time a program.

    A task makes one system call at a time, and each begins by dropping what the one before left, so
    that there are no more frames than hooks at one attach point. Of user functions the kernel
    follows 64 at a time, all of which one longjmp may leave. Kernel functions are left without a
    return only where the kernel missed it.
    """
    paired = [hook for hook in hooks if hook.id in spots]
    at_one_spot = max(Counter(spots[hook.id] for hook in paired).values(), default=1)
    by_site = {
        "PP_SYSTEM_CALL": 2 * at_one_spot + 2,
        "PP_USER_CODE": _MOST_FOLLOWED * at_one_spot + 8,
        "PP_FUNCTION": 2 * len(paired) + 30,
    }
    most = sum(by_site[site] for site in set(map(_site_of, paired)))
    return min(max(most, 1), _MOST_FRAMES)


def render_enders() -> str:
    """The programs that drop the calls of threads that end or exec."""
    return _ENDERS


def declare_call_frame(hook: Hook) -> str:
    """The C structure of a call's frame."""
    assert hook.body.entry is not None
    kept = [(node.type, describe_node(node, hook.body)) for node in hook.body.entry.captures]
    return declare_frame(f"frame_{hook.id}", kept, head="PP_CALL_HEAD")


def leave_calls(access: registers.Access, arch: str, spot: Hook, *, joined: bool) -> str:
    """The statement that drops the calls of this task that were left without a return, before one
    begins at the attach point of `spot`, or of the hook that the cookie names (`joined`)."""
    site = _site_of(spot)
    link = registers.find_link(arch) if site == "PP_USER_CODE" else None
    place = _place_of(access, f"ctx[{registers.find_stack(arch)}]")
    number = COOKIE_HOOK if joined else spot.id
    return f"pp_leave({place}, {site}, {number}, {'0' if link is None else f'ctx[{link}]'});"


def close_calls(access: registers.Access, arch: str, spot: Hook, *, joined: bool) -> str:
    """The statement that removes the calls that have returned from the attach point of `spot`, or
    of the hook that the cookie names (`joined`)."""
    stack = f"ctx[{registers.find_stack(arch)}] - {registers.return_step(arch)}"
    number = COOKIE_HOOK if joined else spot.id
    return f"pp_return({_place_of(access, stack)}, {_site_of(spot)}, {number});"


def find_open_call(side: layout.HookSide) -> str:
    """The C expression: whether a system call of this side's hook is open in this task."""
    return f"pp_is_open({side.hook.id}, {_epoch_of(side)})"


def _epoch_of(side: layout.HookSide) -> str:
    return f"(u32)PP_READ(control->probe[{side.hook.probe}].epoch)"


def _place_of(access: registers.Access, stack: str) -> str:
    match access:
        case "registers":
            return stack
        case "arguments":
            return "pp_address(ctx)"
        case "record":
            return "0"


def _site_of(hook: Hook) -> str:
    match hook.traits.site:
        case "user code":
            return "PP_USER_CODE"
        case "system call":
            return "PP_SYSTEM_CALL"
        case _:
            return "PP_FUNCTION"


def can_count_followed(site: EmitSite) -> bool:
    """Whether `count_followed` can be computed on this kernel."""
    return {"utask", "depth"} <= site.task_offsets.keys()


def count_followed(task: str, site: EmitSite) -> str:
    """A C expression: how many returns of user functions the kernel follows in `task`."""
    return f"pp_followed({site.task_member(task, 'utask')}, {site.task_offset('depth')})"


class CallBlock:
    """The statements of one side that find, open and close its calls. `spot`: the id of the first
    hook at the same attach point."""

    def __init__(
        self,
        expressions: Expressions,
        map_layout: layout.MapLayout,
        side: layout.HookSide,
        spot: int,
    ) -> None:
        self.e, self.layout = expressions, map_layout
        joined = expressions.site.joined
        self.element = COOKIE_SIDE if joined else str(side.index)
        self.spot = COOKIE_HOOK if joined else str(spot)
        self.epoch = _epoch_of(side)
        self.hook, self.arch = expressions.site.hook, expressions.site.arch
        self.line = expressions.writer.line

    def declare_call(self) -> None:
        """Declare `call`, the key of this call's frame."""
        self.line(
            f"struct pp_call call = {{.task = pp_task(), .place = {self._place()}, "
            f".hook = {self.e.site.hook_number}}};"
        )

    def _place(self) -> str:
        if self.e.site.access != "registers":
            return _place_of(self.e.site.access, "")
        stack = self.e.read_word(registers.find_stack(self.arch))
        step = registers.return_step(self.arch) if self.e.site.side == "return" else 0
        return f"{stack} - {step}" if step else stack

    # -- entry ---------------------------------------------------------------------------------

    def open_call(self) -> None:
        """Keep what the return needs. The event is dropped where that is impossible."""
        self._drop_too_deep()
        self.line("struct pp_caller *caller = pp_caller_of(&call.task);")
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
        if _site_of(self.hook) == "PP_USER_CODE" and can_count_followed(self.e.site):
            followed = count_followed("call.task", self.e.site)
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
        opened = f"{_site_of(self.hook)}, {self.element}, {self.spot}, {self.epoch}"
        self.line(f"pp_open((void *)frame, caller, {opened});")
        captures = body.entry.captures
        fill_frame(self.e, "frame", enumerate(captures), [node.type for node in captures])
        if _needs_time(self.hook):
            self.line("frame->head.time = pp_ktime_ns();")

    # -- return --------------------------------------------------------------------------------

    def take_call(self, use: str) -> None:
        """Find the frame, and run the statement `use` on it. Its bytes are read in place; it is
        removed when all hooks at this attach point are done."""
        top = f"pp_top(PP_MAP({layout.OPEN}), &call, &call.depth, PP_DEPTH, &outer)"
        for text in (
            "struct pp_frame *outer = 0;",
            f"struct pp_opened *frame = (void *){top};",
            f"if (!frame || frame->head.returned || frame->epoch != {self.epoch})",
            "\tDROP(unpaired);",
            "frame->head.returned = 1;",
            use,
        ):
            self.line(text)


def _push_frame(frame: str) -> str:
    return f"pp_push(PP_MAP({layout.OPEN}), &call, &call.depth, PP_DEPTH, {frame})"


def _needs_time(hook: Hook) -> bool:
    return any(isinstance(n, Builtin) and n.name == "elapsed" for n in nodes_at_hook(hook.body))
