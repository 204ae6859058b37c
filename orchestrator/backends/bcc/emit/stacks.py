"""Stacks in C: the definitions for the header, and how a hook takes a stack."""

from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.emit.site import EmitError, EmitSite
from orchestrator.compile.expressions.nodes import Builtin, RawArg


def include_stacks(map_layout: layout.MapLayout) -> str:
    """The directives that bring in stacks.h; "" when no stack is taken."""
    if not map_layout.stack_depth:
        return ""
    numbers = {
        "PP_STACK_DEPTH": map_layout.stack_depth,
        "PP_STACK_NESTING": layout.STACK_NESTING,
        "PP_STACKS": layout.STACKS,
        "PP_STACK_SCRATCH": layout.STACK_SCRATCH,
        "PP_STACK_COUNTS": layout.STACK_COUNTS,
    }
    defines = "".join(f"#define {name} {value}\n" for name, value in numbers.items())
    return f"{defines}#include <probeplan/stacks.h>\n"


def take_stack(node: Builtin, site: EmitSite) -> str:
    """A C expression: the number of the current task's stack, `kstack` or `ustack`; at an iterator
    of the task's that is shown. Raises EmitError."""
    if site.hook.traits.site == "iterator":
        return _take_shown_stack(node, site)
    user = node.name == "ustack"
    place = layout.stack_place(site.hook) if site.at_trampoline and not user else 0
    # where user code may be interrupted, the registers may be user registers: no kernel stack then
    sure = not user and site.hook.traits.space == "kernel"
    mm_offset = site.task_offset("mm") if user and "mm" in site.task_offsets else "-1"
    more = 0 if user else layout.MACHINERY_FRAMES[site.access]
    taken = node.depth + more if node.depth else 0
    return f"pp_stack(ctx, {int(user)}, {place}, {int(sure)}, {mm_offset}, {node.depth}, {taken})"


def _take_shown_stack(node: Builtin, site: EmitSite) -> str:
    """The kernel stack of the task that an iterator shows. The helper wants the kernel's own
    pointer, which only the object itself has; the copy of its words has a number."""
    task = site.body.task
    if not isinstance(task, RawArg) or "exit_state" not in site.task_offsets:
        raise EmitError("`kstack` at an iterator is known only of the task that it shows")
    shown = f"(void *)object[{task.index}]"
    exit_state = site.task_member(f"ctx[{task.index}]", "exit_state")
    return f"pp_shown_stack({shown}, {exit_state}, {node.depth})"
