"""Programs for other hosts: compiled twice, and equal but for their open numbers."""

import struct

import pytest

from orchestrator.backends.bcc.compiler import checked, clang
from orchestrator.backends.bcc.compiler.clang import PRELUDE
from orchestrator.backends.bcc.compiler.places import OpenProgram, fill_program
from orchestrator.backends.protocol import OpenNumber

TEXT = f"{PRELUDE}int f(unsigned long long *ctx) {{ return PP_NUMBER(0) + ctx[1]; }}\n"
NUMBERS = (OpenNumber(name="n", value=0x1234567890),)


def compile_checked() -> OpenProgram:
    return check(TEXT, ["f"])


def check(text: str, functions: list[str]) -> OpenProgram:
    [program] = checked.compile_checked(
        [checked.OpenText(text=text, functions=functions, arch="x86_64")]
    )
    return program


def test_a_checked_program_is_that_of_a_host_with_zeros_at_its_places() -> None:
    program, of_host = compile_checked(), clang.compile_open(TEXT, ["f"])
    assert program.places == of_host.places != ()
    assert fill_program(program, NUMBERS) == fill_program(of_host, NUMBERS)
    assert fill_program(program, [OpenNumber(name="n", value=0)]) == program.code


@pytest.mark.parametrize("damage", ["elsewhere", "place"])
def test_a_program_that_differs_elsewhere_than_at_its_places_is_refused(damage, monkeypatch):
    """An instruction that depends on the placeholders, and a place that only one of them has."""
    compile_texts = clang.compile_texts

    def compile_with_fault(texts):
        first, second = compile_texts(texts)
        code = bytearray(second["f"])
        if damage == "elsewhere":
            code[-16:-8] = struct.pack("=BBhi", 0x07, 0, 0, 77)
        else:
            at = next(i for i in range(0, len(code), 8) if code[i] == 0x18)
            code[at + 4 : at + 8] = bytes(4)
        return [first, {"f": bytes(code)}]

    monkeypatch.setenv("PROBEPLAN_CACHE", "off")
    monkeypatch.setattr(clang, "compile_texts", compile_with_fault)
    with pytest.raises(
        clang.CompileError, match=r"differs elsewhere than at its open numbers in f"
    ):
        compile_checked()


def test_what_was_checked_is_kept_apart_from_what_was_compiled_once(monkeypatch) -> None:
    """A program in the host's cache was not compared; one that was compared is not made again."""
    text = TEXT.replace("f(", "kept(")
    runs = []
    compile_texts = clang.compile_texts
    monkeypatch.setattr(
        clang, "compile_texts", lambda *args: runs.append(len(args[0])) or compile_texts(*args)
    )
    clang.compile_kept(text, ["kept"], "x86_64")
    first = check(text, ["kept"])
    assert runs[-1] == 2
    count = len(runs)
    assert check(text, ["kept"]) == first
    assert len(runs) == count


def test_several_texts_are_compiled_by_one_child_and_one_without_open_numbers_once(monkeypatch):
    runs = []
    compile_texts = clang.compile_texts
    monkeypatch.setenv("PROBEPLAN_CACHE", "off")
    monkeypatch.setattr(
        clang, "compile_texts", lambda texts: runs.append(len(texts)) or compile_texts(texts)
    )
    literal = f"{PRELUDE}int g(unsigned long long *ctx) {{ return 0x12345; }}\n"
    first, second = checked.compile_checked(
        [
            checked.OpenText(text=TEXT, functions=["f"], arch="x86_64"),
            checked.OpenText(text=literal, functions=["g"], arch="x86_64", is_open=False),
        ]
    )
    assert runs == [3]
    assert first == compile_checked()
    assert second.places == ()
    assert second.code == clang.compile_open(literal, ["g"]).code
