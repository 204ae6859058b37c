"""Two sides of one check: it with two values of one of its params, such as two builds."""

from orchestrator.check.model import Check
from orchestrator.values import dataclass

__all__ = ["SIDE_NAMES", "CheckSides", "SideChoice"]

#: In the order in which they are given: the base, and the candidate that is judged.
SIDE_NAMES = ("A", "B")


@dataclass(frozen=True, slots=True, kw_only=True)
class SideChoice:
    """What `--ab NAME=A,B` says: the param and its two values, as text."""

    param: str
    values: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSides:
    """A check as side A, which is the baseline, and as side B, which is judged."""

    choice: SideChoice
    base: Check
    candidate: Check

    @property
    def checks(self) -> tuple[Check, Check]:
        """Both, A first."""
        return (self.base, self.candidate)
