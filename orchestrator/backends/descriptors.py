"""What the other packages need to know about each backend, without importing it.

This module is imported at start-up by every command, so it imports no backend.
"""

from collections.abc import Mapping

from orchestrator.values import dataclass

__all__ = ["BACKEND_DESCRIPTORS", "BackendDescriptor", "descriptor_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendDescriptor:
    """One backend.

    name: as in `--backend`, in policies and in records.
    module: what `orchestrator.backends.backend` imports.
    program_file: the name of the program's text in a result directory.
    program_language: what that text is, for people.
    has_bpf_programs: it attaches BPF programs, whose run times the kernel can measure.
    disables_at_cap: where `limits.at_cap` is `stop`, its probes count nothing any more from the
    moment when limits.events is reached.
    separates_user_memory: a probe on a kernel function never reads user memory through a pointer
    that the plan declares as a kernel pointer.
    """

    name: str
    module: str
    program_file: str
    program_language: str
    has_bpf_programs: bool
    disables_at_cap: bool
    separates_user_memory: bool


#: By name, in the order in which `--backend auto` tries them.
BACKEND_DESCRIPTORS: Mapping[str, BackendDescriptor] = {
    descriptor.name: descriptor
    for descriptor in (
        BackendDescriptor(
            name="bcc",
            module="orchestrator.backends.bcc.backend",
            program_file="program.c",
            program_language="C",
            has_bpf_programs=True,
            disables_at_cap=True,
            separates_user_memory=True,  # bpf_probe_read_kernel and bpf_probe_read_user
        ),
        BackendDescriptor(
            name="tracefs",
            module="orchestrator.backends.tracefs.backend",
            program_file="program.tracefs",
            program_language="writes below the tracefs mount",
            has_bpf_programs=False,
            disables_at_cap=False,  # all that was recorded is read and counted
            # kernel/trace/trace_probe_kernel.h, fetch_store_string: where address spaces do not
            # overlap, a user address is read as one.
            separates_user_memory=False,
        ),
    )
}


def descriptor_of(name: str) -> BackendDescriptor:
    """The descriptor of the backend called `name`. Raises KeyError for another name."""
    return BACKEND_DESCRIPTORS[name]
