"""Addresses compared with constant ones: as Python's ipaddress has it, whatever holds them."""

import ipaddress
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.compile.expressions.evaluate import evaluate
from orchestrator.compile.expressions.network.addresses import test_address as make_test
from orchestrator.compile.expressions.nodes import (
    Comparison,
    FamilyIp,
    FamilyPort,
    Field,
    IpOf,
    Load,
    Node,
    Register,
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
            case FamilyPort(port=port):
                return evaluate(port, leaf)
            case Register(index=2):
                return family
            case Register(type=type_) if type_ == U32:
                return int.from_bytes(memory[asked][:4], "little")
            case Field():
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
        ("local(args.sk).ip == remote(args.sk).ip", "compares with constant ones"),
        ("local(args.sk).ip == 0x7f000001", "compares with constant ones"),
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
