"""A typed expression as the plan's language would write it, for comments and messages."""

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
    Kept,
    LetRef,
    Load,
    Node,
    ParamRef,
    RawArg,
    ReadBytes,
    ReadPath,
    ReadString,
    ReadStrings,
    Register,
    Seen,
    Shown,
    StringTest,
    TextConst,
    UsdtArg,
)
from orchestrator.compile.expressions.types import Int, Str
from orchestrator.compile.program import Body


def describe(node: Node, body: Body | None = None) -> str:
    """`node` as text. With `body`, a value kept from the entry is shown as what it was there."""
    return _Text(body).of(node)


class _Text:
    def __init__(self, body: Body | None) -> None:
        self.body = body

    def of(self, node: Node) -> str:
        match node:
            case Const(value=value):
                return str(value)
            case TextConst(value=value):
                return _quoted(value)
            case ParamRef(name=name):
                return f"params.{name}"
            case Builtin(name="open_for"):
                return "elapsed"
            case Builtin(name=name) | LetRef(name=name):
                return name
            case Register(name=name) | RawArg(name=name) if name:
                return f"args.{name}"
            case Register(index=index) | RawArg(index=index) | UsdtArg(index=index):
                return f"arg{index}"
            case Field(field=field):
                return f"args.{field.name}"
            case Captured(index=index):
                return self.captured(index)
            case Kept(name=name):
                return name
            case Seen():
                return "seen(via)"
            case _:
                return self.compound(node)

    def captured(self, index: int) -> str:
        if self.body is None or self.body.entry is None:
            return f"entry#{index}"
        return self.of(self.body.entry.captures[index])

    def compound(self, node: Node) -> str:
        match node:
            case Load(base=base, offset=offset, type=kind):
                name = kind.name if isinstance(kind, Int) else str(kind)
                return f"load({name}, {self.of(base)} + {offset})"
            case Address(base=base, offset=offset):
                return f"{self.of(base)} + {offset}"
            case ReadString(pointer=pointer):
                return f"str({self.of(pointer)})"
            case StringTest(op=op, string=string, text=text):
                return f"{op}({self.of(string)}, {_quoted(text)})"
            case ByteSwap(value=value, type=kind):
                return f"{'ntohs' if kind.bits == 16 else 'ntohl'}({self.of(value)})"
            case IpOf(value=value, type=kind):
                return f"{kind}({self.of(value)})"
            case Convert(value=value) | Shown(value=value):
                return self.of(value)
            case ReadBytes() | ReadStrings() | ReadPath() | FamilyIp() | EndpointOf():
                return self.reading(node)
            case _:
                return self.operation(node)

    def reading(self, node: Node) -> str:
        match node:
            case ReadBytes(pointer=pointer, length=length):
                return f"buf({self.of(pointer)}, {self.of(length)})"
            case ReadStrings(pointer=pointer):
                return f"strs({self.of(pointer)})"
            case ReadPath(dentry=dentry):
                return f"path({self.of(dentry)})"
            case FamilyIp(v4=v4):
                return f"ip at {self.of(v4)}"
            case EndpointOf(v4=v4):
                return f"endpoint at {self.of(v4)}"
        return type(node).__name__

    def operation(self, node: Node) -> str:
        match node:
            case Arithmetic(op=op, left=left, right=None):
                return f"{op}{self.of(left)}"
            case Arithmetic(op=op, left=left, right=right) if right is not None:
                return f"({self.of(left)} {op} {self.of(right)})"
            case Comparison(op=op, left=left, right=right):
                return f"{self.of(left)} {op} {self.of(right)}"
            case Combination(op="not", operands=operands):
                return f"not ({self.of(operands[0])})"
            case Combination(op=op, operands=operands):
                return f" {op} ".join(map(self.grouped, operands))
            case Either(test=test, yes=yes, no=no):
                return f"({self.of(yes)} if {self.of(test)} else {self.of(no)})"
        return type(node).__name__

    def grouped(self, node: Node) -> str:
        text = self.of(node)
        return f"({text})" if isinstance(node, Combination) and node.op != "not" else text


def _quoted(text: bytes) -> str:
    return '"' + text.decode(errors="replace") + '"'


def type_name(node: Node) -> str:
    """The type of a value, for comments beside it."""
    return f"string[{node.type.size}]" if isinstance(node.type, Str) else str(node.type)
