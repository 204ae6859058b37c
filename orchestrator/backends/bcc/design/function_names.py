"""Names of the programs in the text that are at no hook of a plan."""

__all__ = ["ENDED", "EXEC", "EXIT", "FORK", "REPLACED"]

#: Programs that follow the target's tasks, by the tracepoint that each is for.
FORK, EXEC, EXIT = "follow_fork", "follow_exec", "follow_exit"
#: Programs at sched_process_exit and sched_process_free, and at sched_process_exec.
ENDED, REPLACED = ("end_calls", "free_calls"), "replace_calls"
