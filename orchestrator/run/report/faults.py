"""Going on when a step fails, so that later steps (detaching, above all) are still done."""

from collections.abc import Callable
from typing import TypeVar

from orchestrator.run.report.errors import report_of

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
        reports = zip(self.errors, map(report_of, self.errors), strict=True)
        texts = [str(error) if one.internal and str(error) else one.text for error, one in reports]
        return "; ".join([*texts, *self.left_behind, *self.notes]) or None

    @property
    def exit_code(self) -> int:
        """The exit code of the first error, which the run raises in the end; 6 without one."""
        return report_of(self.errors[0]).exit_code if self.errors else 6
