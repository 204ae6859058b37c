"""Attach points in user code: functions, offsets and USDT probes of files on this host."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.compile.expressions.arithmetic import convert_node
from orchestrator.compile.expressions.members import parse_type
from orchestrator.compile.expressions.nodes import Node, UsdtArg
from orchestrator.compile.expressions.types import U64, Bool, Int, Pointer, with_space
from orchestrator.compile.globs import is_glob, match_names
from orchestrator.compile.own_types.programs import ProgramCode
from orchestrator.compile.point import Point, parse_arguments, register_arguments
from orchestrator.compile.user_code.described import (
    NO_DEBUG_INFO,
    DescribedArguments,
    describe_return,
    describe_types,
)
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
    symbol, offset = _split_place(place)
    traits = KINDS[item.kind]
    found = _find_places(item, facts, path, symbol, offset)
    has_arguments = traits.has_arguments and not any(function.is_go for function in found)
    if item.args and traits.has_arguments and not has_arguments:
        raise _go_arguments_error(item, symbol)
    return tuple(_make_point(item, facts, function, place, has_arguments) for function in found)


def _make_point(
    item: AttachItem, facts: KernelFacts, function: "_Place", place: str, has_arguments: bool
) -> Point:
    """The point in one function of the name. Raises PlanError PP082, PP084."""
    traits, (symbol, offset) = KINDS[item.kind], _split_place(place)
    code = ProgramCode(
        path=function.path,
        identity=function.identity,
        symbol=symbol,
        address=function.address + offset,
    )
    types = describe_types(facts, code)
    known = facts if types is None else facts.with_own_types(types)
    describes = has_arguments and not (item.args or offset)
    returned = parse_type(known, item.returns, "user", item.position) if item.returns else _WORD
    arguments: Mapping[str, Node] = {}
    if describes:
        arguments = DescribedArguments(facts, code)
    elif has_arguments:
        arguments = parse_arguments(item, known, "user")
    return Point(
        kind=item.kind,
        label=f"{item.kind}:{function.path}:{place}",
        func=symbol,
        arguments=arguments,
        why_unnamed=NO_DEBUG_INFO if describes else "",
        positional=register_arguments("user") if has_arguments else lambda _index: None,
        retval=returned if traits.has_return else None,
        describe_return=lambda position: (
            None if item.returns or function.is_go else describe_return(facts, code, position)
        ),
        types=types,
        paired=traits.is_paired,
        symbol=symbol,
        path=function.path,
        identity=function.identity,
        offset=offset,
        file_offset=function.file_offset + offset,
    )


def _split_place(place: str) -> tuple[str, int]:
    """A function and an offset in it, of `SYMBOL` or `SYMBOL+OFFSET`."""
    symbol, _, offset = place.partition("+")
    return symbol, int(offset, 0) if offset else 0


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
    code = ProgramCode(path=binary, identity=probe.identity, symbol="", address=probe.address)
    types = describe_types(facts, code)
    known = facts if types is None else facts.with_own_types(types)
    return Point(
        kind="usdt",
        label=f"usdt:{binary}:{probe.provider}:{probe.name}",
        func=probe.name,
        arguments=_name_operands(item, known, operands),
        positional=lambda index: operands[index] if index < len(operands) else None,
        types=types,
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
