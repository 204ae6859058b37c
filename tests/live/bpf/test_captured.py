"""Lists of strings and buffers as the kernel reads them: one program, compiled once, is run by the
kernel itself (BPF_PROG_TEST_RUN) on random memory of ours, and judged by what it ought to say."""

import ctypes
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.backends.bcc.attach.load import load_program
from orchestrator.backends.bcc.compiler.clang import compile_c
from orchestrator.backends.bcc.design.maps import MapSpec
from orchestrator.backends.bcc.emit.expressions import Expressions
from orchestrator.backends.bcc.emit.site import EmitSite
from orchestrator.backends.bcc.emit.writer import CWriter
from orchestrator.backends.bcc.handles.maps import Map, create_map
from orchestrator.compile.expressions.nodes import RawArg, ReadBytes, ReadStrings
from orchestrator.compile.expressions.types import S64, Buffer, Pointer, StringList, size_of
from orchestrator.output.forms import used_bytes
from tests.live.bpf.test_expressions import HOOK, MAP, RAW_TRACEPOINT, test_run

LIST, BUFFER = StringList(64), Buffer(40)
AT = {LIST: 8, BUFFER: 8 + size_of(LIST)}
VALUE = 8 + size_of(LIST) + size_of(BUFFER)
MOST_STEPS = 40 + 64 // 31
POINTER = RawArg(0, Pointer("user"))
test_run.__test__ = False  # type: ignore[attr-defined]  # it is BPF's word, not pytest's


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The program and the map that it writes: a word of bits (fault, cut of each), the values."""

    program: int
    kept: Map

    def read(self, pointer: int, length: int) -> tuple[list[tuple[bool, bool]], bytes, bytes]:
        """((fault, cut) of the list and of the buffer, the list, the buffer)."""
        test_run(self.program, [pointer, length])
        value = self.kept.lookup(struct.pack("<I", 0)) or b""
        bits = value[:4]
        flags = [(bool(bits[at]), bool(bits[at + 1])) for at in (0, 2)]
        return flags, value[AT[LIST] : AT[BUFFER]], value[AT[BUFFER] :]


@pytest.fixture(scope="module")
def loaded() -> Iterator[Loaded]:
    writer = CWriter(1)
    e = Expressions(EmitSite(hook=HOOK, side="hit", access="arguments", arch="x86_64"), writer)
    nodes: tuple[ReadStrings | ReadBytes, ...] = (
        ReadStrings(POINTER, LIST),
        ReadBytes(POINTER, RawArg(1, S64), BUFFER),
    )
    for number, node in enumerate(nodes):
        writer.line("fault = cut = 0;")
        e.store(node, f"value + {AT[node.type]}", size_of(node.type))
        writer.line(f"value[{2 * number}] = !!fault, value[{2 * number + 1}] = !!cut;")
    source = (
        "#include <probeplan/runtime.h>\nint run(unsigned long long *ctx)\n{\n"
        "\tu32 zero = 0, fault = 0, cut = 0;\n"
        f"\tchar *value = pp_map_lookup(PP_MAP({MAP}), &zero);\n"
        f"\tif (!value) return 0;\n{writer.text()}\treturn 0;\n}}\n"
    )
    kept = create_map(
        MapSpec(name="values", kind="array", key_size=4, value_size=VALUE, max_entries=1)
    )
    code = compile_c(source, ["run"])["run"]
    program = load_program(code, RAW_TRACEPOINT, name="captured", maps={MAP: kept.fd})
    try:
        yield Loaded(program=program, kept=kept)
    finally:
        os.close(program)
        kept.close()


def reported(strings: Sequence[bytes]) -> tuple[bytes, bool]:
    """The bytes of a list, by the book, and whether they are all: a step is a string's piece of 31
    bytes, or its end; a list ends in a separate step."""
    steps, text = 0, b""
    for string in strings:
        if steps == MOST_STEPS or len(text) >= LIST.size:
            return text[: LIST.size], True
        for start in range(0, len(string) + 1, 31):
            if steps == MOST_STEPS or len(text) >= LIST.size:
                return text[: LIST.size], True
            piece = string[start : start + 31]
            ends = len(string) - start < 31
            text += piece + (b"\0" if ends else b"")
            steps += 1
    whole = steps < MOST_STEPS and len(text) <= LIST.size
    return text[: LIST.size], not whole


texts = st.binary(max_size=80).map(lambda raw: raw.replace(b"\0", b"."))


@settings(max_examples=400, deadline=None)
@given(strings=st.lists(texts, max_size=8) | st.lists(texts.map(lambda t: t[:2]), max_size=60))
@example(strings=[b"x" * 31, b"y" * 30])
@example(strings=[b"x" * 31, b"y" * 31])
@example(strings=[b"x" * 62, b""])
@example(strings=[b""] * 40)
@example(strings=[b""] * 41)
@example(strings=[b""] * 42)
def test_lists_of_strings_are_read_as_they_are(loaded: Loaded, strings: list[bytes]) -> None:
    """Every string whole until there is no room, with pieces of all lengths; equal lists are equal
    bytes, also behind those in use."""
    pointers = (ctypes.c_char_p * (len(strings) + 1))(*strings, None)
    (flags, _), listed, _ = loaded.read(ctypes.addressof(pointers), 0)
    text, cut = reported(strings)
    assert (used_bytes(listed), flags) == (text, (False, cut))
    assert listed[4 + len(text) :].strip(b"\0") == b""


@settings(max_examples=200, deadline=None)
@given(
    raw=st.binary(max_size=64), length=st.integers(-2, 64) | st.sampled_from([2**63 - 1, -(2**63)])
)
def test_buffers_are_read_as_they_are(loaded: Loaded, raw: bytes, length: int) -> None:
    """As many bytes as asked for, at most those that there is room for, and none below 0."""
    memory = ctypes.create_string_buffer(raw.ljust(64, b"\1"), 64)
    (_, flags), _, kept = loaded.read(ctypes.addressof(memory), length)
    expected = raw.ljust(64, b"\1")[: max(0, min(length, BUFFER.size))]
    assert (used_bytes(kept), flags) == (expected, (False, length > BUFFER.size))
    assert kept[4 + len(expected) :].strip(b"\0") == b""


def test_what_is_not_there_faults(loaded: Loaded) -> None:
    """An array that is not mapped, a string of it that is not, a buffer."""
    flags, _, _ = loaded.read(8, 4)
    assert flags == [(True, False), (True, False)]
    pointers = (ctypes.c_void_p * 3)(ctypes.addressof(ctypes.create_string_buffer(b"a")), 8, 0)
    (flag, _), _, _ = loaded.read(ctypes.addressof(pointers), 0)
    assert flag == (True, False)
