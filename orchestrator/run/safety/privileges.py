"""Privileges: checked before anything else is done, and dropped once the probes are attached."""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from orchestrator.compile.program import USER_STACK_FORMS, KeptField, KeyField, Program, RecordField
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError, Position

__all__ = ["capabilities_for_files", "capabilities_for_names", "drop_privileges"]
__all__ += ["require_privileges"]


_OF_PROCESSES = ("CAP_SYS_PTRACE", "CAP_CHECKPOINT_RESTORE", "CAP_DAC_READ_SEARCH")


def require_privileges(facts: KernelFacts) -> None:
    """Raises HostError unless the process has CAP_SYS_ADMIN, or CAP_BPF with CAP_PERFMON (5.8 and
    later; capabilities(7)). If a capability is unknown, the kernel decides."""
    if facts.feature("cap_sys_admin").state != "no":
        return
    missing = [name for name in ("cap_bpf", "cap_perfmon") if facts.feature(name).state == "no"]
    if not missing:
        return
    finding = Finding(
        code="PP092",
        message=f"probes cannot be attached without {' and '.join(map(str.upper, missing))}",
        position=Position(file="this process"),
        hint="run as root (sudo probeplan run …), or grant the service CAP_BPF and CAP_PERFMON "
        "(CAP_SYS_ADMIN before Linux 5.8); `lint` and `explain --kernel` need none",
    )
    raise HostError([finding])


def capabilities_for_names(program: Program) -> tuple[str, ...]:
    """The capabilities needed to name what `program` reads: CAP_SYSLOG for the addresses in
    /proc/kallsyms; of other users' processes CAP_SYS_PTRACE for their memory maps,
    CAP_CHECKPOINT_RESTORE to open what is mapped (proc(5), map_files) and CAP_DAC_READ_SEARCH."""
    parts: list[RecordField | KeyField | KeptField] = []
    parts += [field for emit in program.emits for field in emit.fields]
    parts += [part for metric in program.metrics for part in metric.key]
    parts += [one for span in program.spans for one in span.kept]
    forms = {part.form for part in parts}
    symbols = any(part.presentation and part.presentation.form == "symbol" for part in parts)
    needed = ["CAP_SYSLOG"] if symbols or "kstack" in forms else []
    needed += _OF_PROCESSES if forms & USER_STACK_FORMS else ()
    return tuple(needed)


def capabilities_for_files(program: Program) -> tuple[str, ...]:
    """CAP_DAC_READ_SEARCH where probed files are in directories of other users that are closed to
    this one: whether a file is still the one that was probed is looked at during the run."""
    parents = {
        parent for hook in program.hooks if hook.identity for parent in Path(hook.path).parents
    }
    return ("CAP_DAC_READ_SEARCH",) if any(map(_is_closed, parents)) else ()


def _is_closed(directory: Path) -> bool:
    try:
        status = directory.stat()
    except OSError:
        return True
    is_ours = status.st_uid == os.geteuid()
    return not status.st_mode & (stat.S_IXUSR if is_ours else stat.S_IXOTH)


def drop_privileges(
    *, command: bool, directory: bool, programs: bool, names: Sequence[str] = ()
) -> str | None:
    """Drop every capability that the rest of a run does not need; returns the reason if that
    failed, else None.

    Found by trial: reading the rings and the counters, rewriting the control map, closing programs
    and events, and removing instances and definitions need no capability if the owner or group of
    tracefs permits opening it. Kept are: CAP_BPF where the kernel requires it even for open maps
    (before 5.19, kernel/bpf/syscall.c, under kernel.unprivileged_bpf_disabled); CAP_KILL to pass
    signals on to a `command` that changed its user; those that open files, if we are not root or
    keep results in a `directory` of another user; and those in `names` (capabilities_for_names).
    CAP_SYS_ADMIN stays permitted, but effective only while run times of `programs` are measured,
    since the kernel requires it for that (kernel/bpf/syscall.c, bpf_enable_stats).
    """
    from orchestrator.kernel.abi.capabilities import (  # ctypes, once all is attached
        BITS,
        drop_capabilities,
    )

    kept = [*names, *(["CAP_KILL"] if command else [])]
    kept += ["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"] if os.geteuid() or directory else []
    keep, bpf = sum(1 << BITS[name] for name in set(kept)), 1 << BITS["CAP_BPF"]
    try:
        aside = 1 << BITS["CAP_SYS_ADMIN"] if programs else 0
        drop_capabilities(keep | bpf if _needed_for_maps(keep) else keep, aside)
    except OSError as error:
        return f"capabilities could not be dropped ({error.strerror})"
    return None


def _needed_for_maps(keep: int) -> bool:
    """Whether bpf(2) refuses a map lookup with only the capabilities in `keep`. Tried with an
    invalid descriptor: EPERM means that the capability is checked first, and missing."""
    from orchestrator.kernel.abi import bpf_call
    from orchestrator.kernel.abi.capabilities import held_capabilities, use_capabilities

    before = held_capabilities()
    use_capabilities(keep)
    try:
        bpf_call.call_bpf(bpf_call.MAP_LOOKUP, b"\xff" * 4 + bytes(28))
    except OSError as error:
        return error.errno == errno.EPERM
    finally:
        use_capabilities(before)
    return False
