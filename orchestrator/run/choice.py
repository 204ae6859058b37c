"""Which backend runs a program.

`auto` takes the first backend (in the order of BACKEND_DESCRIPTORS) that can do all of it with
sampling and filters in the kernel; a backend that is named may do them in user space (language,
rule 9).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.backends.descriptors import BACKEND_DESCRIPTORS
from orchestrator.backends.protocol import Artifact, Backend
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError

__all__ = ["Choice", "choose"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The backend chosen, what it will attach, and by name why the ones before it were not."""

    backend: Backend[Any]
    artifact: Artifact[Any]
    refused: Mapping[str, tuple[Finding, ...]]


def choose(
    program: Program,
    facts: KernelFacts,
    wanted: str = "auto",
    backends: Mapping[str, Backend[Any]] | None = None,
    forbidden: Mapping[str, Finding] | None = None,
) -> Choice:
    """The backend for `program`, none of those `forbidden`, and its artifact. Raises HostError with
    a reason per probe and backend when none will do, or when the program needs more memory than
    limits.memory."""
    offered = _offered() if backends is None else backends
    refused: dict[str, tuple[Finding, ...]] = {}
    for name in BACKEND_DESCRIPTORS if wanted == "auto" else (wanted,):
        if name not in offered:
            continue
        backend = offered[name]
        if forbidden and name in forbidden:
            refused[name] = (forbidden[name],)
            continue
        reasons = backend.unsupported(program, facts, user_space=wanted != "auto")
        if not reasons:
            artifact = backend.emit(program, facts)
            _check_memory(artifact)
            return Choice(backend=backend, artifact=artifact, refused=refused)
        refused[name] = reasons
    raise HostError(_told(name, finding) for name in refused for finding in refused[name])


def _offered() -> Mapping[str, Backend[Any]]:
    from orchestrator.backends import BACKENDS  # what a backend imports is paid for when it is used

    return BACKENDS


def _told(name: str, finding: Finding) -> Finding:
    return replace(finding, message=f"the {name} backend: {finding.message}")


def _check_memory(artifact: Artifact[Any]) -> None:
    need, limit = sum(artifact.memory.values()), artifact.program.limits.memory
    if need <= limit:
        return
    parts = ", ".join(
        f"{purpose} {size:,}"
        for purpose, size in sorted(artifact.memory.items(), key=lambda part: -part[1])
    )
    finding = Finding(
        code="PP091",
        message=f"the plan needs {need:,} bytes of kernel memory on this host ({parts}), "
        f"and limits.memory allows {limit:,}",
        hint=f"set limits.memory to at least {-(-need >> 20)}MiB, or lower `keys` of the metrics",
    )
    raise HostError([finding])
