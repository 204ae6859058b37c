"""The price of each mechanism, measured with a program that does nothing."""

import os
from collections.abc import Callable, Mapping

from orchestrator.backends.bcc.attach import links
from orchestrator.backends.bcc.attach.links import AttachRefused
from orchestrator.backends.bcc.handles.attachment import Attachment
from orchestrator.backends.quiet_call import CALL, LIBRARY, call_symbol, measure_call_ns
from orchestrator.binaries import elf
from orchestrator.kernel.abi import bpf, dynamic_events
from orchestrator.kernel.abi.run_time import RunTime

__all__ = ["measure_price"]

_RETURN_1 = bpf.make_instruction(bpf.MOV64_IMM, to=0, value=1) + bpf.make_instruction(bpf.EXIT)


def measure_price(kind: str) -> tuple[float, float] | None:
    """How much slower a call becomes, in ns, and the run time of a program that does nothing, in
    ns, by the kernel's statistics. None where this mechanism cannot be tried."""
    attach = _ATTACHERS.get(kind)
    if attach is None:
        return None
    try:
        program, attachment = attach()
    except (OSError, AttachRefused, ValueError, elf.ElfError):
        return None
    try:
        with_it, run_ns = measure_call_ns(), _measure_run(program)
    finally:
        attachment.detach()
        os.close(program)
    return max(with_it - measure_call_ns(), 0.0), run_ns


def _measure_run(program: int) -> float:
    """ns per run; 0 where statistics are not allowed, since they are not used later either."""
    statistics = RunTime()
    try:
        statistics.on()
        measure_call_ns()
    except OSError:
        return 0.0
    finally:
        statistics.off()
    measured = bpf.program_statistics(program)
    return (
        measured.run_time_ns / measured.run_count
        if measured.run_time_ns and measured.run_count
        else 0.0
    )


def _load_empty(kind: int) -> int:
    code = bpf.RETURN_0 if kind == bpf.RAW_TRACEPOINT else _RETURN_1
    return bpf.prog_load(kind, code, name="pp_price")[0]


def _attach_empty(kind: int, attach: Callable[[int], Attachment]) -> tuple[int, Attachment]:
    program = _load_empty(kind)
    try:
        return program, attach(program)
    except BaseException:
        os.close(program)
        raise


def _attach_raw() -> tuple[int, Attachment]:
    return _attach_empty(
        bpf.RAW_TRACEPOINT, lambda fd: links.attach_raw_tracepoint("sys_enter", fd)
    )


def _attach_perf() -> tuple[int, Attachment]:
    number = dynamic_events.event_id(f"syscalls/sys_enter_{CALL}")
    return _attach_empty(bpf.TRACEPOINT, lambda fd: links.attach_perf_tracepoint(number, fd))


def _attach_kprobe(*, returns: bool) -> tuple[int, Attachment]:
    return _attach_empty(
        bpf.KPROBE, lambda fd: links.attach_kprobe_pmu(call_symbol(), fd, returns=returns)
    )


def _attach_uprobe(*, returns: bool) -> tuple[int, Attachment]:
    path = elf.resolve_binary(LIBRARY)
    offset = elf.symbol_offset(path, CALL)
    return _attach_empty(
        bpf.KPROBE, lambda fd: links.attach_uprobe_pmu(str(path), offset, fd, returns=returns)
    )


_ATTACHERS: Mapping[str, Callable[[], tuple[int, Attachment]]] = {
    "raw tracepoint": _attach_raw,
    "perf tracepoint": _attach_perf,
    "kprobe": lambda: _attach_kprobe(returns=False),
    "kretprobe": lambda: _attach_kprobe(returns=True),
    "uprobe": lambda: _attach_uprobe(returns=False),
    "uretprobe": lambda: _attach_uprobe(returns=True),
}
