"""What a bcc script usually does: a perf buffer, a callback for each event, json.dumps.

usage: perf_buffer.py PID   (prints one JSON line per getppid call of this process)
Prints "attached" to standard error when it is, and the number of events lost at its end.
"""

import ctypes
import json
import signal
import sys
from typing import Any

from bcc import BPF

PROGRAM = r"""
struct event { u64 time; u32 cpu, pid, tid; int nr; char comm[16]; };
BPF_PERF_OUTPUT(events);

TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
    u64 identity = bpf_get_current_pid_tgid();
    if (identity >> 32 != WATCHED)
        return 0;
    struct event event = {};
    event.time = bpf_ktime_get_ns();
    event.cpu = bpf_get_smp_processor_id();
    event.pid = identity >> 32;
    event.tid = identity;
    event.nr = args->__syscall_nr;
    bpf_get_current_comm(&event.comm, sizeof(event.comm));
    events.perf_submit(args, &event, sizeof(event));
    return 0;
}
"""
PAGES = 4096  # per CPU: 16 MiB


def main(pid: int) -> None:
    """Print until interrupted."""
    bpf = BPF(text=PROGRAM, cflags=[f"-DWATCHED={pid}"])
    lost = 0

    def print_event(_cpu: int, data: Any, _size: int) -> None:
        event = bpf["events"].event(data)
        line = {
            "time": event.time,
            "cpu": event.cpu,
            "pid": event.pid,
            "tid": event.tid,
            "nr": event.nr,
            "comm": event.comm.decode(errors="replace"),
        }
        sys.stdout.write(json.dumps(line) + "\n")

    def note_lost(count: ctypes.c_uint64 | int) -> None:
        nonlocal lost
        lost += int(getattr(count, "value", count))

    bpf["events"].open_perf_buffer(print_event, page_cnt=PAGES, lost_cb=note_lost)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print("attached", file=sys.stderr, flush=True)
    try:
        while True:
            bpf.perf_buffer_poll()
    except KeyboardInterrupt:
        sys.stdout.flush()
        print(f"lost {lost}", file=sys.stderr)


if __name__ == "__main__":
    main(int(sys.argv[1]))
