"""Random expressions: what the kernel computes is what the reference evaluator says."""

import random
from pathlib import Path

import pytest

from orchestrator.compile.expressions.evaluate import EvaluationCounts, evaluate
from orchestrator.compile.expressions.nodes import Captured, Field, Node
from orchestrator.compile.expressions.types import Int, wrap_integer
from orchestrator.compile.program import Program
from tests.live.bcc.test_counts import LIMITS, comm
from tests.support.bcc_runs import balanced, program_of, run

TYPES = ("u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64")
EDGES = (0, 1, 2, 3, 7, 31, 63, 64, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1,
         2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64 - 2)  # fmt: skip
LEAVES = ("args.arg2", "args.arg3", "args.arg4", "args.arg5")
FIELDS, ROWS = 28, 40


def numeric(dice: random.Random, depth: int) -> str:
    """An expression whose value is a number."""
    if depth == 0 or dice.random() < 0.15:
        if dice.random() < 0.2:
            return str(dice.choice(EDGES[:16]))
        return f'cast({dice.choice(LEAVES)}, "{dice.choice(TYPES)}")'
    roll = dice.random()
    if roll < 0.1:
        return f"({dice.choice('-~')}{numeric(dice, depth - 1)})"
    if roll < 0.2:
        test = truth(dice, depth - 1)
        return f"({numeric(dice, depth - 1)} if {test} else {numeric(dice, depth - 1)})"
    op = dice.choice(("+", "-", "*", "//", "%", "//", "%", "<<", ">>", "&", "|", "^"))
    return f"({numeric(dice, depth - 1)} {op} {numeric(dice, depth - 1)})"


def truth(dice: random.Random, depth: int) -> str:
    """An expression that is true or false."""
    if depth > 0 and dice.random() < 0.4:
        op = dice.choice(("and", "or"))
        return f"({truth(dice, depth - 1)} {op} not {truth(dice, depth - 1)})"
    op = dice.choice(("==", "!=", "<", "<=", ">", ">="))
    return f"{numeric(dice, max(depth - 1, 0))} {op} {numeric(dice, max(depth - 1, 0))}"


def expected(program: Program, node: Node, values: dict[str, int], tally: EvaluationCounts) -> int:
    """By the reference evaluator, from the system call's arguments."""
    entry = program.hooks[0].body.entry
    assert entry is not None

    def leaf(asked: Node) -> int | None:
        if isinstance(asked, Captured):
            kept = evaluate(entry.captures[asked.index], leaf, {}, tally)
            assert isinstance(kept, int)
            return kept
        if isinstance(asked, Field):
            assert isinstance(asked.type, Int)
            return wrap_integer(values[asked.field.name], asked.type)
        return None

    lets = {
        i: evaluate(let.node, leaf, {}, EvaluationCounts())
        for i, let in enumerate(lets_of(program))
    }
    found = evaluate(node, leaf, lets, tally)
    assert isinstance(found, int)
    return found


def lets_of(program: Program) -> list:  # type: ignore[type-arg]  # of program.Let
    """The definitions of the only hook."""
    return list(program.hooks[0].body.lets)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_the_kernel_computes_as_the_reference(calls: Path, seed: int) -> None:
    """28 random expressions of every width and sign on 40 rows of edge and random values."""
    dice = random.Random(seed)  # noqa: S311  # repeatable, not secret
    texts = [numeric(dice, 3) for _ in range(FIELDS)] + [truth(dice, 2) for _ in range(4)]
    fields = "".join(f"\n      f{i}: '{text}'" for i, text in enumerate(texts))
    program = program_of(
        LIMITS
        + comm(calls)
        + f"""
probes:
  p:
    attach: syscall:prctl
    where: args.option == 99
    emit: {fields}
"""
    )
    rows = [[dice.choice(EDGES) if dice.random() < 0.7 else dice.getrandbits(64) for _ in LEAVES]
            for _ in range(ROWS)]  # fmt: skip
    made = run(program, [str(calls), *(f"prctl 99 {' '.join(map(str, row))}" for row in rows)])
    balanced(made)
    assert len(made.records) == ROWS
    tally = EvaluationCounts()
    for row, record in zip(rows, made.records, strict=True):
        values = dict(zip(("arg2", "arg3", "arg4", "arg5"), row, strict=True))
        for i, node in enumerate(program.hooks[0].body.emit):
            assert record[f"f{i}"] == expected(program, node, values, tally), (texts[i], values)
    assert made.counts.divisions_by_zero == tally.division_by_zero


def test_the_smallest_number_divided_by_minus_one_wraps(calls: Path) -> None:
    """Neither a fault nor another value than two's complement gives; signs truncate as in C."""
    a, b = ('cast(args.arg2, "s64")', 'cast(args.arg3, "s64")')
    made = run(LIMITS + comm(calls) + f"""
probes:
  p:
    attach: syscall:prctl
    where: args.option == 99
    emit: {{q: '{a} // {b}', r: '{a} % {b}'}}
""", [str(calls), f"prctl 99 {1 << 63} {2**64 - 1}", f"prctl 99 {2**64 - 7} 2",
      f"prctl 99 7 {2**64 - 2}", "prctl 99 7 0"])  # fmt: skip
    assert [(r["q"], r["r"]) for r in made.records] == [(-(2**63), 0), (-3, -1), (-3, 1), (0, 0)]
    assert made.counts.divisions_by_zero == 2
