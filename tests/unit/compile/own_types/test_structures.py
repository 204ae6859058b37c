"""Structures that plans read, by debug information and by `types`, as gcc reads them."""

import random
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.compile.expressions.evaluate import evaluate
from orchestrator.compile.expressions.nodes import Address, LetRef, Load, Node, Register
from orchestrator.compile.expressions.types import U64, Bool, Int, wrap_integer
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Hook
from orchestrator.plan.load import load_plan
from tests.support.recorded import HEAD, recorded
from tests.support.structures import SIZE, Compiled, Member, compile_structure, structures

_START = 1 << 20  # the address of the memory that is read
_settings = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read_by_plan(made: Compiled, memory: bytes, types: str, names: Sequence[str]) -> list[int]:
    """What a plan reads of these names through the first argument, as 64 bits."""
    values = []
    for start in range(0, len(names), 16):
        fields = ", ".join(
            f"f{index}: 'cast(arg0, \"made\").{name}'"
            for index, name in enumerate(names[start : start + 16])
        )
        probe = f"probes: {{p: {{attach: 'uprobe:{made.library}:look', emit: {{{fields}}}}}}}"
        program = compile_plan(load_plan(f"{HEAD}{types}\n{probe}".encode()), recorded("6.1"))
        hook = program.hooks[0]
        values += [_evaluate(node, hook, memory) for node in hook.body.emit]
    return values


def _evaluate(node: Node, hook: Hook, memory: bytes) -> int:
    """The node with memory at _START, where the first argument points."""

    def leaf(part: Node) -> int | None:
        match part:
            case LetRef(index=index):
                return _evaluate(hook.body.lets[index].node, hook, memory)
            case Register():
                return _START
            case Address(base=base, offset=offset):
                return int(evaluate(base, leaf)) + offset
            case Load(base=base, offset=offset, type=Int(bits=bits) as kind):
                at = int(evaluate(base, leaf)) + offset - _START
                whole = int.from_bytes(memory[at : at + bits // 8], "little")
                width = part.bit_size or bits
                return wrap_integer(whole >> part.bit_offset, Int(width, kind.signed))
            case Load(base=base, offset=offset, type=Bool()):
                return memory[int(evaluate(base, leaf)) + offset - _START]
        return None

    value = evaluate(node, leaf)
    assert isinstance(value, int)
    return wrap_integer(value, U64)


def _fill(seed: int) -> bytes:
    """Memory of which each byte is 0 or 1 in its lowest bits now and then, as bools are."""
    return random.Random(seed).randbytes(SIZE)  # noqa: S311


def _without_bools(made: Compiled, members: tuple[Member, ...]) -> list[str]:
    """The names whose values are defined for any memory: a bool of C that is neither 0 nor 1 may
    be anything."""
    bools = {m.name for m in _list_all(members) if m.kind == "bool"}
    return [name for name in made.values if name.rpartition(".")[2].partition("[")[0] not in bools]


def _list_all(members: tuple[Member, ...]) -> list[Member]:
    return [one for m in members for one in (m, *_list_all(m.inner))]


@_settings
@given(structures(with_bits=True), st.integers(0, 1 << 32))
def test_members_are_read_as_gcc_reads_them_by_debug_information(
    tmp_path: Path, members: tuple[Member, ...], seed: int
) -> None:
    """Numbers, bit-fields, structures in structures, and the last elements of arrays."""
    memory = _fill(seed)
    made = compile_structure(members, memory, tmp_path)
    names = _without_bools(made, members)
    assert read_by_plan(made, memory, "", names) == [made.values[name] for name in names]


@_settings
@given(structures(with_bits=False), st.integers(0, 1 << 32))
def test_members_are_read_as_gcc_reads_them_where_a_plan_declares_them(
    tmp_path: Path, members: tuple[Member, ...], seed: int
) -> None:
    """With the offsets of the outermost ones alone: those in structures follow from gcc's layout
    of each, and sizes from their members."""
    memory = _fill(seed)
    made = compile_structure(members, memory, tmp_path)
    names = _without_bools(made, members)
    types = declare(members, made.offsets)
    assert read_by_plan(made, memory, types, names) == [made.values[name] for name in names]


def declare(members: tuple[Member, ...], offsets: dict[str, int]) -> str:
    """`types` of a plan: `made`, and a structure for each that is in it."""
    lines: list[str] = []

    def add(name: str, inner: tuple[Member, ...], at: dict[str, int]) -> None:
        parts = []
        for member in inner:
            kind = member.kind
            if member.inner:
                kind = f"{name}_{member.name}"
                add(kind, member.inner, lay_out(member.inner)[0])
            counts = "".join(f"[{count}]" for count in member.counts)
            parts.append(f'{member.name}: "{kind}{counts} at {at[member.name]}"')
        lines.append(f"  {name}: {{{', '.join(parts)}}}")

    add("made", members, offsets)
    return "types:\n" + "\n".join(lines)


def lay_out(members: tuple[Member, ...]) -> tuple[dict[str, int], int, int]:
    """Offsets of members by the System V ABI, and size and alignment of their structure."""
    at, most, offsets = 0, 1, {}
    for member in members:
        size, align = _measure(member)
        at = -(-at // align) * align
        offsets[member.name] = at
        for count in member.counts:
            size *= count
        at, most = at + size, max(most, align)
    return offsets, -(-at // most) * most, most


def _measure(member: Member) -> tuple[int, int]:
    if member.inner:
        return lay_out(member.inner)[1:]
    size = 1 if member.kind == "bool" else int(member.kind[1:]) // 8
    return size, size
