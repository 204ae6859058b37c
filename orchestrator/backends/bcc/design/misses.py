"""Where the kernel may skip a BPF program, and whether it counts that.

Raw tracepoints, fentry and fexit: a program that is already active on this CPU is skipped, and
bpf_prog_info.recursion_misses counts it (__bpf_trace_run in kernel/trace/bpf_trace.c,
__bpf_prog_enter_recur in kernel/bpf/trampoline.c). Kernels without that counter have no such check.

Perf tracepoints: an event inside the handler of another perf event at the same interrupt level is
dropped before any program runs (get_recursion_context in kernel/events/internal.h), uncounted. Then
trace_call_bpf skips the program while any other is active on this CPU, which newer kernels count.
Neither can happen to events that only a task itself causes: a handler makes no system calls, starts
no program and does not sleep; and kernels on which handlers can be preempted count it.
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
        ("io_uring", "io_uring_submit_req"),  # io_submit_sqes, which only io_uring_enter
        ("io_uring", "io_uring_submit_sqe"),  # and the thread that polls for it call
    }
)


def only_tasks_cause(tracepoint: Tracepoint) -> bool:
    """True for an event that neither a handler nor an interrupt can cause, so that none is
    missed."""
    place = (tracepoint.category, tracepoint.event)
    return place[0] in _TASKS_OWN_CATEGORIES or place in _TASKS_OWN_EVENTS
