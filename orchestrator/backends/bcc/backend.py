"""The bcc backend: a program becomes C, instructions, and programs in the kernel.

`unsupported` and `emit` are pure: they read kernel facts and need neither root nor a compiler.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.backends.bcc.design.detail import BccDetail
    from orchestrator.backends.protocol import Artifact, AttachOptions, Session
    from orchestrator.compile.program import Program
    from orchestrator.kernel.facts import KernelFacts
    from orchestrator.plan.findings import Finding

NAME = "bcc"


def unsupported(
    program: "Program", facts: "KernelFacts", *, user_space: bool
) -> "tuple[Finding, ...]":
    """Why `program` cannot run on that kernel by this backend. `user_space` changes nothing here:
    filters and sampling are always done in the kernel."""
    from orchestrator.backends.bcc import artifact

    return artifact.unsupported(program, facts)


def emit(program: "Program", facts: "KernelFacts") -> "Artifact[BccDetail]":
    """The artifact. Raises HostError when `unsupported` is not empty."""
    from orchestrator.backends.bcc import artifact

    return artifact.emit(program, facts)


def try_artifact(artifact: "Artifact[BccDetail]") -> None:
    """Compile it. Raises HostError, where the compiler or the length of a program says no."""
    from orchestrator.backends.bcc.attach import attaching

    attaching.compile_artifact(artifact)


def attach(
    artifact: "Artifact[BccDetail]", facts: "KernelFacts", options: "AttachOptions"
) -> "Session":
    """Attach everything or nothing, disarmed. Raises HostError."""
    from orchestrator.backends.bcc.attach import attaching

    return attaching.attach(artifact, facts, options)
