"""Arguments of USDT probes, as their notes spell them."""

import pytest

from orchestrator.binaries.usdt import UsdtOperand, parse_arguments


@pytest.mark.parametrize(
    ("text", "operand"),
    [
        (
            "-4@%edi",
            UsdtOperand(kind="register", size=4, signed=True, text="-4@%edi", register="di"),
        ),
        (
            "8@-16(%rbp)",
            UsdtOperand(
                kind="memory", size=8, signed=False, text="8@-16(%rbp)", register="bp", value=-16
            ),
        ),
        ("4@$5", UsdtOperand(kind="constant", size=4, signed=False, text="4@$5", value=5)),
        (
            "1@%r8b",
            UsdtOperand(kind="register", size=1, signed=False, text="1@%r8b", register="r8"),
        ),
        ("8f@%xmm0", UsdtOperand(kind="unsupported", size=8, signed=False, text="8f@%xmm0")),
        (
            "8@symbol(%rip)",
            UsdtOperand(kind="unsupported", size=8, signed=False, text="8@symbol(%rip)"),
        ),
    ],
)
def test_an_operand_is_where_the_compiler_left_it(text: str, operand: UsdtOperand) -> None:
    """A size below zero marks a signed value; what cannot be read is kept as text."""
    assert parse_arguments(text) == (operand,)


def test_arguments_are_in_order() -> None:
    """Separated by spaces; none for an empty text."""
    assert [operand.kind for operand in parse_arguments("-4@%edi 8@(%rax) 4@$0")] == [
        "register",
        "memory",
        "constant",
    ]
    assert parse_arguments("") == ()


def test_brackets_with_blanks_are_one_operand() -> None:
    """As compilers for arm64 write memory."""
    texts = [one.text for one in parse_arguments("8@x0 -4@[sp, 60] 4@5 8@[x0, x1, lsl 3] 8@[sp]")]
    assert texts == ["8@x0", "-4@[sp, 60]", "4@5", "8@[x0, x1, lsl 3]", "8@[sp]"]
