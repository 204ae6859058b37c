"""Programs attached to the kernel's probes. An attachment ends when its descriptors are closed.

Only dynamic events outlive the process; their definitions are written to the journal before they
are made.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from orchestrator.backends.bcc.attach.thread_events import open_thread_events
from orchestrator.backends.bcc.handles.attachment import Attachment
from orchestrator.kernel.abi import bpf, bpf_iterators, dynamic_events, perf
from orchestrator.kernel.abi.dynamic_events import Event
from orchestrator.kernel.abi.file_identity import FileIdentity, open_unchanged

Handle = TypeVar("Handle")
__all__ = ["AttachRefused", "attach_dynamic_event", "attach_fentry", "attach_fexit"]
__all__ += ["attach_kprobe_pmu", "attach_perf_tracepoint", "attach_raw_tracepoint"]
__all__ += ["attach_iterator", "attach_uprobe_pmu"]

EPERM_ANYWHERE = "not permitted: CAP_BPF and CAP_PERFMON are needed, or the kernel is locked down"
TRACEPOINT_REASONS = {
    errno.EACCES: "the tracepoint's format differs from what the program reads",
    errno.EINVAL: "the event is not a tracepoint, or the program has another type",
    errno.ENOENT: "the kernel no longer has an event with that number",
    errno.EEXIST: "the program is attached to this event already",
    errno.E2BIG: "64 programs are attached to this event already",
}
OPEN_REASONS = {**TRACEPOINT_REASONS, errno.EACCES: perf.CLOSED}
RAW_REASONS = {
    errno.ENOENT: "the kernel has no tracepoint of that name",
    errno.EINVAL: "the program has another type, or reads more than the tracepoint has",
}
TRACING_REASONS = {
    errno.EBUSY: "the function cannot be patched now, or another trampoline is in its way",
    errno.EINVAL: "the kernel cannot trace this function by a trampoline",
    errno.ENOENT: "the function is not traceable by ftrace",
    524: "this kernel has no trampolines for functions (ENOTSUPP)",
    errno.E2BIG: "too many programs are attached to this function",
}
ITERATOR_REASONS = {
    errno.EINVAL: "the iterator needs to know of which map or cgroup, which a plan cannot say",
    errno.EBADF: "the iterator needs to know of which map, which a plan cannot say",
}
PMU_REASONS = {
    errno.ENOENT: "no such symbol or file, or this kernel has no such PMU",
    errno.EINVAL: "the place is blacklisted, not traceable or not the start of an instruction",
    errno.EADDRNOTAVAIL: "the symbol occurs more than once, so its address is not certain",
    errno.EILSEQ: "the offset is not the start of an instruction",
    errno.EACCES: perf.CLOSED,
}


class AttachRefused(Exception):
    """Attaching by `mechanism` to `place` failed: the errno, and its meaning there."""

    def __init__(self, mechanism: str, place: str, code: int, why: str) -> None:
        self.mechanism, self.place, self.errno, self.why = mechanism, place, code, why
        name = errno.errorcode.get(code, str(code))
        super().__init__(f"cannot attach by {mechanism} to {place}: {why} ({name})")


def attach_raw_tracepoint(name: str, prog_fd: int) -> Attachment:
    """Attach a raw tracepoint program (ctx[n]: the tracepoint's arguments) to the tracepoint
    `name`. Raises AttachRefused."""
    fd = _attempt(
        "raw tracepoint", name, RAW_REASONS, lambda: bpf.raw_tracepoint_open(name, prog_fd)
    )
    return Attachment(mechanism="raw tracepoint", place=name, fds=[fd])


def attach_fentry(place: str, prog_fd: int) -> Attachment:
    """Attach a tracing program to the function that it was loaded for; `place` is for messages.
    Raises AttachRefused."""
    return _attach_tracing("fentry", place, prog_fd)


def attach_fexit(place: str, prog_fd: int) -> Attachment:
    """As attach_fentry, but loaded with TRACE_FEXIT: ctx holds arguments, then the return value."""
    return _attach_tracing("fexit", place, prog_fd)


def _attach_tracing(mechanism: str, place: str, prog_fd: int) -> Attachment:
    fd = _attempt(mechanism, place, TRACING_REASONS, lambda: bpf.raw_tracepoint_open(None, prog_fd))
    return Attachment(mechanism=mechanism, place=place, fds=[fd])


def attach_iterator(name: str, prog_fd: int) -> Attachment:
    """Attach a tracing program to the iterator that it was loaded for; it runs when the iterator is
    read. `name` is for messages. Raises AttachRefused."""
    fd = _attempt("iterator", name, ITERATOR_REASONS, lambda: bpf_iterators.link_iterator(prog_fd))
    return Attachment(mechanism="iterator", place=name, fds=[fd])


def attach_perf_tracepoint(event_id: int, prog_fd: int, *, place: str = "") -> Attachment:
    """Attach a tracepoint program to the event with this number. It must return 1 on every path.

    Returning 0 drops the event for all other users of perf (measured; callers of trace_call_bpf).
    Raises AttachRefused.
    """
    return _attach_perf_event("perf tracepoint", place or str(event_id), event_id, prog_fd)


def attach_dynamic_event(
    event: Event,
    prog_fd: int,
    journal: Callable[[str], None],
    *,
    processes: Iterable[int] = (),
    tracefs: Path = dynamic_events.TRACEFS,
) -> Attachment:
    """Define a private dynamic event, and attach a kprobe program (ctx: struct pt_regs) to it.

    Works for kernel functions and files, at entry and return. `processes`: for a file, those that
    get the probe, with all threads and what they start; without any, or where they cannot be
    followed, all processes do. Nothing is left behind by a failure. Raises AttachRefused with the
    kernel's reason.
    """
    try:
        dynamic_events.define_events([event], journal, tracefs=tracefs)
    except dynamic_events.DefinitionError as refused:
        code, why = refused.errno, refused.why
        raise AttachRefused("dynamic event", event.line, code, why) from None
    try:
        number = dynamic_events.event_id(event.full_name, tracefs=tracefs)
        attachment = _attach_defined(event, number, prog_fd, tuple(processes))
    except (AttachRefused, OSError):
        dynamic_events.remove_events([event.full_name], tracefs=tracefs)
        raise
    return Attachment(
        mechanism=attachment.mechanism,
        place=attachment.place,
        fds=attachment.fds,
        events=(event.full_name,),
        tracefs=tracefs,
    )


def _attach_defined(
    event: Event, number: int, prog_fd: int, processes: Sequence[int]
) -> Attachment:
    """The program runs at every hit; the threads that have an event only say whose processes are
    hit."""
    if not processes:
        return _attach_perf_event("dynamic event", event.line, number, prog_fd)
    try:
        fds = open_thread_events(number, processes, lambda fd: perf.set_program(fd, prog_fd))
    except OSError as refused:
        why = refused.strerror or str(refused)
    else:
        count = len(fds) - 1
        threads = "1 thread" if count == 1 else f"{count} threads"
        place = f"{event.line} in {threads} of the target and what they start"
        return Attachment(mechanism="dynamic event", place=place, fds=fds)
    attachment = _attach_perf_event("dynamic event", event.line, number, prog_fd)
    return replace(attachment, place=f"{event.line} in every process: {why}")


def attach_kprobe_pmu(
    symbol: str, prog_fd: int, *, offset: int = 0, returns: bool = False
) -> Attachment:
    """Attach a kprobe program through the kprobe PMU, for hosts without tracefs: misses are not
    counted.

    A return probe loses most nested returns here, uncounted (90 of 101, measured). Raises
    AttachRefused.
    """
    return _attach_pmu("kprobe", symbol, offset, prog_fd, returns=returns)


def attach_uprobe_pmu(  # noqa: PLR0913 - what makes a PMU event
    path: str,
    offset: int,
    prog_fd: int,
    *,
    returns: bool = False,
    ref_counter: int = 0,
    identity: FileIdentity | None = None,
) -> Attachment:
    """Attach a kprobe program to an offset in a file by the uprobe PMU, for hosts without tracefs.

    `ref_counter`: file offset of a USDT semaphore, counted up while attached (4.20 and later).
    `identity`: the file that the offset was found in. The kernel writes the breakpoint as soon as
    the event is opened, so the file is named by a descriptor of it and not by its path. Raises
    AttachRefused.
    """
    opened = nullcontext(path) if identity is None else open_unchanged(path, identity)
    with ExitStack() as undoing:
        try:
            with opened as name:
                attachment = _attach_pmu(
                    "uprobe", name, offset, prog_fd, returns=returns, high=ref_counter
                )
                undoing.callback(attachment.detach)
        except OSError as refused:
            code = refused.errno or 0
            why = dynamic_events.REASONS.get(code, os.strerror(code))
            raise AttachRefused("uprobe PMU", f"{path}+{offset:#x}", code, why) from None
        undoing.pop_all()
    return replace(attachment, place=f"{path}+{offset:#x}")


def _attach_pmu(  # noqa: PLR0913 - what makes a PMU event
    pmu: str, name: str, offset: int, prog_fd: int, *, returns: bool, high: int = 0
) -> Attachment:
    """config: bit 0 return, 32-63 semaphore; config1 name, config2 offset (sysfs, format/)."""
    text = ctypes.create_string_buffer(os.fsencode(name))
    mechanism, place = f"{pmu} PMU", f"{name}+{offset:#x}"

    def open_event() -> int:
        config = int(returns) | high << 32
        where = ctypes.addressof(text)
        return perf.open_event(perf.pmu_type(pmu), config, config1=where, config2=offset)

    event = _attempt(mechanism, place, PMU_REASONS, open_event)
    return _set_program(mechanism, place, event, prog_fd)


def _attach_perf_event(mechanism: str, place: str, event_id: int, prog_fd: int) -> Attachment:
    event = _attempt(
        mechanism,
        place,
        OPEN_REASONS,
        lambda: perf.open_event(perf.TYPE_TRACEPOINT, event_id),
    )
    return _set_program(mechanism, place, event, prog_fd)


def _set_program(mechanism: str, place: str, event: int, prog_fd: int) -> Attachment:
    try:
        _attempt(mechanism, place, TRACEPOINT_REASONS, lambda: perf.set_program(event, prog_fd))
    except AttachRefused:
        os.close(event)
        raise
    return Attachment(mechanism=mechanism, place=place, fds=[event])


def _attempt(
    mechanism: str, place: str, reasons: dict[int, str], attempt: Callable[[], Handle]
) -> Handle:
    try:
        return attempt()
    except OSError as refused:
        code = refused.errno or 0
        general = EPERM_ANYWHERE if code == errno.EPERM else os.strerror(code)
        raise AttachRefused(mechanism, place, code, reasons.get(code, general)) from None
