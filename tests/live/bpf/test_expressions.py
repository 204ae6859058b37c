"""The kernel computes expressions as the reference evaluator does: random expressions, compiled to
BPF by our generator, are run by the kernel itself (BPF_PROG_TEST_RUN) on random arguments."""

import ctypes
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.backends.bcc.attach.load import load_program
from orchestrator.backends.bcc.compiler.clang import compile_c
from orchestrator.backends.bcc.design.maps import MapSpec
from orchestrator.backends.bcc.emit.expressions import Expressions
from orchestrator.backends.bcc.emit.open_numbers import OpenNumbers
from orchestrator.backends.bcc.emit.site import EmitSite
from orchestrator.backends.bcc.emit.writer import CWriter
from orchestrator.backends.bcc.handles.maps import create_map
from orchestrator.compile.expressions.evaluate import EvaluationCounts, evaluate
from orchestrator.compile.expressions.nodes import Load, Node, RawArg, transform
from orchestrator.compile.expressions.types import Int, Pointer
from orchestrator.compile.program import Body, Hook
from orchestrator.kernel.abi import bpf_call
from orchestrator.kernel.facts import KernelFacts, live_facts
from orchestrator.plan.findings import NOWHERE
from tests.support.expressions import ARGUMENTS, argument_values, expressions, typed

RAW_TRACEPOINT = 17  # BPF_PROG_TYPE_RAW_TRACEPOINT, include/uapi/linux/bpf.h
TEST_RUN = 10  # BPF_PROG_TEST_RUN
A_PROGRAM = 5  # expressions in one program: some reach a thousand instructions
MAP = 1001

HOOK = Hook(
    id=0, probe=0, kind="rawtracepoint", label="test", position=NOWHERE,
    body=Body(lets=(), where=(), emit=(), metrics=()),
)  # fmt: skip
HEAD = """#include <probeplan/runtime.h>
struct ledger { u64 division_by_zero, value[16]; };
"""


def function(number: int, nodes: Sequence[Node], numbers: OpenNumbers) -> str:
    """A program that leaves each node's value in the map. The numbers of the arguments are open."""
    writer = CWriter(1)
    site = EmitSite(hook=HOOK, side="hit", access="arguments", arch="x86_64", numbers=numbers)
    computing = Expressions(site, writer)
    for index, node in enumerate(nodes):
        writer.line(f"ledger->value[{index}] = (u64)({computing.number(node)});")
    return (
        f"int run{number}(unsigned long long *ctx)\n{{\n\tu32 zero = 0, fault = 0;\n"
        f"\tstruct ledger *ledger = pp_map_lookup(PP_MAP({MAP}), &zero);\n"
        f"\tif (!ledger) return 0;\n{writer.text()}\treturn 0;\n}}\n"
    )


def test_run(program: int, arguments: Sequence[int]) -> None:
    """Run a raw tracepoint program once with these arguments as its context."""
    context = ctypes.create_string_buffer(b"".join(struct.pack("<Q", a % 2**64) for a in arguments))
    # struct { prog_fd, retval, data sizes, data, repeat, duration, ctx sizes, ctx, flags, cpu, … }
    attributes = struct.pack(
        "<IIIIQQIIIIQQIII4x", program, 0, 0, 0, 0, 0, 0, 0,
        len(context) - 1, 0, ctypes.addressof(context), 0, 0, 0, 0,
    )  # fmt: skip
    bpf_call.call_bpf(TEST_RUN, bytearray(attributes))


test_run.__test__ = False  # type: ignore[attr-defined]  # it is BPF's word, not pytest's


@pytest.fixture(scope="module")
def live() -> KernelFacts:
    return live_facts()


@settings(
    max_examples=12, deadline=None, suppress_health_check=list(HealthCheck),
    phases=[p for p in settings.get_profile("default").phases if p.name != "shrink"],
)  # fmt: skip
@given(st.lists(expressions, min_size=30, max_size=30), argument_values)
def test_bpf_agrees_with_the_reference_evaluator(
    live: KernelFacts, texts: list[str], values: dict[str, int]
) -> None:
    """Values and the number of divisions by zero are the same, expression by expression; and so
    they are where the context has the arguments in another order, by the same compiled program with
    other numbers in it."""
    nodes = [named_arguments(typed(text, live)) for text in texts]
    chunks = [nodes[i : i + A_PROGRAM] for i in range(0, len(nodes), A_PROGRAM)]
    source, programs = compiled(chunks)
    mirrored, of_mirrored = compiled([list(map(mirror_arguments, chunk)) for chunk in chunks])
    assert mirrored == source
    leaves = {leaf: values[name] for name, leaf in ARGUMENTS.items()}
    arguments = [values[name] for name in ARGUMENTS]
    for number, chunk in enumerate(chunks):
        found, by_zero = run(programs[f"run{number}"], arguments)
        assert (found, by_zero) == run(of_mirrored[f"run{number}"], arguments[::-1])
        tally = EvaluationCounts()
        expected = [int(evaluate(node, leaves, tally=tally)) % 2**64 for node in chunk]
        start = number * A_PROGRAM
        assert dict(zip(texts[start:], found[: len(chunk)], strict=False)) == dict(
            zip(texts[start:], expected, strict=False)
        ), values
        assert by_zero == tally.division_by_zero, (texts[start : start + A_PROGRAM], values)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("args.a_u64 if args.a_s8 else args.a_s64", 7),
        ("(args.a_u64 if args.a_s8 > 5 else args.a_s64) + 1", 9),
        ("args.a_u64 + 1 if args.a_s8 else args.a_u64 + 2 if args.a_s16 else args.a_s64", 8),
    ],
)
def test_arms_of_a_conditional_may_both_read_the_context(
    live: KernelFacts, text: str, value: int
) -> None:
    """The verifier takes no load from a context pointer that was chosen before."""
    program = compiled([[typed(text, live)]])[1]["run0"]
    arguments = {"a_u64": 7, "a_s8": 1, "a_s64": 8, "a_s16": 1}
    found, _ = run(program, [arguments.get(name, 0) for name in ARGUMENTS])
    assert found[0] == value


# ---------------------------------------------------------------- structures


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the pointer to the structure is among the arguments, and the structure's members by
    the names of ARGUMENTS; only every second argument has become a member."""

    pointer: int
    members: Mapping[str, int]
    size: int

    def read_from(self, node: Node) -> Node:
        """The node with its arguments where this layout has them."""
        names = {leaf: name for name, leaf in ARGUMENTS.items()}
        structure = RawArg(self.pointer, Pointer("user"), "p")

        def change(part: Node) -> Node:
            if not isinstance(part, RawArg):
                return part
            name = names[part]
            if name not in self.members:
                return replace(part, index=part.index + (self.pointer == 0), name=name)
            return Load(structure, self.members[name], part.type, member=f"s.{name}")

        return transform(node, change)

    def lay_out(self, values: Mapping[str, int]) -> tuple[list[int], "ctypes.Array[ctypes.c_char]"]:
        """The arguments, and the structure that one of them points to."""
        content = bytearray(b"\xa5" * self.size)
        for name, offset in self.members.items():
            kind = ARGUMENTS[name].type
            assert isinstance(kind, Int)
            pattern = (values[name] % 2**64).to_bytes(8, "little")[: kind.bits // 8]
            content[offset : offset + len(pattern)] = pattern
        structure = ctypes.create_string_buffer(bytes(content), self.size)
        arguments = [values[name] for name in ARGUMENTS]
        arguments.insert(self.pointer, ctypes.addressof(structure))
        return arguments, structure


_MEMBERS = list(ARGUMENTS)[::2]
LAYOUTS = (
    Layout(pointer=0, members={name: 16 * n for n, name in enumerate(_MEMBERS)}, size=256),
    Layout(
        pointer=len(ARGUMENTS),
        members={name: 5000 - 24 * n for n, name in enumerate(_MEMBERS)},
        size=8192,
    ),
)


@settings(
    max_examples=5, deadline=None, suppress_health_check=list(HealthCheck),
    phases=[p for p in settings.get_profile("default").phases if p.name != "shrink"],
)  # fmt: skip
@given(st.lists(expressions, min_size=15, max_size=15), argument_values)
def test_filled_programs_agree_with_those_whose_numbers_are_written_out(
    live: KernelFacts, texts: list[str], values: dict[str, int]
) -> None:
    """One program with the offsets of either layout computes what the one written for that layout
    does, and what the expressions mean."""
    nodes = [typed(text, live) for text in texts]
    leaves = {leaf: values[name] for name, leaf in ARGUMENTS.items()}
    expected = [int(evaluate(node, leaves)) % 2**64 for node in nodes]
    sources = set()
    for layout in LAYOUTS:
        there = [layout.read_from(node) for node in nodes]
        chunks = [there[i : i + A_PROGRAM] for i in range(0, len(there), A_PROGRAM)]
        source, filled = compiled(chunks)
        _, literal = compiled(chunks, literal=True)
        sources.add(source)
        arguments, _structure = layout.lay_out(values)
        of_filled, of_literal = (
            [value for name in code for value in run(code[name], arguments)[0][:A_PROGRAM]]
            for code in (filled, literal)
        )
        assert dict(zip(texts, of_filled, strict=True)) == dict(
            zip(texts, expected, strict=True)
        ), values
        assert of_literal == of_filled
    assert len(sources) == 1


# ---------------------------------------------------------------- arguments


def named_arguments(node: Node) -> Node:
    """The node with arguments that are known by their names, and so may be in any place."""
    names = {leaf: name for name, leaf in ARGUMENTS.items()}
    return transform(
        node, lambda part: replace(part, name=names[part]) if isinstance(part, RawArg) else part
    )


def mirror_arguments(node: Node) -> Node:
    """The node for a context that has its arguments in the opposite order."""
    last = len(ARGUMENTS) - 1
    return transform(
        node,
        lambda part: replace(part, index=last - part.index) if isinstance(part, RawArg) else part,
    )


def compiled(
    chunks: Sequence[Sequence[Node]], *, literal: bool = False
) -> tuple[str, dict[str, bytes]]:
    """The text with one function a chunk, and its instructions with the numbers in them; `literal`:
    the text has them already."""
    numbers = OpenNumbers(literal=literal)
    source = HEAD + "".join(function(i, chunk, numbers) for i, chunk in enumerate(chunks))
    names = [f"run{i}" for i in range(len(chunks))]
    return source, compile_c(source, names, numbers.list_numbers())


def run(instructions: bytes, arguments: list[int]) -> tuple[list[int], int]:
    """(the map's values, divisions by zero) after one run."""
    kept = create_map(
        MapSpec(name="values", kind="array", key_size=4, value_size=136, max_entries=1)
    )
    try:
        program = load_program(
            instructions, RAW_TRACEPOINT, name="expressions", maps={MAP: kept.fd}
        )
        try:
            test_run(program, arguments)
        finally:
            os.close(program)
        by_zero, *values = struct.unpack("<17Q", kept.lookup(struct.pack("<I", 0)) or b"")
        return values, by_zero
    finally:
        kept.close()
