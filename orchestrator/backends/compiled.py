"""The backend whose programs are compiled on one machine and attached on another."""

from collections.abc import Mapping
from typing import Any

from orchestrator.backends.protocol import Artifact, AttachOptions, Session

__all__ = ["NAME", "attach_compiled", "compile_artifact"]

NAME = "bcc"


def compile_artifact(artifact: Artifact[Any]) -> Mapping[str, bytes]:
    """The instructions by function. Needs the compiler, and neither root nor the kernel that they
    are for. Raises HostError."""
    from orchestrator.backends.bcc.attach import attaching

    return attaching.compile_artifact(artifact)


def attach_compiled(
    artifact: Artifact[Any], code: Mapping[str, bytes], options: AttachOptions
) -> Session:
    """Attach everything or nothing, disarmed, without a compiler; by no other mechanism than the
    artifact has. Raises HostError."""
    from orchestrator.backends.bcc.attach import attaching

    return attaching.attach_compiled(artifact, code, options)
