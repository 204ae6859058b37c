"""Names of the programs in the text that are at no hook of a plan."""

__all__ = ["ENDED", "EXEC", "EXIT", "FORK", "MADE", "RELEASED", "REPLACED"]

#: Programs that follow the target's tasks, by the tracepoint that each is for.
FORK, EXEC, EXIT = "follow_fork", "follow_exec", "follow_exit"
#: Programs that follow the cgroups that match the target's patterns, at cgroup_mkdir and
#: cgroup_release.
MADE, RELEASED = "follow_cgroup", "forget_cgroup"
#: Programs at sched_process_exit and sched_process_free, and at sched_process_exec.
ENDED, REPLACED = ("end_calls", "free_calls"), "replace_calls"
