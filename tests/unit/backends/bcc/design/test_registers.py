"""Where arguments are when a probe is hit."""

import pytest

from orchestrator.backends.bcc.design.registers import (
    OperandAccess,
    find_argument,
    find_return,
    parse_operand,
)


@pytest.mark.parametrize(
    ("text", "arch", "operand"),
    [
        ("-4@%edi", "x86_64", OperandAccess(size=4, signed=True, register=14)),
        ("8@%rax", "x86_64", OperandAccess(size=8, signed=False, register=10)),
        ("1@%r10b", "x86_64", OperandAccess(size=1, signed=False, register=7)),
        ("2@%ax", "x86_64", OperandAccess(size=2, signed=False, register=10)),
        ("1@%dil", "x86_64", OperandAccess(size=1, signed=False, register=14)),
        ("4@$-5", "x86_64", OperandAccess(size=4, signed=False, constant=-5)),
        ("8@-8(%rbp)", "x86_64", OperandAccess(size=8, signed=False, base=4, displacement=-8)),
        ("8@(%rax,%rbx,4)", "x86_64",
         OperandAccess(size=8, signed=False, base=10, index=5, scale=4)),
        ("8@name(%rip)", "x86_64", None),
        ("-4@w3", "aarch64", OperandAccess(size=4, signed=True, register=3)),
        ("8@[sp, 16]", "aarch64", OperandAccess(size=8, signed=False, base=31, displacement=16)),
        ("-4@[x19]", "aarch64", OperandAccess(size=4, signed=True, base=19)),
        ("1@[x29, -24]", "aarch64",
         OperandAccess(size=1, signed=False, base=29, displacement=-24)),
        ("8@[x0, x1]", "aarch64", OperandAccess(size=8, signed=False, base=0, index=1)),
        ("8@[x2, x3, lsl 3]", "aarch64",
         OperandAccess(size=8, signed=False, base=2, index=3, scale=8)),
        ("8@[x2, x3, lsl 9]", "aarch64", None),
        ("8@[x2, w3, sxtw 3]", "aarch64", None),
        ("4@7", "aarch64", OperandAccess(size=4, signed=False, constant=7)),
        ("-8@xzr", "aarch64", OperandAccess(size=8, signed=True, constant=0)),
    ],
)  # fmt: skip
def test_operands_of_usdt_notes(text: str, arch: str, operand: OperandAccess | None) -> None:
    """Registers by any name, constants, memory; what we do not know is None."""
    assert parse_operand(text, arch) == operand


def test_arguments_beyond_the_registers_are_in_none() -> None:
    """Six on x86-64, eight on arm64; the first and the last by their index in struct pt_regs."""
    assert (find_argument("x86_64", 0), find_argument("x86_64", 5)) == (14, 8)
    assert (find_argument("aarch64", 0), find_argument("aarch64", 7)) == (0, 7)
    assert find_argument("x86_64", 6) is None
    assert find_argument("aarch64", 8) is None


def test_a_return_value_is_in_ax_or_x0() -> None:
    assert (find_return("x86_64"), find_return("aarch64")) == (10, 0)


@pytest.mark.parametrize("text", ["8@%zmm0", "8@(%nothing)", "3@%eax", "8@[q1]", ""])
def test_what_is_not_an_operand_is_none(text: str) -> None:
    """Unknown registers, as value or base, and sizes that no integer has."""
    assert parse_operand(text, "x86_64") is None
    assert parse_operand(text, "aarch64") is None
