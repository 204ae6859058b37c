"""A typed node as a C expression of a number.

Expressions are pure; a read is a GNU statement expression that sets `fault` when it fails, and
evaluation goes on with 0. The code that evaluates a whole expression resets `fault` before and
looks at it after. Short-circuit evaluation is C's. Definitions (`let`) become local variables in
front of the expression that uses them first: reading is without effects, so evaluating one that
turns out not to be needed costs only time, and its fault counts only where it is used.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeGuard

from orchestrator.backends.bcc.design.hook_nodes import may_be_null
from orchestrator.backends.bcc.design.joining import COOKIE_FUNC
from orchestrator.backends.bcc.emit.context import EventContext
from orchestrator.backends.bcc.emit.notes.look import NoteLooks
from orchestrator.backends.bcc.emit.paths.conditions import test_path
from orchestrator.backends.bcc.emit.site import EmitError, c_type, given_where, is_user, read_number
from orchestrator.backends.bcc.emit.writer import comment_text
from orchestrator.compile.describe import describe_node
from orchestrator.compile.expressions.nodes import (
    Address,
    Arithmetic,
    Builtin,
    ByteSwap,
    Captured,
    Combination,
    Comparison,
    Const,
    Convert,
    Either,
    Field,
    FuncNumber,
    IpWord,
    KernelSymbol,
    LetRef,
    Load,
    Node,
    Noted,
    NoteValue,
    ParamRef,
    PathTest,
    RawArg,
    Register,
    Seen,
    ShownAs,
    SpanValue,
    StringTest,
    TransportOf,
    UsdtArg,
    UserSymbol,
    ValueWhere,
)
from orchestrator.compile.expressions.types import Bool, Int, Stored, Type

__all__ = ["NumberExpressions"]


class NumberExpressions:
    """Number nodes at one site. `test_string` makes the C expression of a string test, and `notes`
    those of what notes keep."""

    def __init__(
        self, context: EventContext, test_string: Callable[[StringTest], str], notes: NoteLooks
    ) -> None:
        self.context, self.test_string, self.notes = context, test_string, notes
        self.site, self.writer = context.site, context.writer

    def number(self, node: Node) -> str:  # noqa: PLR0912  # one case a node kind
        """A C expression of type c_type(node.type). Raises EmitError."""
        match node:
            case FuncNumber() if self.site.joined:
                return f"({c_type(node.type)}){COOKIE_FUNC}"
            case Const():
                return self._constant(node)
            case ParamRef(slot=slot, type=kind):
                return f"({c_type(kind)})control->param[{slot}]"
            case Builtin():
                return self.context.read_builtin(node)
            case PathTest():
                return test_path(node, self.number, self.site.numbers)
            case KernelSymbol(name=name, address=variable):
                return self.site.numbers.number(name, variable)
            case UserSymbol(value=value):
                return f"pp_user_symbol({self.number(value)})"
            case Register(index=index, type=kind, name=name):
                return f"({c_type(kind)}){self.context.read_argument(index, name)}"
            case RawArg(index=index, type=kind, name=name):
                return f"({c_type(kind)}){self.context.read_word(index, name)}"
            case Field(field=field, type=kind):
                return self.context.read_field(field, kind)
            case UsdtArg():
                return self.context.read_usdt(node)
            case Load():
                return self._load_number(node)
            case IpWord():
                return self._address_word(node)
            case ValueWhere():
                return self._value_where(node)
            case TransportOf():
                return self._find_transport(node)
            case Address(base=base, offset=offset, member=member):
                return self.site.numbers.member(self.number(base), member, offset)
            case Arithmetic():
                return self._arithmetic(node)
            case Comparison(op=op, left=left, right=right):
                return f"({self.number(left)} {op} {self.number(right)})"
            case Combination():
                return self._combination(node)
            case Either(test=test, yes=yes, no=no, type=kind):
                arms = f"PP_ARM({self.number(yes)}) : PP_ARM({self.number(no)})"
                return f"({c_type(kind)})({self.number(test)} ? {arms})"
            case Convert(value=value, type=kind):
                return self._conversion(value, kind)
            case StringTest():
                return self.test_string(node)
            case ByteSwap(value=value, type=kind):
                swapped = f"__builtin_bswap{kind.bits}({self.number(value)})"
                return f"({c_type(kind)}){swapped}"
            case LetRef(index=index):
                return self._declare_let(index)
            case Captured(index=index):
                return f"({self.context.captured_guard(index)}frame->c{index})"
            case SpanValue(index=index):
                return f"({self.context.kept_guard(node)}open->c{index})"
            case Seen():
                return "open->head.seen"
            case NoteValue():
                return self.notes.read_number(node, c_type(node.type))
            case Noted():
                return f"({self.notes.find(node)} != 0)"
            case ShownAs(value=value, type=kind):
                return f"({c_type(kind)})({self.number(value)})"
            case _:
                raise EmitError(f"{describe_node(node, self.site.body)} is not a number")

    def _constant(self, node: Const) -> str:
        if not node.enumerator:
            return _literal(node.value, node.type)
        value = self.site.numbers.number(node.enumerator, node.value & (1 << 64) - 1)
        return f"({c_type(node.type)}){value}"

    def _address_word(self, node: IpWord) -> str:
        at = 4 * node.index
        match node.value:
            case Field(field=field):
                address = f"{self.context.field_address(field)} + {at}"
                return read_number("u32", False, address)
            case Captured(index=index):
                guard, kept = self.context.captured_guard(index), f"frame->c{index}"
            case SpanValue(index=index):
                guard, kept = self.context.kept_guard(node.value), f"open->c{index}"
            case NoteValue():
                return self.notes.read_word(node.value, at)
            case value:
                text = describe_node(value, self.site.body)
                raise EmitError(f"{text} is no address that is kept")
        return f"({guard}*(u32 *)({kept} + {at}))"

    def _value_where(self, node: ValueWhere) -> str:
        subject, value = self.number(node.subject), self.number(node.value)
        return given_where(node, subject, c_type(node.type), value)

    def _find_transport(self, node: TransportOf) -> str:
        header, family, room = map(self.number, (node.header, node.family, node.room))
        return f"pp_transport({header}, {family}, {room}, &fault)"

    def _load_number(self, node: Load) -> str:
        user = is_user(node.base)
        base = self.number(node.base)
        address = self.site.numbers.member(base, node.member, node.offset)
        if not node.bit_size:
            return read_number(c_type(node.type), user, address)
        assert isinstance(node.type, Int)
        up = node.type.bits - node.bit_size - node.bit_offset
        down = node.type.bits - node.bit_size
        whole = read_number(f"u{node.type.bits}", user, address)
        return f"({c_type(node.type)})(({c_type(node.type)})({whole} << {up}) >> {down})"

    def _declare_let(self, index: int) -> str:
        let = self.site.body.lets[index]
        name = f"let_{index}"
        if isinstance(let.node.type, Stored):
            raise EmitError(f"`{let.name}` is a {let.node.type} where a number is needed")
        nullable = may_be_null(let.node, self.site.body)
        if self.writer.once(name):
            value = self.number(let.node)
            text = comment_text(f"{let.name} = {describe_node(let.node, self.site.body)}")
            self.writer.line(f"/* let {text} */")
            if nullable:
                self.writer.line("fault = 0;")
            self.writer.line(f"{c_type(let.node.type)} {name} = {value};")
            if nullable:
                self.writer.line(f"u32 {name}_null = fault;")
        return f"({name}_null ? (fault = 1, {name}) : {name})" if nullable else name

    def _arithmetic(self, node: Arithmetic) -> str:
        kind, left = c_type(node.type), self.number(node.left)
        wide = f"u{max(node.type.bits, 32)}"  # unsigned, and no promotion to int: overflow wraps
        if node.right is None:
            return f"({kind})({'0 -' if node.op == '-' else '~'} ({wide})({left}))"
        right = self.number(node.right)
        if node.op in ("//", "%"):
            return self._division(node, left, right)
        if node.op in ("min", "max"):
            than = "<" if node.op == "min" else ">"
            return f"({{ {kind} a = {left}; {kind} b = {right}; a {than} b ? a : b; }})"
        if node.op in ("<<", ">>"):
            count = f"((u32)({right}) & {node.type.bits - 1})"
            shifted = f"({wide})({left})" if node.op == "<<" else f"({kind})({left})"
            return f"({kind})({shifted} {node.op} {count})"
        return f"({kind})(({wide})({left}) {node.op} ({wide})({right}))"

    @staticmethod
    def _division(node: Arithmetic, left: str, right: str) -> str:
        sign = "s" if node.type.signed else "u"
        name = f"pp_{sign}{'div' if node.op == '//' else 'mod'}"
        return f"({c_type(node.type)}){name}({left}, {right}, &ledger->division_by_zero)"

    def _combination(self, node: Combination) -> str:
        if node.op == "not":
            return f"(!{self.number(node.operands[0])})"
        joint = " && " if node.op == "and" else " || "
        return f"({joint.join(map(self.number, node.operands))})"

    def _conversion(self, value: Node, kind: Type) -> str:
        """An argument or a function's value that is converted to another type of 64 bits is one of
        that type: the text does not depend on whether the kernel's BTF knows the function."""
        if _is_of_function(value) and _is_long(value.type) and _is_long(kind):
            return self.number(replace(value, type=kind))
        text = self.number(value)
        return f"({text} != 0)" if isinstance(kind, Bool) else f"({c_type(kind)})({text})"


def _is_of_function(node: Node) -> TypeGuard[Register | RawArg | Builtin]:
    is_word = isinstance(node, Register | RawArg)
    return is_word or (isinstance(node, Builtin) and node.name == "retval")


def _is_long(kind: Type) -> bool:
    return isinstance(kind, Int) and kind.bits == 64


def _literal(value: int, kind: Type) -> str:
    """An integer constant of exactly this type."""
    if isinstance(kind, Int) and kind.signed:
        text = "(-9223372036854775807LL - 1)" if value == -(1 << 63) else f"{value}LL"
    else:
        text = f"{value & (1 << 64) - 1}ULL"
    return f"({c_type(kind)}){text}"
