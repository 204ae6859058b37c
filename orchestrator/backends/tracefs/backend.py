"""The tracefs backend: no compiler, no BPF, a start-up of milliseconds.

Each run has a private tracing instance and dynamic events in a separate group. Conditions become
kernel filters where the filter grammar can express them. Pages are read in bulk. Everything else is
done by the reader in user space, and `Artifact.enforced` says so.
"""

from orchestrator.backends.protocol import Artifact, AttachOptions, Session
from orchestrator.backends.tracefs.design.layout import EventLayout
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding

__all__ = ["NAME", "attach", "emit", "try_artifact", "unsupported"]

NAME = "tracefs"


def unsupported(program: Program, facts: KernelFacts, *, user_space: bool) -> tuple[Finding, ...]:
    """Why `program` cannot run on that kernel by this backend. `user_space`: filters and sampling
    may be done in user space."""
    from orchestrator.backends.tracefs.design import artifact  # attaching needs none of it

    return artifact.unsupported(program, facts, user_space=user_space)


def emit(program: Program, facts: KernelFacts) -> Artifact[EventLayout]:
    """The artifact. Raises HostError when `unsupported` is not empty."""
    from orchestrator.backends.tracefs.design import artifact

    return artifact.emit(program, facts)


def try_artifact(artifact: Artifact[EventLayout]) -> None:
    """Nothing of it can be tried without the kernel."""


def attach(artifact: Artifact[EventLayout], facts: KernelFacts, options: AttachOptions) -> Session:
    """Attach all of the artifact or nothing. Raises HostError with the kernel's error text."""
    if options.counting:
        from orchestrator.backends.tracefs.design.count_only import count_only  # for canaries only

        artifact = emit(count_only(artifact.program), facts)
    from orchestrator.backends.tracefs.attach import attaching

    return attaching.attach(artifact, facts, options)
