"""A program that runs at a frequency on every CPU: a perf event of the CPU's clock on each."""

import ctypes
import errno
import os
import struct

from orchestrator.backends.bcc.attach.links import AttachRefused
from orchestrator.backends.bcc.handles.attachment import Attachment
from orchestrator.kernel.abi import perf

TYPE_SOFTWARE = 1  # PERF_TYPE_SOFTWARE; config 0 is PERF_COUNT_SW_CPU_CLOCK
BY_FREQUENCY = 1 << 10  # the bit `freq` of struct perf_event_attr: sample_period is in Hz
REASONS = {
    errno.EINVAL: "the frequency is above /proc/sys/kernel/perf_event_max_sample_rate",
    errno.EACCES: "not permitted: CAP_PERFMON is needed",
    errno.ENODEV: "the CPU went offline",
}

_libc = ctypes.CDLL(None, use_errno=True)


def attach_perf_clock(frequency: int, program: int) -> Attachment:
    """Attach `program` to the clock of every online CPU, `frequency` times per second of CPU time.

    CPUs that come online later are not covered. Raises AttachRefused.
    """
    fds: list[int] = []
    try:
        for cpu in perf.online_cpus():
            fds.append(_open_clock(frequency, cpu))
            perf.set_program(fds[-1], program)
    except OSError as refused:
        for fd in fds:
            os.close(fd)
        code = refused.errno or 0
        why = REASONS.get(code, os.strerror(code))
        raise AttachRefused("perf clock", f"{frequency}hz", code, why) from None
    return Attachment(mechanism="perf clock", place=f"{frequency}hz", fds=fds)


def _open_clock(frequency: int, cpu: int) -> int:
    attributes = struct.pack(
        "=IIQQQQQ", TYPE_SOFTWARE, perf.ATTRIBUTE_BYTES, 0, frequency, 0, 0, BY_FREQUENCY
    ).ljust(perf.ATTRIBUTE_BYTES, b"\0")
    buffer = ctypes.create_string_buffer(attributes, perf.ATTRIBUTE_BYTES)
    number = perf.SYSCALL[os.uname().machine]
    flags = ctypes.c_ulong(perf.FLAG_FD_CLOEXEC)
    fd: int = _libc.syscall(number, buffer, -1, cpu, -1, flags)
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return fd
