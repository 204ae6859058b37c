"""The tracefs backend: no compiler, no BPF, a start-up of milliseconds.

Each run has a private tracing instance and dynamic events in a separate group. Conditions become
kernel filters where the filter grammar can express them. Pages are read in bulk. Everything else is
done by the reader in user space, and `Artifact.enforced` says so.
"""

from orchestrator.backends.protocol import Artifact, AttachOptions, Session
from orchestrator.backends.tracefs.design.artifact import emit, unsupported
from orchestrator.backends.tracefs.design.layout import EventLayout
from orchestrator.kernel.facts import KernelFacts

__all__ = ["NAME", "attach", "emit", "try_artifact", "unsupported"]

NAME = "tracefs"


def try_artifact(artifact: Artifact[EventLayout]) -> None:
    """Nothing of it can be tried without the kernel."""


def attach(artifact: Artifact[EventLayout], facts: KernelFacts, options: AttachOptions) -> Session:
    """Attach all of the artifact or nothing. Raises HostError with the kernel's error text."""
    from orchestrator.backends.tracefs.attach import attaching

    return attaching.attach(artifact, facts, options)
