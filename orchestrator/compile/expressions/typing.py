"""Untyped expressions to typed nodes at one hook."""

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.compile.expressions import arithmetic
from orchestrator.compile.expressions.builtin_names import find_builtin, known_names
from orchestrator.compile.expressions.elements import read_element
from orchestrator.compile.expressions.functions import FUNCTIONS, require_text
from orchestrator.compile.expressions.labels import (
    FORMS,
    show_by_group,
    show_by_own_names,
    show_by_plan,
)
from orchestrator.compile.expressions.members import read_member
from orchestrator.compile.expressions.network.addresses import (
    compare_addresses,
    read_networks,
    test_address,
)
from orchestrator.compile.expressions.network.endpoints import endpoint_member
from orchestrator.compile.expressions.network.packets import make_packet, packet_member
from orchestrator.compile.expressions.nodes import (
    Captured,
    Combination,
    Const,
    Either,
    Let,
    LetRef,
    Node,
    PacketOf,
    ParamRef,
    ReadPath,
    Several,
    ShownAs,
    TextConst,
    Unseen,
    walk,
)
from orchestrator.compile.expressions.notes import (
    NamedNodes,
    NoteShape,
    flatten_key,
    read_note,
    test_note,
)
from orchestrator.compile.expressions.paths import PathOperation, test_path
from orchestrator.compile.expressions.scope import HookScope
from orchestrator.compile.expressions.task_functions import TASK_FUNCTIONS, tag_call_number
from orchestrator.compile.expressions.types import (
    BOOL,
    Array,
    Endpoint,
    Int,
    Ip,
    KernelPath,
    PacketValue,
    Str,
    Struct,
    Tuple,
    UnknownType,
)
from orchestrator.compile.expressions.vocabulary import UNITS, find_constant
from orchestrator.plan.expression import syntax
from orchestrator.plan.expression.names import TYPE_ARGUMENTS
from orchestrator.plan.expression.networks import IpNetwork
from orchestrator.plan.expression.parse import parse
from orchestrator.plan.expression.syntax import Expr
from orchestrator.plan.findings import NOWHERE, PlanError, Position, plan_error
from orchestrator.plan.nearest import suggest_or_list

#: The most nodes that one expression may have with its definitions expanded.
MAX_STEPS = 10_000


#: Where the kernel's types say nothing of a function, or a file nothing of its arguments.
_SPELL_ARGUMENTS = "no types of its arguments are known here; spell them: `args: {name: u64}`"


def _too_many_steps(position: Position) -> PlanError:
    message = f"the expression expands to more than {MAX_STEPS:,} steps"
    hint = "use fewer definitions, or fewer `in`, in each other"
    return plan_error("PP086", message, position, hint)


class Typer:
    """Types the expressions of one hook, collecting the definitions and captures that they use.

    Every expression of a hook goes through one Typer, so that a `let` is one LetRef everywhere
    and an argument of a paired hook one Captured.
    """

    def __init__(self, scope: HookScope) -> None:
        self.scope = scope
        self.lets: list[Let] = []
        self.captures: list[Node] = []
        self.weights: list[int] = []
        #: By note, the keys by which it is read here, each with its parts.
        self.looks: dict[str, list[NamedNodes]] = {}
        self._typed: dict[str, Node] = {}
        self._shared: dict[Node, Node] = {}
        self._open: list[str] = []
        self._at_entry = False
        self._expr: Expr | None = None
        self._steps = 0  # nodes of this expression so far: `in` types its item for each option

    def type_expression(self, expr: Expr) -> Node:
        """The typed node of `expr`. Raises PlanError with its place."""
        outer, self._expr, self._steps = (self._expr, self._steps), expr, 0
        try:
            node = self._type_node(expr.root)
        finally:
            self._expr, self._steps = outer
        self._check_weight(node, expr.position)
        return node

    def _check_weight(self, node: Node, position: Position) -> int:
        """Nodes of `node` with its definitions expanded. Raises PlanError above MAX_STEPS, and
        looks at no more: what doubles itself would fill the machine's memory."""
        weight = 0
        for part in walk(node):
            weight += self.weights[part.index] if isinstance(part, LetRef) else 1
            if weight > MAX_STEPS:
                raise _too_many_steps(position)
        return weight

    def type_condition(self, expr: Expr) -> Node:
        """`expr` as a condition."""
        node = self.type_expression(expr)
        return arithmetic.require_condition(node, expr.position)

    # ---------------------------------------------------------------- nodes

    def _position_of(self, node: syntax.SyntaxNode) -> Position:
        assert self._expr is not None
        return self._expr.place(node)

    def _type_node(self, node: syntax.SyntaxNode) -> Node:  # noqa: PLR0912  # a branch a kind
        self._count_step(node)
        match node:
            case syntax.Number():
                return arithmetic.make_constant(node.value)
            case syntax.TextLiteral():
                value = node.value.encode()
                return TextConst(value, Str(len(value) + 1))
            case syntax.Boolean():
                return Const(int(node.value), BOOL)
            case syntax.Name():
                return self._type_name(node)
            case syntax.MemberOf():
                return self._type_member(node)
            case syntax.UnaryOperation():
                return self._type_unary(node)
            case syntax.BinaryOperation():
                return self._type_binary(node)
            case syntax.Compare():
                return self._type_comparison(node)
            case syntax.Logic():
                return self._type_logic(node)
            case syntax.Contains():
                return self._type_membership(node)
            case syntax.IfElse():
                return self._type_if_else(node)
            case syntax.Call():
                return self._type_call(node)
            case syntax.TupleOf():
                return self._type_tuple(node)
            case syntax.ElementOf():
                return self._type_element(node)
            case syntax.Fraction() | syntax.Filtered():
                raise AssertionError("fractions and filters are parsed for figures only")

    def _count_step(self, node: syntax.SyntaxNode) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise _too_many_steps(self._position_of(node))

    def _type_name(self, node: syntax.Name) -> Node:
        name = node.id
        if name in self.scope.definitions:
            return self._type_definition(name, node)
        if name in UNITS:
            return UNITS[name]
        node_of_name = (
            self._type_builtin(name, self._position_of(node))
            or self._type_positional(name, node)
            or find_constant(name, self.scope.facts)
        )
        if node_of_name is None:
            raise plan_error(
                "PP087",
                f"the name {name!r} is not known at {self.scope.label}",
                self._position_of(node),
                suggest_or_list(name, known_names(self.scope)),
            )
        return node_of_name

    def _type_builtin(self, name: str, place: Position) -> Node | None:
        value = find_builtin(self.scope, name, place, at_entry=self._at_entry)
        return self._capture_at_return(value) if value is not None and name == "comm" else value

    def _type_positional(self, name: str, node: syntax.Name) -> Node | None:
        if not (name.startswith("arg") and name[3:].isdigit()):
            return None
        argument = self.scope.positional(int(name[3:]))
        if argument is None:
            raise plan_error(
                "PP088", f"{self.scope.label} has no argument {name}", self._position_of(node)
            )
        return self._capture_at_return(argument)

    # ---------------------------------------------------------------- captures and definitions

    def _capture_at_return(self, node: Node) -> Node:
        """A value of the entry: captured where it is asked for at the return."""
        if not self.scope.paired or self._at_entry:
            return node
        return self._capture(node)

    def _capture(self, node: Node) -> Captured:
        if node not in self.captures:
            self.captures.append(node)
        return Captured(self.captures.index(node), node.type)

    def _type_definition(self, name: str, node: syntax.Name) -> Node:
        if name in self._open:
            raise plan_error(
                "PP087",
                f"`let` {name!r} is defined by itself: " + " → ".join((*self._open, name)),
                self._position_of(node),
            )
        if self._at_entry:
            return self._type_in_place(name)
        if name not in self._typed:
            value = self._type_in_place(name)
            place = self.scope.definitions[name].position
            self._typed[name] = self._make_let(name, value, place)
        return self._typed[name]

    def type_shared(self, expr: Expr) -> Node:
        """`expr` as a definition without a name: what says the same is evaluated once an event.
        Raises PlanError."""
        label = f"({expr.text})"  # the name of no definition
        if label not in self._typed:
            self._typed[label] = self._make_let(label, self.type_expression(expr), expr.position)
        return self._typed[label]

    def _share(self, node: Node) -> Node:
        """A reference to a value that several expressions compute, evaluated once; at the entry,
        where there are no definitions, the value itself."""
        if self._at_entry:
            return node
        if node not in self._shared:
            name = f"(shared {len(self._shared)})"
            self._shared[node] = self._make_let(name, node, NOWHERE)
        return self._shared[node]

    def _type_in_place(self, name: str) -> Node:
        self._open.append(name)
        try:
            return self.type_expression(self.scope.definitions[name])
        finally:
            self._open.pop()

    def _make_let(self, name: str, value: Node, place: Position) -> Node:
        """A reference to the value, evaluated once; constants and addresses cost nothing to
        repeat and stand for themselves."""
        free = isinstance(value, Const | TextConst | ParamRef)
        if free or isinstance(value.type, Struct | Array | Tuple | Endpoint | PacketValue):
            return value
        if isinstance(value, ShownAs):
            return replace(value, value=self._make_let(name, value.value, place))
        self.weights.append(self._check_weight(value, place))
        self.lets.append(Let(name=name, node=value))
        return LetRef(len(self.lets) - 1, name, value.type)

    # ---------------------------------------------------------------- members and operators

    def _type_member(self, node: syntax.MemberOf) -> Node:
        if isinstance(node.base, syntax.Name):
            if node.base.id == "args":
                return self._type_argument(node)
            if node.base.id == "params":
                return self._type_param(node)
        match node.base:
            case syntax.MemberOf(base=syntax.Name(id="note"), name=note) if (
                "note" not in self.scope.definitions
            ):
                shape = self._find_note(note, self._position_of(node))
                key = self._type_note_key(shape)
                return read_note(shape, node.name, key, self._position_of(node))
        base, place = self._type_node(node.base), self._position_of(node)
        if isinstance(base, PacketOf):
            return packet_member(base, node.name, self._share, place)
        if isinstance(base.type, Endpoint):
            return self._type_endpoint_member(base, node.name, place)
        return read_member(self.scope.facts, base, node.name, place)

    def _type_endpoint_member(self, base: Node, name: str, place: Position) -> Node:
        """`entry(remote(sk)).ip` is `entry(remote(sk).ip)`."""
        if isinstance(base, Captured):
            return self._capture(endpoint_member(self.captures[base.index], name, place))
        return endpoint_member(base, name, place)

    def _type_argument(self, node: syntax.MemberOf) -> Node:
        argument = self.scope.arguments.get(node.name)
        if argument is None:
            raise plan_error(
                "PP082",
                f"{self.scope.label} has no argument {node.name!r}",
                self._position_of(node),
                suggest_or_list(node.name, tuple(self.scope.arguments))
                or self.scope.why_unnamed
                or self.scope.facts.why_no_types
                or _SPELL_ARGUMENTS,
            )
        return self._capture_at_return(argument)

    def _type_param(self, node: syntax.MemberOf) -> Node:
        param = self.scope.params.get(node.name)
        if param is None:
            raise plan_error(
                "PP087",
                f"there is no scalar param {node.name!r}",
                self._position_of(node),
                suggest_or_list(node.name, tuple(self.scope.params)),
            )
        return ParamRef(node.name, param.slot, param.type or BOOL)

    def _type_unary(self, node: syntax.UnaryOperation) -> Node:
        operand = self._type_node(node.operand)
        if node.op == "not":
            return arithmetic.make_negation(operand, self._position_of(node))
        return arithmetic.make_unary(node.op, operand, self._position_of(node))

    def _type_binary(self, node: syntax.BinaryOperation) -> Node:
        left, right = self._type_node(node.left), self._type_node(node.right)
        return arithmetic.make_binary(node.op, left, right, self._position_of(node))

    def _type_comparison(self, node: syntax.Compare) -> Node:
        place = self._position_of(node)
        left, right = self._type_compared(node.left, node.right)
        if isinstance(left.type, Ip) or isinstance(right.type, Ip):
            return self._compare_address(node.op, left, right, place)
        if isinstance(left.type, KernelPath) or isinstance(right.type, KernelPath):
            return self._compare_path(node.op, left, right, place)
        return arithmetic.make_comparison(node.op, left, right, place)

    def _compare_path(self, op: str, left: Node, right: Node, place: Position) -> Node:
        path, text = (left, right) if isinstance(left.type, KernelPath) else (right, left)
        if op not in ("==", "!="):
            hint = 'use ==, !=, `in`, under(f, "/etc") or endswith(path(f), ".conf")'
            raise plan_error("PP084", f"`{op}` is not defined for paths", place, hint)
        test = self._test_path("equal", path, require_text(text, "a path", place), place)
        return test if op == "==" else Combination("not", (test,))

    def _test_path(self, op: PathOperation, path: Node, text: bytes, place: Position) -> Node:
        """A test of path(p), which is walked again, wherever it is defined."""
        path = self._unfold(path)
        if isinstance(path, Captured):
            return self._capture(self._test_path(op, self.captures[path.index], text, place))
        if isinstance(path, Either):
            yes, no = (self._test_path(op, arm, text, place) for arm in (path.yes, path.no))
            return Either(path.test, yes, no, BOOL)
        if not isinstance(path, ReadPath):
            hint = "test it in the probe: `let: {inside: …}`, and name that: start.inside"
            raise plan_error("PP084", "a path that a span keeps is not compared", place, hint)
        return test_path(op, path, text, place)

    def _type_path_call(self, node: syntax.Call, place: Position) -> Node | None:
        """`under(p, "/etc")`, and `endswith` of a path; None for one of a string."""
        _check_count(node, 2, 2, place)
        subject = self._type_node(node.args[0])
        if node.function == "endswith" and not isinstance(subject.type, KernelPath):
            return None
        if isinstance(subject.type, UnknownType):
            return Unseen(BOOL)
        text = require_text(self._type_node(node.args[1]), node.function, place)
        if not isinstance(subject.type, KernelPath):
            make = FUNCTIONS["path"][2]
            subject = make(self.scope.facts, (subject,), place)
        return self._test_path(
            "under" if node.function == "under" else "suffix", subject, text, place
        )

    def _compare_address(self, op: str, left: Node, right: Node, place: Position) -> Node:
        value, option = (left, right) if isinstance(left.type, Ip) else (right, left)
        if op not in ("==", "!="):
            hint = 'use ==, !=, or `ip in ("10.0.0.0/8",)`'
            raise plan_error("PP084", f"`{op}` is not defined for addresses", place, hint)
        test = self._match_address(value, option, place)
        return test if op == "==" else Combination("not", (test,))

    def _match_address(self, value: Node, option: Node, place: Position) -> Node:
        """Whether the address is that of `option`: another one, or constant. Two addresses of the
        entry are compared there."""
        if isinstance(option.type, Ip):
            value, option = self._unfold(value), self._unfold(option)
            if isinstance(value, Captured) and isinstance(option, Captured):
                first, second = (self.captures[one.index] for one in (value, option))
                return self._capture(compare_addresses(first, second, self._unfold, place))
            return compare_addresses(value, option, self._unfold, place)
        return self._test_address(value, read_networks(option, place, single=True), place)

    def _test_address(self, value: Node, networks: tuple[IpNetwork, ...], place: Position) -> Node:
        value = self._unfold(value)
        if isinstance(value, Captured):
            kept = self.captures[value.index]
            return self._capture(test_address(kept, networks, self._unfold, place))
        return test_address(value, networks, self._unfold, place)

    def _unfold(self, node: Node) -> Node:
        """What a definition stands for: addresses are read again where they are used."""
        while isinstance(node, LetRef):
            node = self.lets[node.index].node
        return node

    def _type_compared(
        self, left: syntax.SyntaxNode, right: syntax.SyntaxNode
    ) -> tuple[Node, Node]:
        """Both sides of a comparison. Next to the constant SYS_NAME a number is that of a system
        call, and one of a 32-bit call equals none of them."""
        typed = [self._type_node(left), self._type_node(right)]
        named = [self._names_system_call(left), self._names_system_call(right)]
        if any(named):
            typed = [
                one
                if is_name or not isinstance(one.type, Int)
                else tag_call_number(self.scope.facts, one, self._position_of(side))
                for one, is_name, side in zip(typed, named, (left, right), strict=True)
            ]
        return typed[0], typed[1]

    def _names_system_call(self, node: syntax.SyntaxNode) -> bool:
        return (
            isinstance(node, syntax.Name)
            and node.id.startswith("SYS_")
            and node.id not in self.scope.definitions
        )

    def _type_logic(self, node: syntax.Logic) -> Node:
        operands = tuple(
            arithmetic.require_condition(self._type_node(part), self._position_of(part))
            for part in node.operands
        )
        return Combination("and" if node.op == "and" else "or", operands)

    def _type_membership(self, node: syntax.Contains) -> Node:
        item = self._type_node(node.item)
        if isinstance(item.type, Ip):
            tests = self._type_address_tests(item, node)
        else:
            tests = [self._type_equality(node.item, option) for option in node.options]
        any_of = tests[0] if len(tests) == 1 else Combination("or", tuple(tests))
        return Combination("not", (any_of,)) if node.negated else any_of

    def _type_address_tests(self, item: Node, node: syntax.Contains) -> list[Node]:
        """One test of all constant networks, and one for each other address."""
        options = [(self._type_node(option), self._position_of(option)) for option in node.options]
        others = [option for option in options if isinstance(option[0].type, Ip)]
        networks = [
            network
            for option, place in options
            if not isinstance(option.type, Ip)
            for network in read_networks(option, place, single=False)
        ]
        place = self._position_of(node)
        tests = [self._test_address(item, tuple(networks), place)] if networks else []
        return tests + [self._match_address(item, option, at) for option, at in others]

    def _type_equality(self, item: syntax.SyntaxNode, option: syntax.SyntaxNode) -> Node:
        left, right = self._type_compared(item, option)
        place = self._position_of(option)
        if isinstance(left.type, KernelPath):
            return self._compare_path("==", left, right, place)
        return arithmetic.make_comparison("==", left, right, place)

    def _type_if_else(self, node: syntax.IfElse) -> Node:
        test, yes, no = (self._type_node(part) for part in (node.test, node.yes, node.no))
        return arithmetic.make_if_else(test, yes, no, self._position_of(node))

    def _type_tuple(self, node: syntax.TupleOf) -> Node:
        items = tuple(self._type_node(item) for item in node.items)
        return Several(items, Tuple(tuple(item.type for item in items)))

    def _type_element(self, node: syntax.ElementOf) -> Node:
        base, index = self._type_node(node.base), self._type_node(node.index)
        return read_element(self.scope.facts, base, index, self._share, self._position_of(node))

    # ---------------------------------------------------------------- notes

    def _find_note(self, name: str, place: Position) -> NoteShape:
        shape = self.scope.notes.get(name)
        if shape is None:
            hint = suggest_or_list(name, tuple(self.scope.notes))
            raise plan_error("PP087", f"there is no note {name!r}", place, hint)
        return shape

    def _type_note_key(self, shape: NoteShape) -> list[tuple[str, Node]]:
        """The key by which a note is read here: its names as they are defined at this hook."""
        key = self.type_key(shape.key, shape.position)
        self.looks.setdefault(shape.name, []).append(key)
        return key

    def type_key(self, names: Sequence[str], position: Position) -> list[tuple[str, Node]]:
        """The parts of a key that joins events, each by its name. Raises PlanError."""
        parts = [(name, self.type_expression(parse(name, position))) for name in names]
        return [part for name, node in parts for part in flatten_key(name, node)]

    def _type_noted(self, node: syntax.Call) -> Node:
        place = self._position_of(node)
        _check_count(node, 1, 1, place)
        if not isinstance(node.args[0], syntax.Name):
            raise plan_error("PP087", "noted() takes the name of a note", place)
        shape = self._find_note(node.args[0].id, place)
        return test_note(shape, self._type_note_key(shape))

    # ---------------------------------------------------------------- calls

    def _type_call(self, node: syntax.Call) -> Node:
        if node.function == "either":
            return self._type_first_that_resolves(node)
        if node.function == "entry":
            return self._type_entry(node)
        if node.function == "noted":
            return self._type_noted(node)
        place = self._position_of(node)
        if node.function == "packet":
            _check_count(node, 1, 1, place)
            skb = self._type_node(node.args[0])
            return make_packet(self.scope.facts, skb, self._share, place)
        if node.function in FORMS:
            return self._type_label(node, place)
        if node.function in ("under", "endswith"):
            test = self._type_path_call(node, place)
            if test is not None:
                return test
        if of_task := TASK_FUNCTIONS.get(node.function):
            _check_count(node, *of_task[:2], place)
            return of_task[2](self.scope, tuple(map(self._type_node, node.args)), place)
        known = FUNCTIONS.get(node.function)
        if known is None:
            raise plan_error(
                "PP087",
                f"there is no function {node.function!r}",
                place,
                suggest_or_list(
                    node.function,
                    (
                        *FUNCTIONS,
                        *TASK_FUNCTIONS,
                        *FORMS,
                        "under",
                        "packet",
                        "either",
                        "entry",
                        "noted",
                    ),
                ),
            )
        fewest, most, make = known
        _check_count(node, fewest, most, place)
        args = self._spell_type_names(node) if node.function in TYPE_ARGUMENTS else node.args
        return make(self.scope.facts, tuple(map(self._type_node, args)), place)

    def _type_label(self, node: syntax.Call, place: Position) -> Node:
        """`label(x)`, `label(x, "PREFIX_")`, and `label(x, NAME)` by the plan's `labels`."""
        _check_count(node, 1 if node.function == "label" else 2, 2, place)
        value = self._type_node(node.args[0])
        match node.args[1:]:
            case ():
                return show_by_own_names(self.scope, value, place)
            case (syntax.Name(id=name),):
                return show_by_plan(self.scope, node.function, value, name, place)
        prefix = self._type_node(node.args[1])
        return show_by_group(self.scope, node.function, value, prefix, place)

    def _spell_type_names(self, node: syntax.Call) -> tuple[syntax.SyntaxNode, ...]:
        """The arguments with a bare type's name as text: `load(u64, p)`, `cast(x, s32)`."""
        at = TYPE_ARGUMENTS[node.function]
        return tuple(
            syntax.TextLiteral(arg.id, arg.at) if i == at and isinstance(arg, syntax.Name) else arg
            for i, arg in enumerate(node.args)
        )

    def _type_first_that_resolves(self, node: syntax.Call) -> Node:
        refused: PlanError | None = None
        for arg in node.args:
            try:
                return self._type_node(arg)
            except PlanError as error:
                refused = refused or error
        if refused is None:
            raise plan_error(
                "PP087", "either() needs at least one expression", self._position_of(node)
            )
        raise refused

    def _type_entry(self, node: syntax.Call) -> Node:
        if len(node.args) != 1:
            raise plan_error("PP087", "entry takes one expression", self._position_of(node))
        if not self.scope.paired:
            if self.scope.retval is not None:
                raise plan_error(
                    "PP088",
                    f"{self.scope.label} does not see the entry",
                    self._position_of(node),
                    "use function:, ufunction: or syscall:",
                )
            return self._type_node(node.args[0])
        was, self._at_entry = self._at_entry, True
        try:
            inner = self._type_node(node.args[0])
        finally:
            self._at_entry = was
        return inner if was or isinstance(inner, Const) else self._capture_shown(inner)

    def _capture_shown(self, node: Node) -> Node:
        """What is captured is the value; how it is shown is user space's."""
        if isinstance(node, ShownAs):
            return replace(node, value=self._capture_shown(node.value))
        return self._capture(node)


def _check_count(node: syntax.Call, fewest: int, most: int, place: Position) -> None:
    if not fewest <= len(node.args) <= most:
        raise plan_error(
            "PP087",
            f"{node.function} takes {_show_count(fewest, most)}, not {len(node.args)}",
            place,
        )


def _show_count(fewest: int, most: int) -> str:
    count = str(fewest) if fewest == most else f"{fewest} to {most}"
    return f"{count} argument{'' if most == 1 else 's'}"
