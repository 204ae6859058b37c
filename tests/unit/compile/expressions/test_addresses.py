"""Addresses compared with constant ones: as Python's ipaddress has it, whatever holds them."""

import ipaddress
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.compile.expressions.evaluate import ReadFailed, evaluate
from orchestrator.compile.expressions.network.addresses import compare_addresses
from orchestrator.compile.expressions.network.addresses import test_address as make_test
from orchestrator.compile.expressions.nodes import (
    Comparison,
    FamilyIp,
    Field,
    IpOf,
    Load,
    Node,
    Register,
    SpanValue,
)
from orchestrator.compile.expressions.types import U16, U32, Ip, Pointer
from orchestrator.compile.program import Program
from orchestrator.kernel.tracepoints import TraceField
from orchestrator.plan.expression.networks import parse_networks
from orchestrator.plan.findings import NOWHERE, PlanError

Address = IPv4Address | IPv6Address
V4, V6 = Register(0, Pointer("kernel")), Register(1, Pointer("kernel"))
FAMILY = Register(2, U16)

_v4 = st.integers(0, 2**32 - 1).map(IPv4Address)
_mapped = _v4.map(lambda one: IPv6Address(b"\0" * 10 + b"\xff\xff" + one.packed))
_v6 = st.integers(0, 2**128 - 1).map(IPv6Address) | st.sampled_from(
    [IPv6Address("::"), IPv6Address("::1"), IPv6Address("::fffe:1.2.3.4")]
)
addresses: st.SearchStrategy[Address] = _v4 | _mapped | _v6


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Address, str]:
    """An address and networks, of which some are about it."""
    address = draw(addresses)
    near = draw(st.lists(addresses | st.just(address), min_size=1, max_size=3))
    texts = []
    for one in near:
        bits = draw(st.integers(0, one.max_prefixlen))
        texts.append(str(ipaddress.ip_network((one, bits), strict=False)))
    return address, ",".join(texts)


def expected(address: Address, text: str) -> bool:
    """By ipaddress: mapped addresses and networks are IPv4's."""
    mapped = getattr(address, "ipv4_mapped", None)
    own = mapped or address
    for part in text.split(","):
        network = ipaddress.ip_network(part)
        inner = getattr(network.network_address, "ipv4_mapped", None)
        if inner is not None and network.prefixlen >= 96:
            network = ipaddress.ip_network((inner, network.prefixlen - 96))
        if own.version == network.version and own in network:
            return True
    return False


def judge(node: Node, memory: dict[Node, bytes], family: int = 0) -> bool:
    """The value of a test by the reference evaluator; `memory`: what addresses and fields hold."""

    def leaf(asked: Node) -> int | bytes | None:
        match asked:
            case Load(base=base, offset=at):
                return int.from_bytes(memory[base][at : at + 4], "little")
            case Register(index=2):
                return family
            case Register(type=type_) if type_ == U32:
                return int.from_bytes(memory[asked][:4], "little")
            case Field() | SpanValue():
                return memory[asked]
        return None

    return bool(evaluate(node, leaf))


def field(size: int) -> Field:
    layout = TraceField(
        name="a", ctype="__u8", offset=8, size=size, signed=False, kind="array", count=size
    )
    return Field(layout, Ip(4) if size == 4 else Ip(6))


@given(pairs())
@example((IPv6Address("::ffff:1.2.3.4"), "::/0"))
@example((IPv4Address("1.2.3.4"), "::/0"))
@example((IPv6Address("::1"), "0.0.0.0/0"))
def test_networks_are_those_of_ipaddress(pair: tuple[Address, str]) -> None:
    """Read through pointers, from fields and numbers, and by the family of a socket."""
    address, text = pair
    networks, packed = parse_networks(text), address.packed
    is_v4 = address.version == 4
    number = Register(3, U32)
    pointer = IpOf(V4, Ip(4)) if is_v4 else IpOf(V6, Ip(6))
    holders: list[Node] = [pointer, field(len(packed)), FamilyIp(FAMILY, V4, V6, Ip(0))]
    if is_v4:
        holders.append(IpOf(number, Ip(4)))
    for holder in holders:
        made = make_test(holder, networks, lambda node: node, NOWHERE)
        memory: dict[Node, bytes] = {V4: packed, V6: packed, holder: packed, number: packed}
        assert judge(made, memory, 2 if is_v4 else 10) == expected(address, text)


def kept(address: Address, *, as_any: bool) -> tuple[SpanValue, bytes]:
    """An address that a span keeps, in the form of its version or of any, and its bytes there."""
    if not as_any:
        return SpanValue(0, Ip(4) if address.version == 4 else Ip(6), False), address.packed
    version = address.version.to_bytes(4, "little")
    return SpanValue(1, Ip(0), False), (version + address.packed).ljust(24, b"\0")


@given(addresses, addresses, st.booleans())
@example(IPv4Address("1.2.3.4"), IPv6Address("::ffff:1.2.3.4"), False)
@example(IPv6Address("::1.2.3.4"), IPv4Address("1.2.3.4"), False)
@example(IPv6Address("::ffff:1.2.3.4"), IPv6Address("::fffe:1.2.3.4"), False)
@example(IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2"), False)
def test_two_addresses_are_one_as_ipaddress_has_it(
    left: Address, right: Address, again: bool
) -> None:
    """Of fields, sockets, pointers and spans, in all pairs: a mapped IPv4 address is that one."""
    if again:
        right = left
    plain = [getattr(one, "ipv4_mapped", None) or one for one in (left, right)]
    is_v4 = left.version == 4
    of_span, of_span_any = kept(right, as_any=False), kept(right, as_any=True)
    layout = field(len(right.packed))
    memory: dict[Node, bytes] = {
        V4: left.packed, V6: left.packed, layout: right.packed, **dict((of_span, of_span_any)),
    }  # fmt: skip
    pointer = IpOf(V4, Ip(4)) if is_v4 else IpOf(V6, Ip(6))
    for one in (pointer, FamilyIp(FAMILY, V4, V6, Ip(0))):
        for other in (layout, of_span[0], of_span_any[0]):
            for first, second in ((one, other), (other, one)):
                made = compare_addresses(first, second, lambda node: node, NOWHERE)
                assert judge(made, memory, 2 if is_v4 else 10) == (plain[0] == plain[1])


def test_an_address_of_another_family_is_as_null_as_its_comparison() -> None:
    """And not just another one: a Unix socket's is never equal, and never different."""
    of_socket = FamilyIp(FAMILY, V4, V6, Ip(0))
    memory: dict[Node, bytes] = {V4: bytes(4), V6: bytes(16), field(4): bytes(4)}
    for first, second in ((of_socket, field(4)), (field(4), of_socket)):
        made = compare_addresses(first, second, lambda node: node, NOWHERE)
        with pytest.raises(ReadFailed):
            judge(made, memory, family=1)


def test_a_whole_ipv4_address_is_one_comparison(compiled: Callable[..., Program]) -> None:
    """Without a mask, so that a trace event's filter can have it."""
    program = compiled("""
probes: {p: {attach: "entry:vfs_read", where: 'ipv4(args.count) == "192.0.2.1"', emit: {}}}
""")
    [test] = program.hooks[0].body.where
    assert isinstance(test, Comparison)


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ('local(args.sk).ip == "10.0.0.0/8"', "is not one address"),
        ('local(args.sk).ip in ("10.0.0.1/8",)', "the network is 10.0.0.0/8"),
        ("local(args.sk).ip == 0x7f000001", "compares with addresses"),
        ("local(args.sk).ip in (remote(args.sk).ip, 7)", "compares with addresses"),
        ("local(args.sk).ip < remote(args.sk).ip", "is not defined for addresses"),
        ('local(args.sk).ip < "10.0.0.1"', "is not defined for addresses"),
        ('local(args.sk).ip == "localhost"', "is not an IP address"),
    ],
)
def test_what_is_no_comparison_is_a_finding(
    compiled: Callable[..., Program], where: str, reason: str
) -> None:
    with pytest.raises(PlanError, match=reason):
        compiled(f"probes: {{p: {{attach: 'entry:tcp_connect', where: '{where}', emit: {{}}}}}}")


def test_params_hold_networks(compiled: Callable[..., Program]) -> None:
    """Several in one, chosen by --set; `in` takes the param as it is."""
    program = compiled(
        """
params: {nets: {type: net, default: "10.0.0.0/8"}}
probes: {p: {attach: "entry:tcp_connect", where: remote(args.sk).ip in params.nets, emit: {}}}
""",
        nets="127.0.0.0/8, ::1",
    )
    assert "0x" not in str(program.hooks[0].body.where[0].type)
