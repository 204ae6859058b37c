"""An attach point on a kernel, and the names of its arguments."""

from collections.abc import Callable, Mapping
from dataclasses import field

from orchestrator.compile.expressions.members import parse_type
from orchestrator.compile.expressions.nodes import Builtin, Node, Register
from orchestrator.compile.expressions.types import U64, Pointer, Space, Type
from orchestrator.kernel.abi.file_identity import FileIdentity
from orchestrator.kernel.btf_types import OwnTypeTable
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.tracepoints import Tracepoint
from orchestrator.plan.attach_kinds import KINDS, AttachKind, KindTraits
from orchestrator.plan.findings import Position, plan_error
from orchestrator.plan.model import AttachItem
from orchestrator.values import dataclass

#: Functions take this many arguments in registers (x86-64 System V ABI; arm64 has eight).
REGISTER_ARGUMENTS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One place to attach to, and the names that are known there.

    `arguments` are `args.NAME`, and `why_unnamed` is what to do where one is not known;
    `positional` gives `argN`, `retval` is the return value's type; `describe_return` gives a better
    one, None where it is not known, and raises PlanError where none is returned. `types`: those
    that are known here and not elsewhere. The rest is what program.Hook takes.
    """

    kind: AttachKind
    label: str
    func: str
    arguments: Mapping[str, Node] = field(default_factory=dict)
    why_unnamed: str = ""
    positional: Callable[[int], Node | None] = lambda _index: None
    retval: Type | None = None
    describe_return: Callable[[Position], Type | None] = lambda _position: None
    types: OwnTypeTable | None = None
    paired: bool = False
    symbol: str = ""
    offset: int = 0
    btf_id: int = 0
    module: str = ""
    register_count: int | None = None
    tracepoint: Tracepoint | None = None
    exit_tracepoint: Tracepoint | None = None
    other_exit: Tracepoint | None = None
    event: str = ""
    path: str = ""
    identity: FileIdentity | None = None
    file_offset: int = 0
    semaphore: int = 0
    frequency: int = 0
    period_ns: int = 0
    element: int = 0
    counter: tuple[int, int] | None = None
    period: int = 1

    @property
    def traits(self) -> KindTraits:
        """What holds for every attach point of this kind."""
        return KINDS[self.kind]


def return_node(point: Point) -> Node | None:
    """`retval` at this point."""
    return Builtin("retval", point.retval) if point.retval is not None else None


def parse_arguments(item: AttachItem, facts: KernelFacts, space: Space) -> dict[str, Node]:
    """`args.NAME` of the item, with the types that it spells. Raises PlanError PP084."""
    if len(item.args) > REGISTER_ARGUMENTS:
        raise plan_error(
            "PP084",
            f"{len(item.args)} arguments; only the first {REGISTER_ARGUMENTS} are in registers",
            item.position,
        )
    return {
        name: Register(index, parse_type(facts, text, space, item.position), name)
        for index, (name, text) in enumerate(item.args.items())
    }


def register_arguments(space: Space, count: int | None = None) -> Callable[[int], Node | None]:
    """`argN`: a number in the kernel, a pointer into user memory for user functions."""
    kind: Type = U64 if space == "kernel" else Pointer("user")
    limit = min(REGISTER_ARGUMENTS, REGISTER_ARGUMENTS if count is None else count)
    return lambda index: Register(index, kind) if index < limit else None
