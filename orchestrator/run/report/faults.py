"""Going on when a step fails, so that later steps (detaching, above all) are still done."""

from collections.abc import Callable
from typing import TypeVar

from orchestrator.plan.findings import HostError, PlanError

__all__ = ["Faults"]

ResultT = TypeVar("ResultT")


class Faults:
    """What went wrong, in order. `left_behind`: what could not be removed from the kernel; `notes`
    are reported but fail nothing."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.left_behind: list[str] = []
        self.notes: list[str] = []

    def attempt(self, step: Callable[[], ResultT], otherwise: ResultT) -> ResultT:
        """The result of `step`; if it raises, `otherwise`, and the error is kept."""
        try:
            return step()
        except BaseException as error:  # raised again once everything is undone
            self.errors.append(error)
            return otherwise

    def describe(self) -> str | None:
        """What went wrong, for people; None when nothing did."""
        texts = [str(error) or type(error).__name__ for error in self.errors]
        return "; ".join([*texts, *self.left_behind, *self.notes]) or None

    @property
    def exit_code(self) -> int:
        """2 for a fault of the plan or the command line, 3 for one of the host, else 6."""
        match self.errors[:1]:
            case [PlanError()]:
                return 2
            case [HostError()]:
                return 3
        return 6
