"""Addresses compared with constant ones: masked compares of both families, as nodes that all
backends and the evaluator know.

An IPv4 address that is mapped into IPv6, as sockets of IPv6 have it, is that IPv4 address; and no
network of IPv6 but one that is mapped itself has it in it.
"""

from collections.abc import Callable, Sequence

from orchestrator.compile.expressions.arithmetic import convert_node
from orchestrator.compile.expressions.nodes import (
    Arithmetic,
    Combination,
    Comparison,
    Const,
    Either,
    FamilyIp,
    FamilyPort,
    Field,
    IpOf,
    IpWord,
    Load,
    Node,
    NoteValue,
    ShownAs,
    SpanValue,
    TextConst,
)
from orchestrator.compile.expressions.types import BOOL, U16, U32, Ip, Pointer
from orchestrator.plan.expression.networks import IpNetwork, parse_networks
from orchestrator.plan.findings import Position, plan_error

__all__ = ["read_networks", "test_address"]

_AF_INET = 2  # include/linux/socket.h
_MAPPED_WORD = int.from_bytes(b"\0\0\xff\xff", "little")
#: From a node that is a definition to what it stands for.
Unfold = Callable[[Node], Node]


def read_networks(option: Node, position: Position, *, single: bool) -> tuple[IpNetwork, ...]:
    """The networks that the constant text `option` names; `single`: one address. Raises
    PlanError."""
    if not isinstance(option, TextConst):
        hint = 'write it as text: ip == "192.0.2.1", ip in ("10.0.0.0/8", "::1")'
        message = f"an address compares with constant ones, not with a {option.type}"
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
    family has no IP addresses. Raises PlanError for one that is kept as a whole."""
    node = unfold(node)
    match node:
        case ShownAs(value=value):
            return test_address(value, networks, unfold, position)
        case Either(test=test, yes=yes, no=no):
            first, second = (test_address(arm, networks, unfold, position) for arm in (yes, no))
            return Either(test, first, second, BOOL)
        case FamilyIp(family=family, v4=v4, v6=v6):
            return _test_by_family(family, _load_words(v4, 1), _load_words(v6, 4), networks)
        case SpanValue():
            message = "an address that a span keeps as a whole is not compared"
            hint = "compare it in the probe: `let: {inside: …}`, and name that: start.inside"
            raise plan_error("PP084", message, position, hint)
        case NoteValue():
            message = "an address that a note keeps as a whole is not compared"
            hint = "compare it where it is set: `keep: {inside: …}`, and read note.NAME.inside"
            raise plan_error("PP084", message, position, hint)
    words = _words_of(node)
    if words is None:
        raise plan_error("PP084", f"a {node.type} is not compared with addresses", position)
    return _test_words(words, networks)


def _test_by_family(
    family: Node, v4: Sequence[Node], v6: Sequence[Node], networks: Sequence[IpNetwork]
) -> Node:
    """Null for other families, as the address is."""
    number = convert_node(family, U16)
    is_v4 = Comparison("==", number, Const(_AF_INET, U16))
    inside = Either(is_v4, _test_words(v4, networks), _test_words(v6, networks), BOOL)
    return Comparison("!=", FamilyPort(family, convert_node(inside, U16), U16), Const(0, U16))


def _words_of(node: Node) -> list[Node] | None:
    """The 32-bit words of an address as they are in memory; None where they cannot be had."""
    kind = node.type
    count = 1 if kind == Ip(4) else 4
    match node:
        case IpOf(value=value) if isinstance(value.type, Pointer):
            return _load_words(value, count)
        case IpOf(value=value):
            return [value]
        case Load(base=base, offset=offset):
            return _load_words(base, count, offset)
        case Field() if isinstance(kind, Ip) and kind.version:
            return [IpWord(node, index, U32) for index in range(count)]
        case _:
            return None


def _load_words(pointer: Node, count: int, offset: int = 0) -> list[Node]:
    return [Load(pointer, offset + 4 * index, U32) for index in range(count)]


def _test_words(words: Sequence[Node], networks: Sequence[IpNetwork]) -> Node:
    tests = [_test_network(words, network) for network in networks]
    return tests[0] if len(tests) == 1 else Combination("or", tuple(tests))


def _test_network(words: Sequence[Node], network: IpNetwork) -> Node:
    is_v4 = len(network.address) == 4
    if len(words) == 1:
        return _compare_bits(words, network) if is_v4 else _never(words)
    if is_v4:
        return _both(_is_mapped(words), _compare_bits(words[3:], network))
    inside = _compare_bits(words, network)
    if not network.holds_mapped:
        return inside
    return _both(inside, Combination("not", (_is_mapped(words),)))


def _is_mapped(words: Sequence[Node]) -> Node:
    wanted = (0, 0, _MAPPED_WORD)
    pairs = zip(words[:3], wanted, strict=True)
    tests = (Comparison("==", word, Const(value, U32)) for word, value in pairs)
    return Combination("and", tuple(tests))


def _both(first: Node, second: Node) -> Node:
    return Combination("and", (first, second))


def _never(words: Sequence[Node]) -> Node:
    """False, and null where the address is."""
    return Comparison("!=", _masked(words[0], 0), Const(0, U32))


def _compare_bits(words: Sequence[Node], network: IpNetwork) -> Node:
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
