"""Why gates over counts failed: one more repeat with records, reported and shown."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.cli.check.display import print_table
from orchestrator.cli.messages import print_error, print_message
from orchestrator.kernel.facts import KernelFacts
from orchestrator.policy.model import Policy
from orchestrator.values import dataclass

if TYPE_CHECKING:
    from orchestrator.check.baseline.model import Baseline
    from orchestrator.check.explanation.model import Explanation
    from orchestrator.check.measurement import Measurement
    from orchestrator.check.verdict.model import CheckVerdict
    from orchestrator.run.signals import Signals

__all__ = ["FailureExplainer", "print_explanation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureExplainer:
    """Explains the failures of checks on this host."""

    facts: KernelFacts
    policies: Sequence[Policy]
    signals: "Signals"
    backend: str
    constants: Mapping[str, int]

    def explain(
        self,
        verdict: "CheckVerdict",
        measurement: "Measurement",
        baseline: "Baseline | None",
    ) -> "list[Explanation]":
        """The explanations of a check's failures over counts; where there are any, its workload is
        repeated once more. Raises Interrupted and CleanupFailed."""
        from orchestrator.check.explanation.failures import list_failures

        failures = list_failures(verdict, measurement, baseline, self.constants)
        if not failures:
            return []
        from orchestrator.check.explanation.model import Explanation
        from orchestrator.run.startup import import_in_own_process

        import_in_own_process("numpy")
        from orchestrator.check.measuring.explain import record_again
        from orchestrator.run.options import RunOptions

        kept = record_again(
            verdict.check,
            measurement,
            [failure.selection for failure in failures],
            self.facts,
            self.policies,
            self.signals,
            options=RunOptions(notify=print_message),
            backend=self.backend,
        )
        return [
            Explanation(expectation=one.expectation, growth=one.growth, records=records)
            for one, records in zip(failures, kept, strict=True)
        ]


_COMPARED: Mapping[str, str] = {
    "baseline": "compared with the baseline",
    "bound": "compared with the bound",
    "nothing": "the largest cells",
}


def print_explanation(
    explanation: "Explanation", print_line: Callable[[str], None] = print_error
) -> None:
    """The cells that grew, as a table, and the records below it."""
    from orchestrator.check.report.explained import (
        CELL_HEADINGS,
        list_cell_rows,
        list_record_lines,
    )
    from orchestrator.plan.printable import make_printable

    growth, name = explanation.growth, explanation.expectation.name
    if growth.cells:
        title = f"{name} failed: {_COMPARED[growth.compared_with]}"
        print_table(title, CELL_HEADINGS, ((row, True) for row in list_cell_rows(explanation)))
    if growth.omitted:
        print_line(f"  and {growth.omitted} more cells")
    for line in list_record_lines(explanation):
        print_line(f"  {make_printable(line)}")
