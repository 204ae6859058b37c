"""BPF iterators: programs that the kernel runs once for each of its objects of one kind, when a
descriptor is read (kernel/bpf/bpf_iter.c; 5.8 and later)."""

import os
import struct

from orchestrator.kernel.abi import bpf_call
from orchestrator.kernel.abi.bpf_call import call_bpf

TRACE_ITER = 28  # enum bpf_attach_type, include/uapi/linux/bpf.h
_READ_BYTES = 4096


def link_iterator(prog_fd: int) -> int:
    """Attach a program to the iterator that it was loaded for, and return the link's descriptor.
    Raises OSError: EINVAL where the iterator needs to know of which map or cgroup."""
    attributes = struct.pack("=IIIIQII", prog_fd, 0, TRACE_ITER, 0, 0, 0, 0)
    return call_bpf(bpf_call.LINK_CREATE, attributes)


def run_iterator(link_fd: int) -> None:
    """Run the program for all objects, in this task, until the last. It prints nothing, so the
    first read comes to the end; after a million objects the kernel answers EAGAIN, and goes on at
    the next read (bpf_seq_read, MAX_ITER_OBJECTS). Raises OSError."""
    descriptor = call_bpf(bpf_call.ITER_CREATE, struct.pack("=II", link_fd, 0))
    try:
        while True:
            try:
                if not os.read(descriptor, _READ_BYTES):
                    return
            except BlockingIOError:
                continue
    finally:
        os.close(descriptor)
