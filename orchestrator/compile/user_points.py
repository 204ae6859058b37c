"""Attach points in user code: functions, offsets and USDT probes of files on this host."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from orchestrator.compile.expressions.arithmetic import convert_node
from orchestrator.compile.expressions.members import parse_type, scalar_type
from orchestrator.compile.expressions.nodes import Node, Register, UsdtArg
from orchestrator.compile.expressions.types import U64, Bool, Int, Pointer, with_space
from orchestrator.compile.globs import is_glob, match_names
from orchestrator.compile.own_types.programs import argument_types
from orchestrator.compile.own_types.table import OwnTypes
from orchestrator.compile.point import Point, parse_arguments, register_arguments
from orchestrator.kernel.abi.file_identity import FileIdentity
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.attach_kinds import KINDS
from orchestrator.plan.findings import PlanError, plan_error
from orchestrator.plan.model import AttachItem
from orchestrator.values import dataclass

if TYPE_CHECKING:
    from orchestrator.binaries.elf import ElfError
    from orchestrator.binaries.usdt import UsdtProbe

#: What a user function returns where the plan does not say: a number, or an address.
_WORD = with_space(U64, "user")
#: Names in files are whatever their makers wrote; globs match only those that a plan could spell.
_PLAIN_NAME = re.compile(r"[\w.$]{1,255}", re.ASCII)
_PLAIN_PROBE = re.compile(r"[\w-]{1,64}:[\w-]{1,128}", re.ASCII)
_ASSUMED_OPERAND, _MOST_OPERANDS = "8@$0", 12  # <sys/sdt.h> has macros for up to 12


def find_user_functions(item: AttachItem, facts: KernelFacts, limit: int) -> tuple[Point, ...]:
    """All functions of that name, or that match that glob, in a file, or an instruction in each.
    Raises PlanError PP080, PP081, PP088, PP094."""
    path, _, place = item.target.rpartition(":")
    if not is_glob(place):
        return _find_user_function(item, facts, path, place)
    names = _list_functions(item, facts, path, place, limit)
    found: dict[int, Point] = {}  # several names of one function are one attach point
    refused: PlanError | None = None
    for name in names:
        try:
            for point in _find_user_function(item, facts, path, name):
                found.setdefault(point.file_offset, point)
        except PlanError as error:  # what a glob matches and cannot be probed is passed over
            refused = refused or error
    if not found and refused is not None:
        raise refused
    return tuple(found.values())


def _list_functions(
    item: AttachItem, facts: KernelFacts, path: str, pattern: str, limit: int
) -> tuple[str, ...]:
    """The functions of a file that match; for a recorded kernel and a file that is missing on this
    machine, the pattern itself."""
    from orchestrator.binaries.elf import NoSuchBinaryError

    try:
        plain, _ = list_plain_functions(item, path)
    except PlanError as error:
        if facts.recorded and isinstance(error.__cause__, NoSuchBinaryError):
            return (pattern,)
        raise
    return match_names(item, plain, limit, "functions", pattern)


def list_plain_functions(item: AttachItem, path: str) -> tuple[tuple[str, ...], int]:
    """The functions of a file that a plan can spell, and how many others there are. Raises
    PlanError PP080."""
    from orchestrator.binaries import elf

    try:
        names = elf.function_names(elf.resolve_binary(path))
    except elf.ElfError as error:
        raise _error_from_elf(error, item) from error
    plain = tuple(filter(_PLAIN_NAME.fullmatch, names))
    return plain, len(names) - len(plain)


def list_plain_probes(item: AttachItem, path: str) -> tuple[tuple[str, ...], int]:
    """The USDT probes of a file, PROVIDER:NAME, that a plan can spell, and how many others there
    are. Raises PlanError PP080."""
    from orchestrator.binaries import elf, usdt

    try:
        probes = usdt.usdt_probes(elf.resolve_binary(path))
    except elf.ElfError as error:
        raise _error_from_elf(error, item) from error
    names = {f"{probe.provider}:{probe.name}" for probe in probes}
    plain = tuple(filter(_PLAIN_PROBE.fullmatch, names))
    return plain, len(names) - len(plain)


def _find_user_function(
    item: AttachItem, facts: KernelFacts, path: str, place: str
) -> tuple[Point, ...]:
    symbol, _, offset_text = place.partition("+")
    offset = int(offset_text, 0) if offset_text else 0
    traits = KINDS[item.kind]
    found = _find_places(item, facts, path, symbol, offset)
    has_arguments = traits.has_arguments and not any(function.is_go for function in found)
    if item.args and traits.has_arguments and not has_arguments:
        raise _go_arguments_error(item, symbol)
    spelled = parse_arguments(item, facts, "user") if has_arguments else {}
    describes = has_arguments and not (item.args or offset)
    returned = parse_type(facts, item.returns, "user", item.position) if item.returns else _WORD
    return tuple(
        Point(
            kind=item.kind,
            label=f"{item.kind}:{function.path}:{place}",
            func=symbol,
            arguments=_DebugArguments(facts, function, symbol) if describes else spelled,
            why_unnamed=_NO_DEBUG_INFO if describes else "",
            positional=register_arguments("user") if has_arguments else lambda _index: None,
            retval=returned if traits.has_return else None,
            paired=traits.is_paired,
            symbol=symbol,
            path=function.path,
            identity=function.identity,
            offset=offset,
            file_offset=function.file_offset + offset,
        )
        for function in found
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A function in a file; `identity` None: the file is not on this host. `address`: as linked."""

    path: str
    address: int = 0
    identity: FileIdentity | None = None
    file_offset: int = 0
    is_go: bool = False


def _find_places(
    item: AttachItem, facts: KernelFacts, path: str, symbol: str, offset: int
) -> tuple[_Place, ...]:
    """The functions of that name; for a recorded kernel, a binary that is missing on this machine
    is accepted as written, since it belongs to the recorded host."""
    from orchestrator.binaries import elf

    safe_return = KINDS[item.kind].has_return and not item.unsafe_return
    try:
        found = elf.find_symbols(elf.resolve_binary(path), symbol, offset, safe_return=safe_return)
    except elf.NoSuchBinaryError as error:
        if facts.recorded:
            return (_Place(path=path),)
        raise _error_from_elf(error, item) from None
    except elf.ElfError as error:
        raise _error_from_elf(error, item) from None
    return tuple(
        _Place(
            path=str(one.path),
            address=one.address,
            identity=one.identity,
            file_offset=one.file_offset,
            is_go=one.is_go,
        )
        for one in found
    )


#: pyelftools is the extra `debuginfo`, without which no debug information is read.
_NO_DEBUG_INFO = (
    "spell them: `args: {name: u64}`; or install the program's debug package, and pyelftools to "
    "read it"
)


class _DebugArguments(Mapping[str, Node]):
    """`args.NAME` of a function by the debug information of its file, which is read when the first
    of them is asked for: that takes up to a second, and most plans name no argument."""

    def __init__(self, facts: KernelFacts, place: _Place, symbol: str) -> None:
        self._facts, self._place, self._symbol = facts, place, symbol

    def __getitem__(self, name: str) -> Node:
        return self._nodes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    @cached_property
    def _nodes(self) -> Mapping[str, Node]:
        table = self._facts.own_types
        if not isinstance(table, OwnTypes) or self._place.identity is None:
            return {}
        place = self._place
        found = argument_types(table, place.path, place.identity, self._symbol, place.address)
        nodes: dict[str, Node] = {}
        for name, (register, type_id) in found.items():
            kind = scalar_type(table.type(type_id), table, type_id, "user")
            if isinstance(kind, Pointer):
                kind = Pointer("user", kind.target, assumed=True)
            if kind is not None:
                nodes[name] = Register(register, kind, name)
        return nodes


def _go_arguments_error(item: AttachItem, symbol: str) -> PlanError:
    return plan_error(
        "PP088",
        f"{symbol!r} is a function of Go, which has its own way to pass arguments",
        item.position,
        "leave out `args`",
    )


def _error_from_elf(error: "ElfError", item: AttachItem) -> PlanError:
    from orchestrator.binaries.elf import IfuncError, InstructionError, ReturnHazardError

    unsafe = isinstance(error, IfuncError | InstructionError | ReturnHazardError)
    code = "PP081" if unsafe else "PP080"
    return plan_error(code, str(error), item.position, error.hint)


def find_usdt_probes(item: AttachItem, facts: KernelFacts, limit: int) -> tuple[Point, ...]:
    """All places of a USDT probe, or of those that match a glob. For a recorded kernel, a file that
    is missing on this machine is accepted as written. Raises PlanError PP080, PP094."""
    from orchestrator.binaries import elf, usdt

    path, provider, name = item.target.rsplit(":", 2)
    try:
        binary = elf.resolve_binary(path)
        if not is_glob(provider + name):
            chosen = usdt.usdt_probes(binary, provider, name)
        else:
            probes = {f"{p.provider}:{p.name}": p for p in usdt.usdt_probes(binary)}
            plain = (name for name in probes if _PLAIN_PROBE.fullmatch(name))
            names = match_names(item, plain, limit, "USDT probes", f"{provider}:{name}")
            chosen = tuple(
                p for p in usdt.usdt_probes(binary) if f"{p.provider}:{p.name}" in set(names)
            )
    except elf.NoSuchBinaryError as error:
        if facts.recorded:
            return (_assume_usdt_point(item, facts, path, provider, name),)
        raise _error_from_elf(error, item) from None
    except elf.ElfError as error:
        raise _error_from_elf(error, item) from None
    return tuple(_make_usdt_point(item, facts, str(binary), probe) for probe in chosen)


def _assume_usdt_point(
    item: AttachItem, facts: KernelFacts, path: str, provider: str, name: str
) -> Point:
    """A USDT probe of a file that only the recorded host has: with as many operands as it takes."""
    operands = [UsdtArg(index, _ASSUMED_OPERAND, _WORD) for index in range(_MOST_OPERANDS)]
    return Point(
        kind="usdt",
        label=f"usdt:{path}:{provider}:{name}",
        func=name,
        arguments=_name_operands(item, facts, operands),
        positional=lambda index: operands[index] if index < len(operands) else None,
        symbol=f"{provider}:{name}",
        path=path,
    )


def _make_usdt_point(
    item: AttachItem, facts: KernelFacts, binary: str, probe: "UsdtProbe"
) -> Point:
    """One place of a USDT probe; the compiler may have placed several, with different operands."""
    operands = tuple(
        UsdtArg(index, operand.text, with_space(Int(operand.size * 8, operand.signed), "user"))
        for index, operand in enumerate(probe.arguments)
    )
    return Point(
        kind="usdt",
        label=f"usdt:{binary}:{probe.provider}:{probe.name}",
        func=probe.name,
        arguments=_name_operands(item, facts, operands),
        positional=lambda index: operands[index] if index < len(operands) else None,
        symbol=f"{probe.provider}:{probe.name}",
        path=binary,
        identity=probe.identity,
        file_offset=probe.file_offset,
        semaphore=probe.semaphore_offset or 0,
    )


def _name_operands(
    item: AttachItem, facts: KernelFacts, operands: Sequence[UsdtArg]
) -> dict[str, Node]:
    """`args.NAME`, which the plan names by position, in the types that it gives them. Raises
    PlanError PP084."""
    if len(item.args) > len(operands):
        raise plan_error(
            "PP084",
            f"{len(item.args)} arguments are named; the probe {item.target!r} has {len(operands)}",
            item.position,
            "`args` names them by position, from the first",
        )
    named: dict[str, Node] = {}
    for (name, text), operand in zip(item.args.items(), operands, strict=False):
        kind = parse_type(facts, text, "user", item.position)
        assert isinstance(kind, Int | Bool | Pointer)  # parse_type knows no others
        named[name] = convert_node(operand, kind)
    return named
