"""Where the kernel may pass a BPF program over, and whether it counts that.

Raw tracepoints, fentry and fexit: a program that is active on this CPU already is passed over, and
bpf_prog_info.recursion_misses counts each time (__bpf_trace_run in kernel/trace/bpf_trace.c,
__bpf_prog_enter_recur in kernel/bpf/trampoline.c). Kernels without that counter have no such check.

Perf tracepoints: the event is dropped before any program is asked when it happens inside another
perf event's handler at the same interrupt level (get_recursion_context in
kernel/events/internal.h), and nobody counts it; then trace_call_bpf passes the program over while
any other is active on this CPU, which newer kernels count. Neither can happen to events that only a
task causes by its own doing, since a handler makes no system calls, starts no program and does not
go to sleep; where handlers can be preempted, the kernel is one that counts.
"""

from orchestrator.kernel.tracepoints import Tracepoint

_TASKS_OWN_CATEGORIES = frozenset({"syscalls", "raw_syscalls"})
_TASKS_OWN_EVENTS = frozenset(
    {
        ("sched", "sched_switch"),
        ("sched", "sched_process_exec"),
        ("sched", "sched_process_exit"),
        ("sched", "sched_process_fork"),
        ("sched", "sched_process_wait"),
        ("exceptions", "page_fault_user"),
    }
)


def only_tasks_cause(tracepoint: Tracepoint) -> bool:
    """True for an event that no handler and no interrupt can cause, so that none goes unseen."""
    place = (tracepoint.category, tracepoint.event)
    return place[0] in _TASKS_OWN_CATEGORIES or place in _TASKS_OWN_EVENTS
