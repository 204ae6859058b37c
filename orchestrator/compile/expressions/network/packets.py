"""Packets: `packet(skb)` and what its network and transport headers say.

A struct sk_buff has its bytes from `head` to `tail`, with the network header at `head +
network_header` (include/linux/skbuff.h); 0 there says that it is not set. What is not set, not of
IP, or not in these bytes is null. The transport header is where that of IP and its extension
headers end (TransportOf), as not every place of the kernel has set it.
"""

from collections.abc import Callable, Mapping

from orchestrator.compile.expressions.arithmetic import convert_node, make_binary, make_constant
from orchestrator.compile.expressions.members import find_struct, read_member
from orchestrator.compile.expressions.network.families import AF_INET, AF_INET6, IP_FAMILIES
from orchestrator.compile.expressions.nodes import (
    TRANSPORT_ABSENT,
    TRANSPORT_PLACE_SHIFT,
    Address,
    ByteSwap,
    Combination,
    Comparison,
    Const,
    Either,
    FamilyIp,
    Load,
    Node,
    PacketOf,
    ShareNode,
    TransportOf,
    ValueWhere,
)
from orchestrator.compile.expressions.types import U8, U16, U32, U64, Int, Ip, Pointer
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import NOWHERE, Position, plan_error

__all__ = ["PACKET_MEMBERS", "make_packet", "packet_member"]

_V4_SIZE, _V6_SIZE = 20, 40
_ETHERTYPES = {4: 0x0800, 6: 0x86DD}  # include/uapi/linux/if_ether.h
#: Protocols whose header begins with two ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
_WITH_PORTS = (6, 17, 33, 132, 136)
_PROTOCOL = 0xFF


def make_packet(
    facts: KernelFacts, pointer: Node, share: ShareNode, position: Position
) -> PacketOf:
    """The packet in the struct sk_buff at `pointer`. Raises PlanError."""
    kind = pointer.type
    if not isinstance(kind, Pointer) or kind.space == "user":
        message = f"packet() needs a pointer to a struct sk_buff, not a {kind}"
        raise plan_error(
            "PP084", message, position, 'packet(args.skb), or cast(p, "struct sk_buff")'
        )
    skb = _as_buffer(facts, pointer, position)

    def at(name: str, as_type: Int) -> Node:
        return share(convert_node(read_member(facts, skb, name, position), as_type))

    offset, tail = at("network_header", U32), at("tail", U32)
    start = _add(at("head", U64), convert_node(offset, U64))
    header = share(convert_node(start, Pointer("kernel")))
    ethertype = ByteSwap(at("protocol", U16), U16)
    room = share(_subtract(tail, offset))
    is_v4, is_v6 = (
        _has_header(version, header, offset, room, ethertype) for version in _ETHERTYPES
    )
    none = Either(is_v6, Const(AF_INET6, U16), Const(0, U16), U16)
    family = share(Either(is_v4, Const(AF_INET, U16), none, U16))
    return PacketOf(header=header, family=family, room=room)


def _as_buffer(facts: KernelFacts, pointer: Node, position: Position) -> Node:
    """`pointer` as one to a struct sk_buff; one to nothing in particular is taken for one."""
    kind = pointer.type
    assert isinstance(kind, Pointer)
    wanted = find_struct(facts, "struct sk_buff", position)
    table = facts.table_of(kind.target) if kind.target else None
    if table is not None:
        name = table.type(kind.target).name
        if name and name != "sk_buff":
            raise plan_error("PP084", f"a struct {name} is not a struct sk_buff", position)
    return convert_node(pointer, Pointer("kernel", wanted))


def _has_header(version: int, header: Node, offset: Node, room: Node, ethertype: Node) -> Node:
    """Whether there is a header of this version. The kernel does not yet know the ethertype of
    what it is about to send."""
    size = _V4_SIZE if version == 4 else _V6_SIZE
    first = Comparison("==", _shift(_byte(header, 0), 4), Const(version, U32))
    known = Const(_ETHERTYPES[version], U16)
    kinds = (Comparison("==", ethertype, known), Comparison("==", ethertype, Const(0, U16)))
    return Combination(
        "and",
        (
            Comparison("!=", offset, Const(0, U32)),
            Comparison(">=", room, Const(size, U32)),
            Comparison("<", room, Const(1 << 31, U32)),
            Combination("or", kinds),
            first,
        ),
    )


# ---------------------------------------------------------------- members


def packet_member(packet: PacketOf, name: str, share: ShareNode, position: Position) -> Node:
    """`.src`, `.dport`, … of a packet. Raises PlanError."""
    make = _MEMBERS.get(name)
    if make is None:
        known = ", ".join(f".{member}" for member in _MEMBERS)
        raise plan_error("PP084", f"a packet has no member {name!r}", position, f"it has {known}")
    return make(packet, share)


def _family(packet: PacketOf, _share: ShareNode) -> Node:
    return _of_ip(packet, packet.family, U16)


def _protocol(packet: PacketOf, share: ShareNode) -> Node:
    return convert_node(_mask(_transport(packet, share), _PROTOCOL), U8)


def _transport(packet: PacketOf, share: ShareNode) -> Node:
    return share(TransportOf(packet.header, packet.family, packet.room))


def _source(packet: PacketOf, _share: ShareNode) -> Node:
    return _address(packet, 12, 8)


def _destination(packet: PacketOf, _share: ShareNode) -> Node:
    return _address(packet, 16, 24)


def _address(packet: PacketOf, v4: int, v6: int) -> Node:
    first, second = (Address(packet.header, at, Pointer("kernel")) for at in (v4, v6))
    return FamilyIp(packet.family, first, second, Ip(0))


def _source_port(packet: PacketOf, share: ShareNode) -> Node:
    return _port(packet, 0, share)


def _destination_port(packet: PacketOf, share: ShareNode) -> Node:
    return _port(packet, 2, share)


def _port(packet: PacketOf, at: int, share: ShareNode) -> Node:
    """Null for other protocols, later fragments and headers that are not in the buffer."""
    transport = _transport(packet, share)
    place = _shift(transport, TRANSPORT_PLACE_SHIFT)
    header = convert_node(_add(convert_node(packet.header, U64), place), Pointer("kernel"))
    subject = convert_node(_mask(transport, _PROTOCOL | TRANSPORT_ABSENT), U32)
    return ValueWhere(subject, _WITH_PORTS, _word(header, at), U16)


def _time_to_live(packet: PacketOf, _share: ShareNode) -> Node:
    bytes_of = _byte(packet.header, 8, U8), _byte(packet.header, 7, U8)
    return _of_ip(packet, _choose(packet, *bytes_of, U8), U8)


def _type_of_service(packet: PacketOf, _share: ShareNode) -> Node:
    """The traffic class of IPv6 is across the first two bytes."""
    class_of_v6 = convert_node(_shift(convert_node(_word(packet.header, 0), U32), 4), U8)
    return _of_ip(packet, _choose(packet, _byte(packet.header, 1, U8), class_of_v6, U8), U8)


def _length(packet: PacketOf, _share: ShareNode) -> Node:
    """Of the packet of IP: its header says the whole, that of IPv6 what follows it."""
    whole = convert_node(_word(packet.header, 2), U32)
    payload = convert_node(_word(packet.header, 4), U32)
    return _of_ip(packet, _choose(packet, whole, _add_small(payload, _V6_SIZE), U32), U32)


_MEMBERS: Mapping[str, Callable[[PacketOf, ShareNode], Node]] = {
    "family": _family,
    "proto": _protocol,
    "src": _source,
    "dst": _destination,
    "sport": _source_port,
    "dport": _destination_port,
    "ttl": _time_to_live,
    "tos": _type_of_service,
    "len": _length,
}
PACKET_MEMBERS = tuple(_MEMBERS)


# ---------------------------------------------------------------- nodes

_NO_PLACE = NOWHERE  # of operations on numbers, which are never refused


def _of_ip(packet: PacketOf, value: Node, kind: Int) -> Node:
    """The value of a packet of IP; null for others."""
    return ValueWhere(packet.family, IP_FAMILIES, value, kind)


def _choose(packet: PacketOf, v4: Node, v6: Node, kind: Int) -> Node:
    return Either(Comparison("==", packet.family, Const(AF_INET, U16)), v4, v6, kind)


def _byte(pointer: Node, offset: int, kind: Int = U32) -> Node:
    return convert_node(Load(pointer, offset, U8), kind)


def _word(pointer: Node, offset: int) -> Node:
    return ByteSwap(Load(pointer, offset, U16), U16)


def _shift(value: Node, by: int) -> Node:
    return make_binary(">>", value, make_constant(by), _NO_PLACE)


def _mask(value: Node, bits: int) -> Node:
    return make_binary("&", value, Const(bits, U32), _NO_PLACE)


def _add(left: Node, right: Node) -> Node:
    return make_binary("+", left, right, _NO_PLACE)


def _add_small(value: Node, number: int) -> Node:
    return make_binary("+", value, Const(number, U32), _NO_PLACE)


def _subtract(left: Node, right: Node) -> Node:
    return make_binary("-", left, right, _NO_PLACE)
