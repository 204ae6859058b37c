"""Attach points of no kernel: the names that are known there, whatever kernel it is."""

from collections.abc import Callable, Iterator, Mapping

from orchestrator.compile.expressions.members import parse_type
from orchestrator.compile.expressions.nodes import Node, RawArg, Register, Unseen
from orchestrator.compile.expressions.types import S64, U64, Space, Type, UnknownType, with_space
from orchestrator.compile.point import REGISTER_ARGUMENTS, Point, register_arguments
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.recording import Recording
from orchestrator.kernel.tree import RecordedTree
from orchestrator.plan.attach_kinds import KINDS, KindTraits
from orchestrator.plan.findings import PlanError, Position, is_about_host
from orchestrator.plan.model import AttachItem

__all__ = ["make_no_facts", "make_point", "needs_kernel"]

_UNKNOWN, _REGISTER = UnknownType(), UnknownType(scalar=True)
_MOST = 12  # arguments of raw tracepoints and of USDT probes


def make_no_facts() -> KernelFacts:
    """Facts of no kernel: whatever is asked of them is not there."""
    nothing = Recording(
        tree=RecordedTree({}), release="none", arch="x86_64", page_size=4096, features={}
    )
    return KernelFacts(nothing, recorded=True, source="no kernel")


def needs_kernel(item: AttachItem) -> bool:
    """Whether a kernel, or a file of a host, says if the attach point is there."""
    return KINDS[item.kind].site != "timer"


def make_point(item: AttachItem, facts: KernelFacts) -> Point:
    """The attach point as any kernel may have it. Raises PlanError for a type that the plan
    misspells."""
    traits = KINDS[item.kind]
    offset = item.target.rpartition(":")[2].partition("+")[2]
    has_arguments = traits.has_arguments and not (offset and int(offset, 0))
    return Point(
        kind=item.kind,
        label=item.text,
        func=item.target,
        arguments=_find_arguments(item, facts, traits) if has_arguments else {},
        positional=_find_positional(traits) if has_arguments else lambda _index: None,
        retval=_find_return(item, facts, traits) if traits.has_return else None,
        paired=traits.is_paired,
    )


class _AnyArguments(Mapping[str, Node]):
    """`args.NAME` for every name. Fields that later kernels add to the record of a system call,
    for what its arguments point to, begin with two underscores."""

    def __init__(self, traits: KindTraits) -> None:
        self._of_registers = traits.site in ("kernel function", "raw tracepoint", "system call")

    def __getitem__(self, name: str) -> Node:
        return Unseen(_REGISTER if self._of_registers and name[:2] != "__" else _UNKNOWN)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _find_arguments(item: AttachItem, facts: KernelFacts, traits: KindTraits) -> Mapping[str, Node]:
    if not item.args or traits.site not in ("kernel function", "user code"):
        return _AnyArguments(traits)
    space = _space_of(traits)
    return {
        name: Register(index, _spell_type(facts, text, space, item.position), name)
        for index, (name, text) in enumerate(item.args.items())
    }


def _spell_type(facts: KernelFacts, text: str, space: Space, position: Position) -> Type:
    """The type that the plan spells; a struct is one of a kernel. Raises PlanError."""
    try:
        return parse_type(facts, text, space, position)
    except PlanError as error:
        if is_about_host(error):
            return _UNKNOWN
        raise


def _space_of(traits: KindTraits) -> Space:
    return "user" if traits.site == "user code" else "kernel"


def _find_positional(traits: KindTraits) -> Callable[[int], Node | None]:
    match traits.site:
        case "kernel function":
            return register_arguments("kernel")
        case "user code" if traits.moment != "event":
            return register_arguments("user")
        case "raw tracepoint":
            return lambda index: RawArg(index, U64) if index < _MOST else None
        case "tracepoint" | "iterator":
            return lambda _index: None
        case "system call":
            return lambda index: Unseen(_REGISTER) if index < REGISTER_ARGUMENTS else None
        case _:
            return lambda index: Unseen(_UNKNOWN) if index < _MOST else None


def _find_return(item: AttachItem, facts: KernelFacts, traits: KindTraits) -> Type:
    if traits.site == "system call":
        return with_space(S64, "user")
    if item.returns:
        return _spell_type(facts, item.returns, _space_of(traits), item.position)
    return with_space(U64, "user") if traits.site == "user code" else _REGISTER
