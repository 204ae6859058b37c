"""Untyped expressions to typed nodes at one hook."""

from collections.abc import Mapping
from dataclasses import replace

from orchestrator.compile.expressions import arithmetic
from orchestrator.compile.expressions.builtin_names import builtin, known_names
from orchestrator.compile.expressions.endpoints import endpoint_member
from orchestrator.compile.expressions.functions import FUNCTIONS
from orchestrator.compile.expressions.members import member
from orchestrator.compile.expressions.nodes import (
    Captured,
    Combination,
    Const,
    Let,
    LetRef,
    Node,
    ParamRef,
    Several,
    Shown,
    TextConst,
    walk,
)
from orchestrator.compile.expressions.scope import Scope, did_you_mean, mismatch
from orchestrator.compile.expressions.types import BOOL, Array, Endpoint, Str, Struct, Tuple
from orchestrator.compile.expressions.vocabulary import UNITS, constant
from orchestrator.plan.expression import syntax
from orchestrator.plan.expression.parse import Expr
from orchestrator.plan.findings import PlanError, Position

#: How much one expression may unfold to.
MAX_STEPS = 10_000


class Typer:
    """Types the expressions of one hook, collecting the definitions and captures that they use.

    Every expression of a hook goes through one Typer, so that a `let` is one LetRef everywhere
    and an argument of a paired hook one Captured.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.lets: list[Let] = []
        self.captures: list[Node] = []
        self.weights: list[int] = []
        self._typed: dict[str, Node] = {}
        self._open: list[str] = []
        self._at_entry = False
        self._expr: Expr | None = None

    def type(self, expr: Expr) -> Node:
        """The typed node of `expr`. Raises PlanError with its place."""
        outer, self._expr = self._expr, expr
        try:
            node = self._node(expr.root)
        finally:
            self._expr = outer
        self._weigh(node, expr.position)
        return node

    def _weigh(self, node: Node, position: Position) -> int:
        """Steps that `node` takes with its definitions written out. Raises PlanError for more than
        anyone means: definitions that double each other would fill the machine's memory."""
        weight = 0
        for part in walk(node):
            weight += self.weights[part.index] if isinstance(part, LetRef) else 1
        if weight > MAX_STEPS:
            raise mismatch(
                "PP086",
                f"the expression unfolds to {weight} steps; at most {MAX_STEPS} are allowed",
                position,
                "use fewer definitions in it",
            )
        return weight

    def condition(self, expr: Expr) -> Node:
        """`expr` as a condition."""
        node = self.type(expr)
        return arithmetic.truth(node, expr.position)

    # ---------------------------------------------------------------- nodes

    def _place(self, node: syntax.SyntaxNode) -> Position:
        assert self._expr is not None
        return self._expr.place(node)

    def _node(self, node: syntax.SyntaxNode) -> Node:
        typed: Node = getattr(self, _HANDLERS[type(node)])(node)
        return typed

    def _number(self, node: syntax.Number) -> Node:
        return arithmetic.constant(node.value)

    def _text(self, node: syntax.TextLiteral) -> Node:
        value = node.value.encode()
        return TextConst(value, Str(len(value) + 1))

    def _boolean(self, node: syntax.Boolean) -> Node:
        return Const(int(node.value), BOOL)

    def _name(self, node: syntax.Name) -> Node:
        name = node.id
        if name in self.scope.definitions:
            return self._definition(name, node)
        if name in UNITS:
            return UNITS[name]
        found = (
            self._builtin(name, self._place(node))
            or self._positional(name, node)
            or constant(name, self.scope.facts)
        )
        if found is None:
            raise mismatch(
                "PP087",
                f"the name {name!r} is not known at {self.scope.label}",
                self._place(node),
                did_you_mean(name, known_names(self.scope)),
            )
        return found

    def _builtin(self, name: str, place: Position) -> Node | None:
        found = builtin(self.scope, name, place, at_entry=self._at_entry)
        return self._leaf(found) if found is not None and name == "comm" else found

    def _positional(self, name: str, node: syntax.Name) -> Node | None:
        if not (name.startswith("arg") and name[3:].isdigit()):
            return None
        found = self.scope.positional(int(name[3:]))
        if found is None:
            raise mismatch("PP088", f"{self.scope.label} has no argument {name}", self._place(node))
        return self._leaf(found)

    # ---------------------------------------------------------------- captures and definitions

    def _leaf(self, node: Node) -> Node:
        """A value of the entry: captured where it is asked for at the return."""
        if not self.scope.paired or self._at_entry:
            return node
        return self._captured(node)

    def _captured(self, node: Node) -> Captured:
        if node not in self.captures:
            self.captures.append(node)
        return Captured(self.captures.index(node), node.type)

    def _definition(self, name: str, node: syntax.Name) -> Node:
        if name in self._open:
            raise mismatch(
                "PP087",
                f"`let` {name!r} is defined by itself: " + " → ".join((*self._open, name)),
                self._place(node),
            )
        if self._at_entry:
            return self._unfolded(name)
        if name not in self._typed:
            value = self._unfolded(name)
            self._typed[name] = self._let(name, value)
        return self._typed[name]

    def _unfolded(self, name: str) -> Node:
        self._open.append(name)
        try:
            return self.type(self.scope.definitions[name])
        finally:
            self._open.pop()

    def _let(self, name: str, value: Node) -> Node:
        """A reference to the value, evaluated once; constants and addresses cost nothing to
        repeat and stand for themselves."""
        free = isinstance(value, Const | TextConst | ParamRef)
        if free or isinstance(value.type, Struct | Array | Tuple | Endpoint):
            return value
        if isinstance(value, Shown):
            return replace(value, value=self._let(name, value.value))
        self.weights.append(self._weigh(value, self.scope.definitions[name].position))
        self.lets.append(Let(name=name, node=value))
        return LetRef(len(self.lets) - 1, name, value.type)

    # ---------------------------------------------------------------- members and operators

    def _member(self, node: syntax.MemberOf) -> Node:
        if isinstance(node.base, syntax.Name):
            if node.base.id == "args":
                return self._argument(node)
            if node.base.id == "params":
                return self._param(node)
        base, place = self._node(node.base), self._place(node)
        if isinstance(base.type, Endpoint):
            return self._of_endpoint(base, node.name, place)
        return member(self.scope.facts, base, node.name, place)

    def _of_endpoint(self, base: Node, name: str, place: Position) -> Node:
        """`entry(remote(sk)).ip` is `entry(remote(sk).ip)`."""
        if isinstance(base, Captured):
            return self._captured(endpoint_member(self.captures[base.index], name, place))
        return endpoint_member(base, name, place)

    def _argument(self, node: syntax.MemberOf) -> Node:
        found = self.scope.arguments.get(node.name)
        if found is None:
            raise mismatch(
                "PP082",
                f"{self.scope.label} has no argument {node.name!r}",
                self._place(node),
                did_you_mean(node.name, tuple(self.scope.arguments)),
            )
        return self._leaf(found)

    def _param(self, node: syntax.MemberOf) -> Node:
        param = self.scope.params.get(node.name)
        if param is None:
            raise mismatch(
                "PP087",
                f"there is no scalar param {node.name!r}",
                self._place(node),
                did_you_mean(node.name, tuple(self.scope.params)),
            )
        return ParamRef(node.name, param.slot, param.type or BOOL)

    def _unary(self, node: syntax.UnaryOperation) -> Node:
        operand = self._node(node.operand)
        if node.op == "not":
            return arithmetic.negation(operand, self._place(node))
        return arithmetic.unary(node.op, operand, self._place(node))

    def _binary(self, node: syntax.BinaryOperation) -> Node:
        left, right = self._node(node.left), self._node(node.right)
        return arithmetic.binary(node.op, left, right, self._place(node))

    def _compare(self, node: syntax.Compare) -> Node:
        left, right = self._node(node.left), self._node(node.right)
        return arithmetic.comparison(node.op, left, right, self._place(node))

    def _logic(self, node: syntax.Logic) -> Node:
        operands = tuple(
            arithmetic.truth(self._node(part), self._place(part)) for part in node.operands
        )
        return Combination("and" if node.op == "and" else "or", operands)

    def _contains(self, node: syntax.Contains) -> Node:
        item = self._node(node.item)
        tests = tuple(
            arithmetic.comparison("==", item, self._node(option), self._place(option))
            for option in node.options
        )
        found = tests[0] if len(tests) == 1 else Combination("or", tests)
        return Combination("not", (found,)) if node.negated else found

    def _choice(self, node: syntax.IfElse) -> Node:
        test, yes, no = (self._node(part) for part in (node.test, node.yes, node.no))
        return arithmetic.either(test, yes, no, self._place(node))

    def _group(self, node: syntax.TupleOf) -> Node:
        items = tuple(self._node(item) for item in node.items)
        return Several(items, Tuple(tuple(item.type for item in items)))

    # ---------------------------------------------------------------- calls

    def _call(self, node: syntax.Call) -> Node:
        if node.function == "either":
            return self._first_that_resolves(node)
        if node.function == "entry":
            return self._entry(node)
        known = FUNCTIONS.get(node.function)
        if known is None:
            raise mismatch(
                "PP087",
                f"there is no function {node.function!r}",
                self._place(node),
                did_you_mean(node.function, (*FUNCTIONS, "either", "entry")),
            )
        fewest, most, make = known
        if not fewest <= len(node.args) <= most:
            raise mismatch(
                "PP087",
                f"{node.function} takes {_span(fewest, most)}, not {len(node.args)}",
                self._place(node),
            )
        args = self._spelled(node) if node.function in _SPELLED else node.args
        return make(self.scope.facts, tuple(map(self._node, args)), self._place(node))

    def _spelled(self, node: syntax.Call) -> tuple[syntax.SyntaxNode, ...]:
        """The arguments with a bare type's name as text: `load(u64, p)`, `cast(x, s32)`."""
        at = _SPELLED[node.function]
        return tuple(
            syntax.TextLiteral(arg.id, arg.at) if i == at and isinstance(arg, syntax.Name) else arg
            for i, arg in enumerate(node.args)
        )

    def _first_that_resolves(self, node: syntax.Call) -> Node:
        refused: PlanError | None = None
        for arg in node.args:
            try:
                return self._node(arg)
            except PlanError as error:
                refused = refused or error
        if refused is None:
            raise mismatch("PP087", "either() needs at least one expression", self._place(node))
        raise refused

    def _entry(self, node: syntax.Call) -> Node:
        if len(node.args) != 1:
            raise mismatch("PP087", "entry takes one expression", self._place(node))
        if not self.scope.paired:
            if self.scope.retval is not None:
                raise mismatch(
                    "PP088",
                    f"{self.scope.label} does not see the entry",
                    self._place(node),
                    "use function:, ufunction: or syscall:",
                )
            return self._node(node.args[0])
        was, self._at_entry = self._at_entry, True
        try:
            inner = self._node(node.args[0])
        finally:
            self._at_entry = was
        return inner if was or isinstance(inner, Const) else self._captured(inner)


#: Functions that take a type, and which argument it is.
_SPELLED: Mapping[str, int] = {"load": 0, "cast": 1}


def _span(fewest: int, most: int) -> str:
    count = str(fewest) if fewest == most else f"{fewest} to {most}"
    return f"{count} argument{'' if most == 1 else 's'}"


#: By the kind of node, the method that types it; found by name, so that SpanTyper may have its own.
_HANDLERS: Mapping[type, str] = {
    syntax.Number: "_number",
    syntax.TextLiteral: "_text",
    syntax.Boolean: "_boolean",
    syntax.Name: "_name",
    syntax.MemberOf: "_member",
    syntax.UnaryOperation: "_unary",
    syntax.BinaryOperation: "_binary",
    syntax.Compare: "_compare",
    syntax.Logic: "_logic",
    syntax.Contains: "_contains",
    syntax.IfElse: "_choice",
    syntax.Call: "_call",
    syntax.TupleOf: "_group",
}
