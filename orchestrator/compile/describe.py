"""Describes a typed expression in the plan's language, for comments and messages."""

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
    EndpointOf,
    FamilyIp,
    Field,
    IpOf,
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
    ReadBytes,
    ReadPath,
    ReadString,
    ReadStrings,
    Register,
    Seen,
    ShownAs,
    SpanValue,
    StringTest,
    TextConst,
    TransportOf,
    UsdtArg,
    UserSymbol,
    ValueWhere,
)
from orchestrator.compile.expressions.types import Int, Str, StringList
from orchestrator.compile.program import Body


def describe_node(node: Node, body: Body | None = None) -> str:
    """`node` as text. With `body`, a value kept from the entry is shown as what it was there."""
    return _Describer(body).describe(node)


class _Describer:
    def __init__(self, body: Body | None) -> None:
        self.body = body

    def describe(self, node: Node) -> str:
        match node:
            case Const(value=value):
                return str(value)
            case TextConst(value=value):
                return _quote(value)
            case ParamRef(name=name):
                return f"params.{name}"
            case Builtin():
                return _describe_builtin(node)
            case LetRef(name=name):
                return name
            case Register(name=name) | RawArg(name=name) if name:
                return f"args.{name}"
            case Register(index=index) | RawArg(index=index) | UsdtArg(index=index):
                return f"arg{index}"
            case Field(field=field):
                return f"args.{field.name}"
            case Captured(index=index):
                return self.describe_captured(index)
            case SpanValue(name=name) | NoteValue(name=name) | Noted(name=name):
                return name
            case Seen():
                return "seen(via)"
            case _:
                return self.describe_compound(node)

    def describe_captured(self, index: int) -> str:
        if self.body is None or self.body.entry is None:
            return f"entry#{index}"
        return self.describe(self.body.entry.captures[index])

    def describe_compound(self, node: Node) -> str:
        match node:
            case Load(base=base, offset=offset, type=kind):
                name = kind.name if isinstance(kind, Int) else str(kind)
                return f"load({name}, {self.describe(base)} + {offset})"
            case Address(base=base, offset=offset):
                return f"{self.describe(base)} + {offset}"
            case ReadString(pointer=pointer, length=length):
                bound = "" if length is None else f", {self.describe(length)}"
                return f"str({self.describe(pointer)}{bound})"
            case (
                StringTest(op=op, string=subject, text=text)
                | PathTest(op=op, path=subject, text=text)
            ):
                return f"{op}({self.describe(subject)}, {_quote(text)})"
            case ByteSwap(value=value, type=kind):
                return f"{'ntohs' if kind.bits == 16 else 'ntohl'}({self.describe(value)})"
            case IpWord(value=value, index=index):
                return f"word {index} of {self.describe(value)}"
            case IpOf(value=value, type=kind):
                return f"{kind}({self.describe(value)})"
            case Convert(value=value) | ShownAs(value=value) | ValueWhere(value=value):
                return self.describe(value)
            case KernelSymbol(name=name):
                return f'symbol("{name}")'
            case (
                ReadBytes()
                | ReadStrings()
                | ReadPath()
                | FamilyIp()
                | EndpointOf()
                | TransportOf()
                | UserSymbol()
            ):
                return self.describe_read(node)
            case _:
                return self.describe_operation(node)

    def describe_read(self, node: Node) -> str:
        match node:
            case ReadBytes(type=StringList()):
                return "argv()"
            case ReadBytes(pointer=pointer, length=length):
                return f"buf({self.describe(pointer)}, {self.describe(length)})"
            case ReadStrings(pointer=pointer):
                return f"strs({self.describe(pointer)})"
            case ReadPath(dentry=dentry):
                return f"path({self.describe(dentry)})"
            case FamilyIp(v4=v4):
                return f"ip at {self.describe(v4)}"
            case EndpointOf(v4=v4):
                return f"endpoint at {self.describe(v4)}"
            case TransportOf(header=header):
                return f"transport header of the packet at {self.describe(header)}"
            case UserSymbol(value=value):
                return f"usym({self.describe(value)})"
        return type(node).__name__

    def describe_operation(self, node: Node) -> str:
        match node:
            case Arithmetic(op=op, left=left, right=None):
                return f"{op}{self.describe(left)}"
            case Arithmetic(op=op, left=left, right=right) if right is not None:
                return f"({self.describe(left)} {op} {self.describe(right)})"
            case Comparison(op=op, left=left, right=right):
                return f"{self.describe(left)} {op} {self.describe(right)}"
            case Combination(op="not", operands=operands):
                return f"not ({self.describe(operands[0])})"
            case Combination(op=op, operands=operands):
                return f" {op} ".join(map(self.describe_operand, operands))
            case Either(test=test, yes=yes, no=no):
                return f"({self.describe(yes)} if {self.describe(test)} else {self.describe(no)})"
        return type(node).__name__

    def describe_operand(self, node: Node) -> str:
        text = self.describe(node)
        return f"({text})" if isinstance(node, Combination) and node.op != "not" else text


def _describe_builtin(node: Builtin) -> str:
    name = "elapsed" if node.name == "open_for" else node.name
    return f"{name}({node.depth})" if node.depth else name


def _quote(text: bytes) -> str:
    return '"' + text.decode(errors="replace") + '"'


def describe_type(node: Node) -> str:
    """The type of a value, for comments in generated code."""
    return f"string[{node.type.size}]" if isinstance(node.type, Str) else str(node.type)
