"""The tracefs backend: no compiler, no BPF, a start-up of milliseconds.

A private instance a run, dynamic events in a group of the run's own, filters where their grammar
can say what the plan says, pages read in bulk; the rest is done by the reader and marked so.
"""

from orchestrator.backends.protocol import Artifact, AttachOptions, Session
from orchestrator.backends.tracefs.design.artifact import emit, unsupported
from orchestrator.backends.tracefs.design.layout import EventLayout
from orchestrator.kernel.facts import KernelFacts

__all__ = ["NAME", "attach", "emit", "unsupported"]

NAME = "tracefs"


def attach(artifact: Artifact[EventLayout], facts: KernelFacts, options: AttachOptions) -> Session:
    """Attach all of the artifact or nothing; raises HostError with the kernel's words."""
    from orchestrator.backends.tracefs.attach import attaching

    return attaching.attach(artifact, facts, options)
