"""The meaning of builtin names at one hook: of its task, its return and itself."""

from dataclasses import replace

from orchestrator.compile.expressions.arithmetic import convert_node
from orchestrator.compile.expressions.members import read_member
from orchestrator.compile.expressions.nodes import (
    Arithmetic,
    Builtin,
    Const,
    FuncNumber,
    Node,
    ShownAs,
    TextConst,
)
from orchestrator.compile.expressions.scope import HookScope
from orchestrator.compile.expressions.types import DURATION, S64, U32, U64, Str
from orchestrator.compile.expressions.vocabulary import (
    BUILTINS,
    TASK_BUILTINS,
    UNITS,
    compat_node,
    task_struct,
)
from orchestrator.plan.findings import Position, plan_error

__all__ = ["find_builtin", "known_names"]

#: Those that are of the running task whatever `task` says.
_OF_RUNNING = frozenset({"kstack", "ustack", "compat"})


def known_names(scope: HookScope) -> tuple[str, ...]:
    """Names to suggest for an unknown one."""
    return (
        *scope.definitions,
        *TASK_BUILTINS,
        *BUILTINS,
        *UNITS,
        "compat",
        "container",
        "ppid",
        "since_run",
        "task",
        "retval",
        "elapsed",
        "func",
        "probe",
        "args",
        "params",
        "note",
    )


def find_builtin(scope: HookScope, name: str, place: Position, *, at_entry: bool) -> Node | None:
    """The value of `name`, None where it is not a builtin. `at_entry`: inside entry(). Raises
    PlanError where it has no meaning here."""
    if scope.in_reader and name in _OF_RUNNING and not (name == "kstack" and scope.shows_task):
        raise plan_error(
            "PP088",
            f"{name!r} has no meaning at {scope.label}: it is of the task that runs, which is "
            "probeplan while it reads the iterator",
            place,
            "of the task that is iterated, see what `task` leads to",
        )
    if name in TASK_BUILTINS or name in ("container", "ppid", "since_run", "task"):
        return _task_builtin(scope, name, place)
    match name:
        case "retval":
            return _return_value(scope, place, at_entry)
        case "elapsed":
            return _elapsed_time(scope, place, at_entry)
        case "func":
            number = FuncNumber(scope.func_number, U32)
            return ShownAs(number, U32, {scope.func_number: scope.func})
        case "probe":
            return TextConst(scope.probe.encode(), Str(len(scope.probe) + 1))
        case "compat":
            return compat_node(scope.facts)
        case _:
            return BUILTINS.get(name)


def _task_builtin(scope: HookScope, name: str, place: Position) -> Node:
    if not scope.has_task:
        raise plan_error(
            "PP088",
            f"{name!r} has no meaning here: the probe has `task: none`",
            place,
            "name the task: `task: EXPR`",
        )
    if name == "task":
        return task_struct(scope.facts, place, "`task` needs type information")
    if name == "ppid":
        return _parent_pid(scope, place)
    if name == "since_run":
        return _time_since_run(scope, place)
    if name == "container":
        return ShownAs(_find_cgroup(scope, place), U64, form="container")
    return _find_cgroup(scope, place) if name == "cgroup" else TASK_BUILTINS[name]


def _find_cgroup(scope: HookScope, place: Position) -> Node:
    return TASK_BUILTINS["cgroup"] if scope.is_running_task else _cgroup_of_task(scope, place)


def _cgroup_of_task(scope: HookScope, place: Position) -> Node:
    """The id of another task's cgroup v2 (task_dfl_cgroup in include/linux/cgroup.h, cgroup_id)."""
    node: Node = task_struct(scope.facts, place, "`cgroup` of another task needs type information")
    for member in ("cgroups", "dfl_cgrp", "kn", "id"):
        node = read_member(scope.facts, node, member, place)
    return convert_node(node, U64)


def _parent_pid(scope: HookScope, place: Position) -> Node:
    task = task_struct(scope.facts, place, "`ppid` needs type information")
    parent = read_member(scope.facts, task, "real_parent", place)
    return read_member(scope.facts, parent, "tgid", place)


def _time_since_run(scope: HookScope, place: Position) -> Node:
    """How long ago the task that an iterator shows last came to a CPU. Both times are of the
    scheduler's clock (sched_info_arrive, kernel/sched/stats.h), which drifts from all others: what
    is now is when the task that reads came to its CPU. 0 where the shown one came later."""
    if not scope.shows_task:
        raise plan_error(
            "PP088",
            f"'since_run' has no meaning at {scope.label}: it is of what an iterator shows",
            place,
            "use it at iter:task; at other points, a span or a note keeps the time of an event",
        )
    shown = task_struct(scope.facts, place, "`since_run` needs type information")
    then, now = (
        convert_node(_read_arrival(scope, task, place), S64)
        for task in (shown, replace(shown, name="running_task"))
    )
    elapsed = Arithmetic("-", now, then, S64)
    return convert_node(Arithmetic("max", elapsed, Const(0, S64), S64), DURATION)


def _read_arrival(scope: HookScope, task: Node, place: Position) -> Node:
    info = read_member(scope.facts, task, "sched_info", place)
    return read_member(scope.facts, info, "last_arrival", place)


def _return_value(scope: HookScope, place: Position, at_entry: bool) -> Node:
    if scope.retval is None or at_entry:
        raise plan_error(
            "PP088",
            f"there is no return value at {scope.label}" + (" inside entry()" if at_entry else ""),
            place,
            "use function:, kretprobe:, fexit:, syscall: or uretprobe:",
        )
    described = scope.describe_return(place)
    return scope.retval if described is None else Builtin("retval", described)


def _elapsed_time(scope: HookScope, place: Position, at_entry: bool) -> Node:
    if not scope.has_elapsed or at_entry:
        raise plan_error(
            "PP088",
            f"there is no elapsed time at {scope.label}",
            place,
            "use a kind with entry and return: function:, ufunction: or syscall:",
        )
    return Builtin("elapsed", DURATION)
