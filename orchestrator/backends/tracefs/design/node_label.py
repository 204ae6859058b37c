"""What nodes are called in findings."""

from collections.abc import Mapping

from orchestrator.compile.expressions.nodes import (
    Address,
    Builtin,
    EndpointOf,
    FamilyIp,
    KernelSymbol,
    Load,
    Node,
    PathTest,
    RawArg,
    ReadBytes,
    ReadPath,
    ReadString,
    ReadStrings,
    TransportOf,
    UsdtArg,
    UserSymbol,
    ValueWhere,
)
from orchestrator.compile.expressions.types import StringList

__all__ = ["hint_for", "label_node"]

_LABELS: Mapping[type, str] = {
    Load: "memory behind this pointer",
    ReadString: "a string from memory",
    ReadBytes: "a buffer (buf)",
    ReadStrings: "a list of strings (strs)",
    ReadPath: "a path",
    PathTest: "a path",
    FamilyIp: "the address of a socket",
    TransportOf: "the headers of a packet",
    ValueWhere: "a member of an address or a packet",
    EndpointOf: "the address of a socket",
    UsdtArg: "a USDT argument",
    KernelSymbol: "a variable of the kernel (symbol)",
    UserSymbol: "the name of an address (usym)",
    RawArg: "a raw tracepoint's argument",
}


def label_node(node: Node) -> str:
    """What a node is, for people."""
    if isinstance(node, Builtin):
        return f"{node.name!r}"
    if _is_of_task(node):
        return "what the current task's task_struct leads to (`task`, `ppid`)"
    if isinstance(node, ReadBytes) and isinstance(node.type, StringList):
        return "a command line (argv)"
    return _LABELS.get(type(node), f"a {type(node).__name__.lower()}")


def hint_for(node: Node) -> str:
    """What to do where `node` cannot be fetched."""
    if isinstance(node, Builtin) and node.name == "compat":
        return (
            "no record says which system calls are 32-bit ones, whose numbers differ: "
            "show the bare number, or use --backend bcc"
        )
    if _is_of_task(node):
        return (
            "trace events and filters have no address of the running task; use --backend bcc, or "
            "`pid`, `tid`, `comm`, `uid` and `gid`, which tracefs has"
        )
    if isinstance(node, Load | ReadString):
        return (
            "tracefs reads no memory through arguments at returns and at tracepoints; "
            "use --backend bcc"
        )
    return "use --backend bcc"


def _is_of_task(node: Node) -> bool:
    """Whether a read begins at the current task's task_struct."""
    match node:
        case Load(base=at) | Address(base=at) | ReadString(pointer=at) | ReadPath(dentry=at):
            return _is_of_task(at)
        case Builtin(name="task"):
            return True
        case _:
            return False
