"""Whose processes pay for a probe in user code: all that have mapped the file, or the target's.

The kernel writes a breakpoint into every process that has mapped the file, unless all events of the
probe are bound to threads: then only their processes have it (kernel/trace/trace_uprobe.c,
uprobe_perf_filter). A call of another process costs two to three microseconds in the first case,
and nothing in the second.
"""

from orchestrator.backends.bcc.design.mechanism import Mechanism
from orchestrator.compile.expressions.nodes import Builtin
from orchestrator.compile.program import Hook, ResolvedTarget

__all__ = ["describe_scope", "is_one_process", "why_in_every_process"]

_OTHER_KEYS = ("cgroup", "comm", "uid", "exe", "pidns")
_OF_PROCESS = ("pid", "tid")
_ALONE = "in the target's processes alone, and their children: others run as without it"
#: Decided when it is attached (thread_events.may_gain_privileges): who the target is then.
_UNLESS = (
    "in every process that maps the file if the target is not root's and may gain privileges "
    "(NoNewPrivs 0), since a child that executes a set-user-ID program would lose it"
)


def why_in_every_process(
    hook: Hook, mechanism: Mechanism | None, target: ResolvedTarget
) -> str | None:
    """Why a probe in user code has to be in every process; None where it can be in the target's
    alone, which takes a target by number or by descent."""
    if hook.traits.space != "user":
        return "it is in the kernel"
    if not (target.pid or target.tid or target.children):
        named = next((key for key in _OTHER_KEYS if getattr(target, key)), "")
        if named:
            return f"the kernel binds breakpoints to threads, and not to a {named}"
        return "no process is the target"
    if mechanism == "uprobe multi" and not is_one_process(target):
        return "a link is in one process, or in all"
    if mechanism not in ("dynamic event", "uprobe multi"):
        return f"the {mechanism} does not follow children"
    if hook.body.task is not None:
        return "its events are of no task, or of another task"
    if not hook.body.tests_target and not _joined_by_process(hook):
        return "its span may end in a process outside the target"
    return None


def is_one_process(target: ResolvedTarget) -> bool:
    """Whether the target is one process, without its children."""
    return len(target.pid) == 1 and not (target.tid or target.children)


def _joined_by_process(hook: Hook) -> bool:
    """Whether all spans that the hook takes part in have the process or thread in their key."""
    return all(
        any(isinstance(part, Builtin) and part.name in _OF_PROCESS for part in use.key)
        for use in hook.body.spans
    )


def describe_scope(hook: Hook, mechanism: Mechanism | None, target: ResolvedTarget) -> str:
    """Which processes have the probe, for people; "" for a probe in the kernel."""
    if hook.traits.space != "user" or mechanism is None:
        return ""
    why = why_in_every_process(hook, mechanism, target)
    if why is None and mechanism == "uprobe multi":
        return "in the target's process alone: others run as without it"
    if why is None:
        return f"{_ALONE}; {_UNLESS}" if target.children else _ALONE
    return f"in every process that maps the file: {why}"
