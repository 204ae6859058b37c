"""Addresses compared with constant ones and with each other: compares of both families' words, as
nodes that all backends and the evaluator know.

An IPv4 address that is mapped into IPv6, as sockets of IPv6 have it, is that IPv4 address; and no
network of IPv6 but one that is mapped itself has it in it.
"""

from collections.abc import Callable, Sequence

from orchestrator.compile.expressions.arithmetic import convert_node
from orchestrator.compile.expressions.network.families import AF_INET, IP_FAMILIES
from orchestrator.compile.expressions.nodes import (
    Arithmetic,
    Captured,
    Combination,
    Comparison,
    Const,
    Either,
    FamilyIp,
    Field,
    IpOf,
    IpWord,
    Load,
    Node,
    NoteValue,
    ShownAs,
    SpanValue,
    TextConst,
    ValueWhere,
)
from orchestrator.compile.expressions.types import BOOL, U16, U32, Ip, Pointer
from orchestrator.plan.expression.networks import IpNetwork, parse_networks
from orchestrator.plan.findings import Position, plan_error

__all__ = ["compare_addresses", "read_networks", "test_address"]

_MAPPED_WORD = int.from_bytes(b"\0\0\xff\xff", "little")
#: From a node that is a definition to what it stands for.
Unfold = Callable[[Node], Node]
#: The 32-bit words of an address as they are in memory: one of IPv4, four of IPv6.
Words = Sequence[Node]


def read_networks(option: Node, position: Position, *, single: bool) -> tuple[IpNetwork, ...]:
    """The networks that the constant text `option` names; `single`: one address. Raises
    PlanError."""
    if not isinstance(option, TextConst):
        hint = 'write it as text: ip == "192.0.2.1", ip in ("10.0.0.0/8", "::1")'
        message = f"an address compares with addresses, not with a {option.type}"
        raise plan_error("PP084", message, position, hint)
    try:
        networks = parse_networks(option.value.decode())
    except ValueError as error:
        hint = 'an address "192.0.2.1", "2001:db8::1", or a network "10.0.0.0/8"'
        raise plan_error("PP086", str(error), position, hint) from None
    if single and not (len(networks) == 1 and networks[0].is_single):
        text = option.value.decode()
        hint = f'write `ip in ("{text}",)`'
        raise plan_error("PP086", f"{text[:60]!r} is not one address", position, hint)
    return networks


def test_address(
    node: Node, networks: Sequence[IpNetwork], unfold: Unfold, position: Position
) -> Node:
    """Whether the address is in one of the networks; null where it cannot be read, or where its
    family has no IP addresses. Raises PlanError for what is no address."""
    return _by_words(node, unfold, position, lambda words: _test_words(words, networks))


def compare_addresses(left: Node, right: Node, unfold: Unfold, position: Position) -> Node:
    """Whether two addresses are one; null where one of them is. Raises PlanError for what is no
    address."""

    def compare_left(words: Words) -> Node:
        return _by_words(right, unfold, position, lambda others: _are_same(words, others))

    return _by_words(left, unfold, position, compare_left)


def _by_words(
    node: Node, unfold: Unfold, position: Position, test: Callable[[Words], Node]
) -> Node:
    """The outcome of `test` for the words that the address has at the event: of a family that only
    the event has, `test` is made for both."""
    node = unfold(node)
    match node:
        case ShownAs(value=value):
            return _by_words(value, unfold, position, test)
        case Either(test=condition, yes=yes, no=no):
            first, second = (_by_words(arm, unfold, position, test) for arm in (yes, no))
            return Either(condition, first, second, BOOL)
        case FamilyIp(family=family, v4=v4, v6=v6):
            is_v4 = Comparison("==", convert_node(family, U16), Const(AF_INET, U16))
            found = Either(is_v4, test(_load_words(v4, 1)), test(_load_words(v6, 4)), BOOL)
            return ValueWhere(family, IP_FAMILIES, found, BOOL)
        case SpanValue(type=Ip(version=0)) | NoteValue(type=Ip(version=0)):
            return _by_version(node, test)
        case Captured(type=Ip(version=0)):
            return _by_version(node, test)
    words = _words_of(node)
    if words is None:
        raise plan_error("PP084", f"a {node.type} is not compared with addresses", position)
    return test(words)


def _by_version(node: Node, test: Callable[[Words], Node]) -> Node:
    """Of an address that is kept: its version is before its words."""
    version, *words = (IpWord(node, index, U32) for index in range(5))
    is_v4 = Comparison("==", version, Const(4, U32))
    return Either(is_v4, test(words[:1]), test(words), BOOL)


def _words_of(node: Node) -> Words | None:
    """The words of an address of one version; None where they cannot be had."""
    kind = node.type
    count = 1 if kind == Ip(4) else 4
    match node:
        case IpOf(value=value) if isinstance(value.type, Pointer):
            return _load_words(value, count)
        case IpOf(value=value):
            return [value]
        case Load(base=base, offset=offset):
            return _load_words(base, count, offset)
        case Field() | SpanValue() | NoteValue() | Captured() if isinstance(kind, Ip):
            return [IpWord(node, index, U32) for index in range(count)]
        case _:
            return None


def _load_words(pointer: Node, count: int, offset: int = 0) -> Words:
    return [Load(pointer, offset + 4 * index, U32) for index in range(count)]


def _test_words(words: Words, networks: Sequence[IpNetwork]) -> Node:
    tests = [_test_network(words, network) for network in networks]
    return tests[0] if len(tests) == 1 else Combination("or", tuple(tests))


def _test_network(words: Words, network: IpNetwork) -> Node:
    is_v4 = len(network.address) == 4
    if len(words) == 1:
        return _compare_bits(words, network) if is_v4 else _never(words)
    if is_v4:
        return _both(_is_mapped(words), _compare_bits(words[3:], network))
    inside = _compare_bits(words, network)
    if not network.holds_mapped:
        return inside
    return _both(inside, Combination("not", (_is_mapped(words),)))


def _are_same(left: Words, right: Words) -> Node:
    """Whether two addresses are one; an IPv4 address that is mapped is that address."""
    if len(left) > len(right):
        left, right = right, left
    equal = [Comparison("==", *pair) for pair in zip(reversed(left), reversed(right), strict=False)]
    if len(left) < len(right):
        return _both(_is_mapped(right), equal[0])
    return equal[0] if len(equal) == 1 else Combination("and", tuple(equal))


def _is_mapped(words: Words) -> Node:
    wanted = (0, 0, _MAPPED_WORD)
    pairs = zip(words[:3], wanted, strict=True)
    tests = (Comparison("==", word, Const(value, U32)) for word, value in pairs)
    return Combination("and", tuple(tests))


def _both(first: Node, second: Node) -> Node:
    return Combination("and", (first, second))


def _never(words: Words) -> Node:
    """False, and null where the address is."""
    return Comparison("!=", _masked(words[0], 0), Const(0, U32))


def _compare_bits(words: Words, network: IpNetwork) -> Node:
    """The network's bits, word by word."""
    mask = ((1 << network.bits) - 1) << (8 * len(network.address) - network.bits)
    bits = mask.to_bytes(len(network.address))
    tests: list[Node] = []
    for index, word in enumerate(words):
        part = slice(4 * index, 4 * index + 4)
        wanted, kept = (int.from_bytes(side[part], "little") for side in (network.address, bits))
        if kept or index == 0:
            tests.append(Comparison("==", _masked(word, kept), Const(wanted, U32)))
    return tests[0] if len(tests) == 1 else Combination("and", tuple(tests))


def _masked(word: Node, mask: int) -> Node:
    if mask == (1 << 32) - 1:
        return word
    return Arithmetic("&", word, Const(mask, U32), U32)
