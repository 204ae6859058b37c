"""The compiler's typing, where what only a kernel can say has an unknown type.

An expression is refused only if it is on every kernel: where an unknown value is an operand, what
the compiler refuses is unknown, too.
"""

from collections.abc import Mapping, Sequence, Set
from contextlib import suppress

from orchestrator.compile.expressions.nodes import Node, Unseen
from orchestrator.compile.expressions.scope import HookScope
from orchestrator.compile.expressions.types import Bool, Int, Pointer, Tuple, Type, UnknownType
from orchestrator.compile.expressions.typing import Typer
from orchestrator.compile.span_draft import SpanDraft, SpanTyper
from orchestrator.compile.type_hook import HookDraft
from orchestrator.plan.expression import syntax
from orchestrator.plan.expression.names import ARGUMENT, CONSTANT
from orchestrator.plan.expression.syntax import Expr
from orchestrator.plan.findings import PlanError, is_about_host

__all__ = ["OF_SEVERAL", "KernelFreeSpanTyper", "KernelFreeTyper"]

#: A value as a kernel has it, and one of which not even that is known.
_PLAIN, _OPEN = Unseen(UnknownType()), Unseen(UnknownType(plain=False))
#: Codes that depend on which of several attach points a kernel offers.
OF_SEVERAL = frozenset({"PP090"})


class _CertainError(PlanError):
    """An expression that is refused on every kernel."""


class _KernelFree(Typer):
    """What both typers below do differently from the compiler's. `unseen`: the arguments, as
    written, of which only a kernel can say the type."""

    unseen: set[str]
    _operands: list[list[UnknownType]]

    def _type_node(self, node: syntax.SyntaxNode) -> Node:
        self._operands.append([])
        try:
            typed = super()._type_node(node)
        except _CertainError:
            raise
        except PlanError as error:
            typed = self._judge_refusal(node, error)
        finally:
            operands = self._operands.pop()
        if self._operands:
            self._operands[-1] += _list_unknown(typed.type) or operands[:0]
        self._note_unseen(node, typed)
        return typed

    def _judge_refusal(self, node: syntax.SyntaxNode, error: PlanError) -> Node:
        """An unknown value where a kernel might not refuse the node; raises otherwise."""
        operands = self._operands[-1]
        depends = is_about_host(error) or all(f.code in OF_SEVERAL for f in error.findings)
        if not depends and _is_certain(node, error, operands):
            raise _CertainError(error.findings) from None
        is_member = isinstance(node, syntax.MemberOf | syntax.ElementOf)
        return _PLAIN if is_member and operands and operands[0].plain else _OPEN

    def _note_unseen(self, node: syntax.SyntaxNode, typed: Node) -> None:
        if not isinstance(typed.type, UnknownType):
            return
        match node:
            case syntax.MemberOf(base=syntax.Name(id="args"), name=name):
                self.unseen.add(f"args.{name}")
            case syntax.Name(id=name) if name == "retval" or ARGUMENT.fullmatch(name):
                self.unseen.add(name)

    def _type_name(self, node: syntax.Name) -> Node:
        if CONSTANT.fullmatch(node.id) and node.id not in self.scope.definitions:
            with suppress(PlanError):
                return super()._type_name(node)
            return _OPEN  # an enumerator of the kernel's
        return super()._type_name(node)

    def _type_first_that_resolves(self, node: syntax.Call) -> Node:
        """Which of them does is the kernel's to say: a type that all have, or none."""
        types: set[Type] = set()
        for arg in node.args:
            with suppress(PlanError):
                types.add(self._type_node(arg).type)
        if not types:
            return super()._type_first_that_resolves(node)
        if len(types) == 1:
            return Unseen(next(iter(types)))
        return _PLAIN if _are_plain(types) else _OPEN


def _is_certain(node: syntax.SyntaxNode, error: PlanError, operands: Sequence[UnknownType]) -> bool:
    """Whether a node is refused whatever its unknown operands are: units that do not fit, as what
    kernels have counts nothing in particular, and text where no register holds any."""
    codes = {finding.code for finding in error.findings}
    if codes == {"PP085"}:
        return all(unknown.plain for unknown in operands)
    is_test = isinstance(node, syntax.Compare | syntax.Contains) or (
        isinstance(node, syntax.Call) and node.function in ("startswith", "endswith", "glob")
    )
    return not operands or (is_test and all(unknown.scalar for unknown in operands))


def _list_unknown(kind: Type) -> list[UnknownType]:
    if isinstance(kind, Tuple):
        return [unknown for item in kind.items for unknown in _list_unknown(item)]
    return [kind] if isinstance(kind, UnknownType) else []


def _are_plain(types: Set[Type]) -> bool:
    return all(
        (isinstance(kind, UnknownType) and kind.plain)
        or isinstance(kind, Bool | Pointer)
        or (isinstance(kind, Int) and not kind.unit)
        for kind in types
    )


class KernelFreeTyper(_KernelFree):
    """Types a probe's expressions at an attach point of no kernel."""

    def __init__(self, scope: HookScope) -> None:
        super().__init__(scope)
        self.unseen, self._operands = set(), []


class KernelFreeSpanTyper(_KernelFree, SpanTyper):
    """The same for a span's expressions, at one of its ends."""

    def __init__(self, hook: HookDraft, span: SpanDraft, let: Mapping[str, Expr]) -> None:
        super().__init__(hook, span, let)
        self.unseen, self._operands = set(), []
