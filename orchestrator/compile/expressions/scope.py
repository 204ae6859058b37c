"""What names mean at one hook, and how the compiler says that something does not fit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.compile.expressions.nodes import Node
from orchestrator.compile.expressions.types import Int
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.expression.parse import Expr
from orchestrator.plan.findings import Finding, HostError, PlanError, Position

#: Findings that are about this kernel or host, not about the plan: exit code 3 rather than 2.
HOST_CODES = frozenset({"PP080", "PP081", "PP082", "PP083", "PP089"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Names at a hook. `arguments` are `args.NAME`; `positional` gives `argN`; `retval` is None
    where there is no return. `paired`: values of the entry are captured."""

    facts: KernelFacts
    label: str
    arguments: Mapping[str, Node]
    positional: Callable[[int], Node | None]
    retval: Node | None = None
    paired: bool = False
    has_task: bool = True
    has_elapsed: bool = False
    hook: int = 0
    probe: str = ""
    func: str = ""
    params: Mapping[str, "Param"] = field(default_factory=dict)
    definitions: Mapping[str, Expr] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """A scalar param as expressions see it."""

    slot: int
    type: Int | None  # None: bool


def mismatch(code: str, message: str, position: Position, hint: str = "") -> PlanError:
    """A finding as the exception that carries it."""
    return PlanError([Finding(code=code, message=message, position=position, hint=hint)])


def about_host(error: PlanError) -> bool:
    """True when nothing but this kernel or host stands in the way."""
    return all(finding.code in HOST_CODES for finding in error.findings)


def raise_all(findings: Sequence[Finding]) -> None:
    """Raises HostError where all of them are about this kernel or host, else PlanError; nothing
    where there are none."""
    if findings:
        error = PlanError(findings)
        raise HostError(error.findings) if about_host(error) else error


def did_you_mean(name: str, known: "Mapping[str, object] | tuple[str, ...]") -> str:
    """A hint that names the nearest known names, or all of them when they are few."""
    from difflib import get_close_matches

    names = list(known)
    if near := get_close_matches(name, names, n=3, cutoff=0.6):
        return f"did you mean {' or '.join(near)}?"
    return f"known here: {', '.join(sorted(names)[:20])}" if names else ""
