"""Which backend runs a program, and a plan that is ready for it.

`auto` takes the first backend (in the order of BACKEND_DESCRIPTORS) that can do all of it with
sampling and filters in the kernel; a backend that is named may do them in user space (language,
rule 9).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrator.backends.descriptors import BACKEND_DESCRIPTORS
from orchestrator.backends.protocol import Artifact, Backend
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import NOWHERE, Finding, HostError, Position
from orchestrator.plan.model import Plan
from orchestrator.policy.model import Policy
from orchestrator.values import dataclass

if TYPE_CHECKING:
    from orchestrator.policy.signed_files import Acceptance

__all__ = ["BackendChoice", "Prepared", "Resolved", "choose_backend"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendChoice:
    """The chosen backend, the artifact that it will attach, and by name why the backends that come
    before it were refused."""

    backend: Backend[Any]
    artifact: Artifact[Any]
    refused: Mapping[str, tuple[Finding, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A plan with its limits lowered to the ceilings of `policies`, and its program on the kernel
    that `facts` describe. The policies forbid nothing of it; `acceptances`: by what those that have
    rules for signatures accept its file."""

    plan: Plan
    facts: KernelFacts
    policies: tuple[Policy, ...]
    program: Program
    acceptances: "tuple[Acceptance, ...]" = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared(Resolved):
    """A resolved plan with the backend that will attach it, which the policies allow."""

    choice: BackendChoice


def choose_backend(
    program: Program,
    facts: KernelFacts,
    wanted: str = "auto",
    backends: Mapping[str, Backend[Any]] | None = None,
    forbidden: Mapping[str, Finding] | None = None,
) -> BackendChoice:
    """The backend for `program`, none of those `forbidden`, and its artifact.

    `backends`: by name, what to choose from (None: all there are). Raises HostError with a reason
    per probe and backend when no backend will do, or when the program needs more memory than
    limits.memory.
    """
    offered = _all_backends() if backends is None else backends
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
            return BackendChoice(backend=backend, artifact=artifact, refused=refused)
        refused[name] = reasons
    raise HostError(_name_backend(name, finding) for name in refused for finding in refused[name])


def _all_backends() -> Mapping[str, Backend[Any]]:
    from orchestrator.backends import BACKENDS  # a backend's imports are paid for when it is used

    return BACKENDS


def _name_backend(name: str, finding: Finding) -> Finding:
    return replace(finding, message=f"the {name} backend: {finding.message}")


def _check_memory(artifact: Artifact[Any]) -> None:
    needed, limit = sum(artifact.memory.values()), artifact.program.limits.memory
    if needed <= limit:
        return
    parts = ", ".join(
        f"{purpose} {size:,}"
        for purpose, size in sorted(artifact.memory.items(), key=lambda part: -part[1])
    )
    least = -(-needed >> 20)
    largest = max(artifact.memory, key=lambda purpose: artifact.memory[purpose])
    finding = Finding(
        code="PP091",
        position=_position_of(largest, artifact.program),
        message=f"the plan needs {needed:,} bytes of kernel memory on this host ({parts}), "
        f"and limits.memory allows {limit:,}",
        hint=f"set limits.memory to at least {least}MiB (--limit memory={least}MiB), or lower "
        "`keys` of the metrics, `max_open` of spans and `max` of notes",
    )
    raise HostError([finding])


def _position_of(purpose: str, program: Program) -> Position:
    """Where the plan asks for memory: the metric or span that it is for, else the plan."""
    named = [
        (f"metric {metric.probe}.{metric.name}", metric.position) for metric in program.metrics
    ]
    named += [(f"open {span.name}", span.position) for span in program.spans]
    named += [(f"note {note.name}", note.position) for note in program.notes]
    file = Position(file=program.hooks[0].position.file) if program.hooks else NOWHERE
    return dict(named).get(purpose, file)
