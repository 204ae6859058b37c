"""Functions whose value depends on the task that runs at the event, not on arguments alone."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from orchestrator.compile.expressions.arithmetic import convert_node, require_integer
from orchestrator.compile.expressions.builtin_names import find_builtin
from orchestrator.compile.expressions.functions import read_size
from orchestrator.compile.expressions.members import read_member
from orchestrator.compile.expressions.nodes import (
    Arithmetic,
    Builtin,
    Const,
    Node,
    ReadBytes,
    UserSymbol,
)
from orchestrator.compile.expressions.scope import HookScope
from orchestrator.compile.expressions.types import S64, U64, Pointer, StringList
from orchestrator.compile.expressions.vocabulary import compat_node, task_struct
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.syscalls import COMPAT_BIT
from orchestrator.plan.findings import Position, plan_error

__all__ = ["TASK_FUNCTIONS", "tag_call_number"]

TaskFunction = Callable[[HookScope, tuple[Node, ...], Position], Node]


def tag_call_number(facts: KernelFacts, number: Node, position: Position) -> Node:
    """The number of the running task's system call, with COMPAT_BIT if it is one of 32-bit code,
    whose numbers have another meaning."""
    value = require_integer(number, position)
    compat = compat_node(facts)
    if isinstance(compat, Const):
        return value
    flag = Arithmetic("<<", convert_node(compat, S64), Const(COMPAT_BIT, S64), S64)
    return Arithmetic("|", convert_node(value, S64), flag, S64)


def _make_argv(scope: HookScope, args: tuple[Node, ...], position: Position) -> Node:
    """The kernel keeps where the strings of the last exec are (create_elf_tables in
    fs/binfmt_elf.c sets it before sched_process_exec): one piece of memory, just written."""
    if not scope.is_running_task:
        raise plan_error(
            "PP088",
            f"argv() has no meaning at {scope.label}: it is read from the memory of the running "
            "task, and the probe's event belongs to another, or to none",
            position,
            "leave out the probe's `task`",
        )
    task = task_struct(scope.facts, position, "argv() needs type information")
    memory = read_member(scope.facts, task, "mm", position)
    start, end = (
        convert_node(read_member(scope.facts, memory, name, position), U64)
        for name in ("arg_start", "arg_end")
    )
    size = read_size(args, "argv", position, at=0)
    return ReadBytes(
        convert_node(start, Pointer("user")), Arithmetic("-", end, start, U64), StringList(size)
    )


#: The kernel gives at most kernel.perf_event_max_stack frames, 127 unless it is changed.
_MOST_FRAMES = 127


def _make_stack(name: str) -> TaskFunction:
    def make(scope: HookScope, args: tuple[Node, ...], position: Position) -> Node:
        depth = args[0]
        if not isinstance(depth, Const) or not 1 <= depth.value <= _MOST_FRAMES:
            hint = f"a number from 1 to {_MOST_FRAMES}: {name}(5)"
            raise plan_error("PP086", f"{name} of how many frames is not known", position, hint)
        stack = find_builtin(scope, name, position, at_entry=False)
        assert isinstance(stack, Builtin)
        return replace(stack, depth=depth.value)

    return make


def _make_usym(scope: HookScope, args: tuple[Node, ...], position: Position) -> Node:
    if not scope.is_running_task:
        raise plan_error(
            "PP088",
            f"usym() has no meaning at {scope.label}: it names an address in the memory of the "
            "running task, and the probe's event belongs to another, or to none",
            position,
            "leave out the probe's `task`",
        )
    return UserSymbol(convert_node(require_integer(args[0], position), U64))


#: name → (fewest arguments, most, how).
TASK_FUNCTIONS: Mapping[str, tuple[int, int, TaskFunction]] = {
    "argv": (0, 1, _make_argv),
    "usym": (1, 1, _make_usym),
    "kstack": (1, 1, _make_stack("kstack")),
    "ustack": (1, 1, _make_stack("ustack")),
}
