"""Our process id in the kernel: in a PID namespace, programs see another number than we do."""

import os
import struct

from orchestrator.compile.program import ResolvedTarget
from orchestrator.kernel.abi import bpf
from orchestrator.kernel.abi.bpf_call import call_bpf
from orchestrator.plan.findings import Finding, HostError

PROG_TEST_RUN = 10  # enum bpf_cmd, include/uapi/linux/bpf.h
# call bpf_get_current_pid_tgid; r0 >>= 32; exit
_READ_TGID = (
    struct.pack("=BBhi", 0x85, 0, 0, 14)
    + struct.pack("=BBhi", 0x77, 0, 0, 32)
    + struct.pack("=BBhi", 0x95, 0, 0, 0)
)


def own_tgid() -> int:
    """The id of our process in the first PID namespace, as bpf_get_current_pid_tgid returns it.

    A raw tracepoint program is run once in our own context (BPF_PROG_TEST_RUN, 5.10 and later).
    Where that is not possible, our own number is returned.
    """
    try:
        program, _ = bpf.prog_load(bpf.RAW_TRACEPOINT, _READ_TGID, name="own_tgid")
    except OSError:
        return os.getpid()
    attributes = bytearray(struct.pack("=II", program, 0).ljust(80, b"\0"))
    try:
        call_bpf(PROG_TEST_RUN, attributes)
    except OSError:
        return os.getpid()
    finally:
        os.close(program)
    seen: int = struct.unpack_from("=I", attributes, 4)[0]
    return seen or os.getpid()


def check_namespace(target: ResolvedTarget, tgid: int) -> None:
    """Refuse a target by process ids where the kernel's differ from ours. Raises HostError."""
    others = target.left_out
    numbered = bool(target.pid or target.tid or target.children or others.pid or others.tid)
    if tgid == os.getpid() or not numbered:
        return
    message = (
        f"this is a PID namespace (we are {os.getpid()} here and {tgid} to the kernel), so that "
        "pid, tid and children of the target, and of `not`, cannot be matched"
    )
    hint = "run it in the host's PID namespace (--pid=host), or use target.comm or target.cgroup"
    raise HostError([Finding(code="PP089", message=message, hint=hint)])
