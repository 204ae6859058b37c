"""A test with marks: measured while its function runs, and judged when that has returned."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

import pytest

from orchestrator.plan.printable import make_printable_lines
from orchestrator.pytest_plugin.helper_client import HelperClient, UsedPlan
from orchestrator.pytest_plugin.marks import PlanMark
from orchestrator.pytest_plugin.seen import Inconclusive
from orchestrator.values import dataclass

__all__ = ["MeasuredTest", "WitnessFunctions"]


class WitnessFunctions:
    """Functions that make probes count, each measured once for a plan."""

    def __init__(self, client: HelperClient) -> None:
        self._client = client
        self._blocks: dict[tuple[int, Callable[[], object]], int] = {}

    def prove(self, plan: UsedPlan, witness: Callable[[], object] | None) -> int | None:
        """The number of the witness's block, None without a witness."""
        if witness is None:
            return None
        key = (plan.number, witness)
        if key not in self._blocks:
            with self._client.nothing_open():
                self._blocks[key] = self._measure(plan, witness)
        return self._blocks[key]

    def _measure(self, plan: UsedPlan, witness: Callable[[], object]) -> int:
        began_ns = self._client.begin([plan])
        try:
            witness()
        finally:
            [block] = self._client.end([plan], began_ns)
        return block


@dataclass(slots=True)
class MeasuredTest:
    """The marks of one test with their plans, attached. `results`: for the summary."""

    client: HelperClient
    witnesses: WitnessFunctions
    marks: Sequence[tuple[PlanMark, UsedPlan]]
    results: list[Mapping[str, Any]] = field(default_factory=list)
    was_measured: bool = False
    _began_ns: int = 0
    _proofs: Sequence[int | None] = ()

    @property
    def _plans(self) -> list[UsedPlan]:
        """Each plan once."""
        return list({plan.number: plan for _, plan in self.marks}.values())

    def begin(self) -> None:
        """Count from now on."""
        self._proofs = [self.witnesses.prove(plan, mark.witness) for mark, plan in self.marks]
        self._began_ns = self.client.begin(self._plans)

    def end(self) -> dict[int, int]:
        """Count no more; returns the numbers of the blocks by those of their plans."""
        plans = self._plans
        blocks = self.client.end(plans, self._began_ns)
        self.was_measured = True
        return {plan.number: block for plan, block in zip(plans, blocks, strict=True)}

    def judge(self, blocks: Mapping[int, int]) -> None:
        """Judge all expectations. Raises pytest's Failed, or Inconclusive where none is broken and
        some cannot be decided."""
        for (mark, plan), proof in zip(self.marks, self._proofs, strict=True):
            verdicts = self.client.judge(blocks[plan.number], mark.expectations, proof)
            self.results += [{"plan": plan.name, **verdict} for verdict in verdicts]
        self.client.forget(list(blocks.values()))
        texts = [_describe(one) for one in self.results if one["verdict"] != "ok"]
        if any(one["verdict"] == "fail" for one in self.results):
            raise pytest.fail.Exception("\n".join(texts), pytrace=False)
        if texts:
            raise Inconclusive("\n".join(texts), pytrace=False)


def _describe(result: Mapping[str, Any]) -> str:
    """Why an expectation is not ok, with the cells that were counted."""
    reasons = "\n".join(f"  {reason}" for reason in result["reasons"])
    cells = "".join(f"\n    {cell}" for cell in result["cells"])
    word = "inconclusive" if result["verdict"] == "inconclusive" else "failed"
    text = f"{result['at']}: {word}: {result['that']} ({result['plan']})\n{reasons}{cells}"
    return make_printable_lines(text)
