"""A program that runs by the clock, at a frequency on every CPU or each so often on one, or once
in a number of the events that a CPU counts."""

import ctypes
import errno
import fcntl
import os
import struct
from dataclasses import replace

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
_COUNTER_REASONS = {
    errno.ENOENT: "neither the kernel nor the processor has this event (in virtual machines the "
    "processor's are often not passed on)",
    errno.EOPNOTSUPP: "this event cannot interrupt the processor, so that it is not sampled",
    errno.EINVAL: "this event cannot be counted with this period",
    errno.EACCES: "not permitted: CAP_PERFMON is needed",
}
_NS_PER_S = 1_000_000_000

_libc = ctypes.CDLL(None, use_errno=True)


def attach_perf_clock(frequency: int, program: int) -> Attachment:
    """Attach `program` to the clock of every online CPU, `frequency` times per second of CPU time.

    CPUs that come online later are not covered. Raises AttachRefused.
    """
    cpus = perf.online_cpus()
    return _attach(f"{frequency}hz", cpus, (TYPE_SOFTWARE, 0), (frequency, BY_FREQUENCY), program)


def attach_interval(period_ns: int, program: int) -> Attachment:
    """Attach `program` to the clock of one CPU, the first that is online: each `period_ns`, from
    now on, also while the CPU is idle (kernel/events/core.c, perf_swevent_hrtimer: a timer of
    CLOCK_MONOTONIC). Raises AttachRefused."""
    cpu = perf.online_cpus()[0]
    place = f"each {period_ns / _NS_PER_S:g} s on CPU {cpu}"
    return _attach(place, (cpu,), (TYPE_SOFTWARE, 0), (period_ns, 0), program)


def attach_counter(place: str, event: tuple[int, int], period: int, program: int) -> Attachment:
    """Attach `program` to an event (its type and config) on every online CPU, once in `period` of
    its events on each. Raises AttachRefused.

    The descriptors count all events from the moment at which the program is set, so that reading
    them shows what it missed.
    """
    try:
        attachment = _attach(place, perf.online_cpus(), event, (period, perf.DISABLED), program)
    except AttachRefused as refused:
        why = _COUNTER_REASONS.get(refused.errno, refused.why)
        raise AttachRefused("perf event", place, refused.errno, why) from None
    for fd in attachment.fds:
        fcntl.ioctl(fd, perf.IOC_ENABLE, 0)
    return replace(attachment, mechanism="perf event")


def _attach(
    place: str,
    cpus: tuple[int, ...],
    event: tuple[int, int],
    period: tuple[int, int],
    program: int,
) -> Attachment:
    """`period`: the number, and the flags of the event."""
    fds: list[int] = []
    try:
        for cpu in cpus:
            fds.append(_open_event(event, *period, cpu))
            perf.set_program(fds[-1], program)
    except OSError as refused:
        for fd in fds:
            os.close(fd)
        code = refused.errno or 0
        why = REASONS.get(code, os.strerror(code))
        raise AttachRefused("perf clock", place, code, why) from None
    return Attachment(mechanism="perf clock", place=place, fds=fds)


def _open_event(event: tuple[int, int], period: int, flags: int, cpu: int) -> int:
    attributes = struct.pack(
        "=IIQQQQQ", event[0], perf.ATTRIBUTE_BYTES, event[1], period, 0, 0, flags
    ).ljust(perf.ATTRIBUTE_BYTES, b"\0")
    buffer = ctypes.create_string_buffer(attributes, perf.ATTRIBUTE_BYTES)
    number = perf.SYSCALL[os.uname().machine]
    cloexec = ctypes.c_ulong(perf.FLAG_FD_CLOEXEC)
    fd: int = _libc.syscall(number, buffer, -1, cpu, -1, cloexec)
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return fd
