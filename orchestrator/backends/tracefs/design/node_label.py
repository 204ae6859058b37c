"""What nodes are called in findings."""

from orchestrator.compile.expressions.nodes import Builtin, Node

__all__ = ["hint_for", "label_node"]


def label_node(node: Node) -> str:
    """What a node is, for people."""
    match node:
        case Builtin(name=name):
            return f"{name!r}"
        case _:
            return {
                "Load": "memory behind this pointer",
                "ReadString": "a string from memory",
                "ReadBytes": "a buffer (buf)",
                "ReadStrings": "a list of strings (strs)",
                "ReadPath": "a path",
                "FamilyIp": "the address of a socket",
                "EndpointOf": "the address of a socket",
                "UsdtArg": "a USDT argument",
                "RawArg": "a raw tracepoint's argument",
            }.get(type(node).__name__, f"a {type(node).__name__.lower()}")


def hint_for(node: Node) -> str:
    """What to do where `node` cannot be fetched."""
    if type(node).__name__ in ("Load", "ReadString"):
        return (
            "tracefs reads no memory through arguments at returns and at tracepoints; "
            "use --backend bcc"
        )
    return "use --backend bcc"
