"""Endpoints of connections: `local(sk)`, `remote(sk)`, `sockaddr(p)`, and their members.

The kernel keeps a socket's addresses in struct sock_common (include/net/sock.h). What programs pass
to connect() and bind() is a struct sockaddr, whose layout is UAPI (include/uapi/linux/socket.h,
in.h, in6.h, un.h).
"""

from collections.abc import Callable

from orchestrator.compile.expressions.arithmetic import convert_node
from orchestrator.compile.expressions.members import find_struct, read_member
from orchestrator.compile.expressions.network.families import IP_FAMILIES
from orchestrator.compile.expressions.nodes import (
    Address,
    ByteSwap,
    EndpointOf,
    FamilyIp,
    Load,
    Node,
    ReadString,
    ValueWhere,
)
from orchestrator.compile.expressions.types import U16, Endpoint, Ip, Pointer, Str
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Position, plan_error

_AF_UNIX = 1  # include/linux/socket.h
_IP_BYTES = 16
_UNIX_PATH = 108  # UNIX_PATH_MAX
_PORT, _V4, _V6, _PATH = 2, 4, 8, 2  # offsets in sockaddr_in, _in, _in6, _un


def socket_endpoint(
    facts: KernelFacts, pointer: Node, remote: bool, position: Position
) -> EndpointOf:
    """One end of the struct sock at `pointer`. Raises PlanError."""
    shared = read_member(facts, _as_sock(facts, pointer, position), "__sk_common", position)

    def at(name: str) -> Node:
        return read_member(facts, shared, name, position)

    port = ByteSwap(at("skc_dport"), U16) if remote else convert_node(at("skc_num"), U16)
    return EndpointOf(
        family=at("skc_family"),
        port=port,
        v4=_address_of(at("skc_daddr" if remote else "skc_rcv_saddr")),
        v6=_address_of(at("skc_v6_daddr" if remote else "skc_v6_rcv_saddr")),
        unix=None,
        length=None,
        type=Endpoint(_IP_BYTES),
    )


def _as_sock(facts: KernelFacts, pointer: Node, position: Position) -> Node:
    """`pointer` as a pointer to struct sock, with which tcp_sock and similar structs begin."""
    kind = pointer.type
    assert isinstance(kind, Pointer)
    if kind.space == "user":
        raise plan_error(
            "PP084",
            "a struct sock is in kernel memory, and this is a user pointer",
            position,
            "an address that a program passes is read by sockaddr(p)",
        )
    table = facts.table_of(kind.target) if kind.target else None
    if table is not None:
        name = table.type(kind.target).name
        if name == "socket":
            return read_member(facts, pointer, "sk", position)
        if not name.endswith("sock"):
            raise plan_error("PP084", f"a struct {name} is not a struct sock", position)
    sock = Pointer("kernel", find_struct(facts, "struct sock", position))
    return convert_node(pointer, sock)


def _address_of(node: Node) -> Node:
    """The address of a value that `member` would read."""
    assert isinstance(node, Load | Address)
    return Address(node.base, node.offset, Pointer("kernel"), member=node.member)


def sockaddr_endpoint(pointer: Node, length: Node | None) -> EndpointOf:
    """The endpoint in the struct sockaddr at `pointer`, of `length` bytes where that is known."""
    kind = pointer.type
    assert isinstance(kind, Pointer)

    def at(offset: int) -> Node:
        return Address(pointer, offset, Pointer(kind.space))

    return EndpointOf(
        family=Load(pointer, 0, U16),
        port=ByteSwap(Load(pointer, _PORT, U16), U16),
        v4=at(_V4),
        v6=at(_V6),
        unix=at(_PATH),
        length=length,
        type=Endpoint(_UNIX_PATH),
    )


def endpoint_member(base: Node, name: str, position: Position) -> Node:
    """`.ip`, `.port`, `.family`, and of a sockaddr `.path`; each null for a family that lacks it.
    Raises PlanError."""
    if not isinstance(base, EndpointOf):
        raise plan_error(
            "PP084",
            f"{name!r}: the address is chosen by a condition",
            position,
            "take the member in both arms",
        )
    makers: dict[str, Callable[[], Node]] = {
        "ip": lambda: FamilyIp(base.family, base.v4, base.v6, Ip(0)),
        "port": lambda: ValueWhere(base.family, IP_FAMILIES, base.port, U16),
        "family": lambda: base.family,
    }
    if (unix := base.unix) is not None:
        path = ReadString(unix, Str(_UNIX_PATH))
        makers["path"] = lambda: ValueWhere(base.family, (_AF_UNIX,), path, path.type)
    if name not in makers:
        what = "a socket's address" if base.unix is None else "an address"
        known = ", ".join(f".{member}" for member in makers)
        raise plan_error("PP084", f"{what} has no member {name!r}", position, f"it has {known}")
    return makers[name]()
