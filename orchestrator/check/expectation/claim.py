"""The form of an expectation: one comparison of a value over metrics with a bound, or with two.

The value that is judged, the subject, is at the left, and in a chain in the middle:
`0.98 * baseline <= call.calls <= 1.02 * baseline`.
"""

from collections.abc import Mapping

from orchestrator.plan.expression.syntax import Compare, Expr, Logic, Name, SyntaxNode, walk
from orchestrator.plan.findings import PlanError, plan_error
from orchestrator.values import dataclass

__all__ = ["Bound", "Claim", "compares_with_baseline", "read_claim"]

_FLIPPED: Mapping[str, str] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_RISING, _FALLING = ("<", "<="), (">", ">=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What the subject is compared with: SUBJECT `op` `value`. `op` is == != < <= > or >=."""

    op: str
    value: SyntaxNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A subject and its bounds, which must all hold: one, or those of a chain."""

    subject: SyntaxNode
    bounds: tuple[Bound, ...]


def read_claim(expr: Expr) -> Claim:
    """The comparison that an expectation is; raises PlanError (PP200) for anything else."""
    match expr.root:
        case Compare(op=op, left=left, right=right):
            return Claim(subject=left, bounds=(Bound(op=op, value=right),))
        case Logic(operands=(Compare() as first, Compare() as second)) if _is_range(first, second):
            lower = Bound(op=_FLIPPED[first.op], value=first.left)
            return Claim(
                subject=first.right, bounds=(lower, Bound(op=second.op, value=second.right))
            )
        case _:
            raise _refuse_form(expr)


def _is_range(first: Compare, second: Compare) -> bool:
    """Whether `a < b and b < c` was written as `a < b < c`; only then are both `b` one text."""
    ops = (first.op, second.op)
    one_way = all(op in _RISING for op in ops) or all(op in _FALLING for op in ops)
    return one_way and first.right == second.left


def _refuse_form(expr: Expr) -> PlanError:
    what = "is not one comparison"
    hint = "write e.g. `sync.calls == 0`, or a range: `0.98 * baseline <= call.calls <= 300`"
    if isinstance(expr.root, Logic):
        hint = "write one expectation for each comparison; a range is written A <= VALUE <= B"
    return plan_error("PP200", f"{expr.text!r} {what}", expr.place(expr.root), hint)


def compares_with_baseline(node: SyntaxNode) -> bool:
    """Whether an expression names `baseline`."""
    return any(isinstance(part, Name) and part.id == "baseline" for part in walk(node))
