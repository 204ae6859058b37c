"""What of a kernel stack is shown: the way from the probed place to the program is left out."""

import re
from collections.abc import Sequence

from orchestrator.symbols.frames import Frame

__all__ = ["begin_at_function", "drop_machinery"]

# What the kernel runs between a probed place and the program that takes a stack: functions with
# names of these forms, and generated code (programs, trampolines), shown as a module named bpf.
_MACHINERY = re.compile(
    r"(_*bpf_get_stack\w*|_+bpf_prog_(run|enter|exit)\w*|_+bpf_trace_\w+|bpf_trace_run\d+"
    r"|trace_call_bpf|__traceiter_\w+|__do_trace_\w+|(do_)?perf_trace_\w+"
    r"|perf_call_bpf_(enter|exit)|perf_syscall_(enter|exit)"
    r"|bpf_(prog_[0-9a-f]{16}|trampoline_\d+)(_\w+)?)(\.[\w.]+)?"
)
_GENERATED = "bpf"
_TRAMPOLINE = re.compile(r"bpf_trampoline_\d+")
# A function's call of its trampoline ends within its first bytes: at most endbr64 and the call on
# x86, `bti c`, `mov x9, x30` and the call on arm64. No call that the function makes itself returns
# there.
_PATCHED_BYTES = 12


def drop_machinery(frames: Sequence[Frame]) -> Sequence[Frame]:
    """A kernel stack without the frames between the probed place and the program that took it.

    Only the innermost frames are dropped, up to the first function of another kind: further out,
    the same code shows that the way to this place led through another probe. A generated frame
    without a name (net.core.bpf_jit_kallsyms is 0) is dropped where machinery follows it.
    """
    begin = 0
    for at, frame in enumerate(frames):
        if _is_machinery(frame):
            begin = at + 1
        elif frame.symbol is not None:
            break
    return frames[begin:] if begin else frames


def begin_at_function(frames: Sequence[Frame], probed: Frame) -> Sequence[Frame]:
    """A kernel stack that a program took at the trampoline of `probed`, from there outwards.

    Where the function called the trampoline, the call is among the frames, behind the trampoline;
    where it jumped to it (x86 since 6.19, when the trampoline calls the function), the caller
    follows. Either way the stack begins with the function's start, as at a kprobe.
    """
    outside = frames[_end_trampoline(frames, probed) :]
    if outside and _has_called_trampoline(outside[0], probed):
        outside = outside[1:]
    return (probed, *outside)


def _end_trampoline(frames: Sequence[Frame], probed: Frame) -> int:
    """Where the frames behind the innermost trampoline begin. Where generated code has no names:
    behind the innermost frames without a name."""
    for at, frame in enumerate(frames):
        if _has_called_trampoline(frame, probed):
            return at
        if frame.symbol is not None and _TRAMPOLINE.fullmatch(frame.symbol):
            return at + 1
        if frame.symbol is not None and not _is_machinery(frame):
            return at
    return len(frames)


def _has_called_trampoline(frame: Frame, probed: Frame) -> bool:
    return 0 < frame.address - probed.address <= _PATCHED_BYTES


def _is_machinery(frame: Frame) -> bool:
    return frame.symbol is not None and (
        frame.module == _GENERATED or _MACHINERY.fullmatch(frame.symbol) is not None
    )
