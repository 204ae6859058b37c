"""Tests of strings in C: constants are decided here, long texts are refused."""

import pytest

from orchestrator.backends.bcc.emit.expressions import Expressions
from orchestrator.backends.bcc.emit.site import EmitError, EmitSite
from orchestrator.backends.bcc.emit.strings import words_of
from orchestrator.backends.bcc.emit.writer import CWriter
from orchestrator.compile.expressions.nodes import Const, Either, StringTest, TextConst
from orchestrator.compile.expressions.types import BOOL, Str
from tests.support.bcc_maps import recorded_program

PLAN = (
    "probes: {p: {attach: 'syscall:openat', where: \"str(args.filename, 200) == 'x'\", emit: {}}}"
)


def emitted(node: StringTest) -> str:
    """The C of a test at the hook of PLAN."""
    [hook] = recorded_program(PLAN).hooks
    site = EmitSite(hook=hook, side="hit", access="record", arch="x86_64", record=hook.tracepoint)
    return Expressions(site, CWriter()).number(node)


def text_test(op: str, value: bytes, text: bytes) -> StringTest:
    return StringTest(op, TextConst(value, Str(32)), text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("op", "holds", "fails"),
    [("equal", b"abc", b"ab"), ("prefix", b"ab", b"b"), ("suffix", b"bc", b"ab"),
     ("contains", b"b", b"ac")],
)  # fmt: skip
def test_a_test_of_a_constant_is_decided_here(op: str, holds: bytes, fails: bytes) -> None:
    assert emitted(text_test(op, b"abc", holds)) == "1"
    assert emitted(text_test(op, b"abc", fails)) == "0"


def test_both_arms_of_a_conditional_are_tested() -> None:
    arms = (TextConst(b"ab", Str(32)), TextConst(b"b", Str(32)))
    either = Either(Const(1, BOOL), *arms, Str(32))
    assert emitted(StringTest("prefix", either, b"a")).endswith(" ? 1 : 0)")


def string_of_plan() -> StringTest:
    """The plan's own test, of a string in user memory."""
    [hook] = recorded_program(PLAN).hooks
    [node] = hook.body.where
    assert isinstance(node, StringTest)
    return node


def test_a_text_longer_than_the_string_never_holds() -> None:
    node = string_of_plan()
    assert emitted(StringTest(node.op, node.string, b"x" * 4096)) == "0"


@pytest.mark.parametrize(("op", "most"), [("equal", 128), ("contains", 16)])
def test_a_text_that_the_bpf_stack_cannot_hold_is_refused(op: str, most: int) -> None:
    string = string_of_plan().string
    ops: dict[str, StringTest] = {
        text: StringTest(op, string, b"x" * size)  # type: ignore[arg-type]
        for text, size in (("fits", most), ("longer", most + 1))
    }
    size = string.type.size  # type: ignore[union-attr]
    assert size > most + 1
    assert "x" not in emitted(ops["fits"]).replace("0x", "")
    with pytest.raises(EmitError, match=str(most)):
        emitted(ops["longer"])


def test_a_text_is_words_with_masks_of_its_bytes() -> None:
    """Little-endian; the last word has only the bytes that are left."""
    assert words_of(b"\1\2") == [(0x0201, 0xFFFF)]
    assert words_of(b"\0" * 8 + b"\3") == [(0, (1 << 64) - 1), (3, 0xFF)]
