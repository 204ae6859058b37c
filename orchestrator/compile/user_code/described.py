"""What a program's debug information says at an attach point: arguments, the return, structures."""

from collections.abc import Iterator, Mapping
from functools import cached_property

from orchestrator.compile.expressions.members import scalar_type
from orchestrator.compile.expressions.nodes import Node, Register
from orchestrator.compile.expressions.types import Pointer, Type
from orchestrator.compile.own_types.programs import FunctionTypes, ProgramCode, describe_code
from orchestrator.compile.own_types.table import OwnTypes
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Position, plan_error

__all__ = ["NO_DEBUG_INFO", "DescribedArguments", "describe_return", "describe_types"]

#: pyelftools is the extra `debuginfo`, without which no debug information is read.
NO_DEBUG_INFO = (
    "spell them: `args: {name: u64}`; or install the program's debug package, and pyelftools to "
    "read it"
)


def describe_types(facts: KernelFacts, code: ProgramCode) -> OwnTypes | None:
    """The types that are known at a place in a program: the plan's and the program's."""
    table = facts.own_types
    return table.seen_from(describe_code(table, code)) if isinstance(table, OwnTypes) else None


def describe_return(facts: KernelFacts, code: ProgramCode, position: Position) -> Type | None:
    """The type that the function at `code` returns; None where that is not known, or where a
    structure is returned. Raises PlanError PP088 where it returns nothing that registers for
    numbers hold."""
    table, function = facts.own_types, _find_function(facts, code)
    if not isinstance(table, OwnTypes) or function is None:
        return None
    kind = table.type(function.returns)
    if kind.kind not in ("void", "float"):
        return _value_type(table, function.returns)
    what = "nothing" if kind.kind == "void" else "a number with a fraction"
    raise plan_error(
        "PP088",
        f"there is no return value at {code.symbol}: by its debug information it returns {what}",
        position,
        "leave out `retval`; `returns: u64` reads the register all the same",
    )


def _find_function(facts: KernelFacts, code: ProgramCode) -> FunctionTypes | None:
    table = facts.own_types
    return describe_code(table, code).function if isinstance(table, OwnTypes) else None


def _value_type(table: OwnTypes, type_id: int) -> Type | None:
    """The type of a value in a register. Where a pointer leads is the compiler's word for it."""
    kind = scalar_type(table.type(type_id), table, type_id, "user")
    return Pointer("user", kind.target, assumed=True) if isinstance(kind, Pointer) else kind


class DescribedArguments(Mapping[str, Node]):
    """`args.NAME` of the function at a place, read when the first of them is asked for."""

    def __init__(self, facts: KernelFacts, code: ProgramCode) -> None:
        self._facts, self._code = facts, code

    def __getitem__(self, name: str) -> Node:
        return self._nodes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    @cached_property
    def _nodes(self) -> Mapping[str, Node]:
        table, function = self._facts.own_types, _find_function(self._facts, self._code)
        if not isinstance(table, OwnTypes) or function is None:
            return {}
        nodes: dict[str, Node] = {}
        for name, (register, type_id) in function.arguments.items():
            kind = _value_type(table, type_id)
            if kind is not None:
                nodes[name] = Register(register, kind, name)
        return nodes
