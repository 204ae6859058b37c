"""What one process of a test session measures: its plans, its tests, and what became of them."""

import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pytest

from orchestrator.plan.printable import make_printable_lines
from orchestrator.pytest_plugin.helper_client import HelperClient, Refused, UsedPlan
from orchestrator.pytest_plugin.marks import PlanMark, read_marks, read_settings, refuse_use
from orchestrator.pytest_plugin.measured_test import MeasuredTest, WitnessFunctions
from orchestrator.pytest_plugin.seen import Inconclusive, SeenBlock
from orchestrator.pytest_plugin.source_places import SourcePlace, place_of_caller

__all__ = ["ProbeSession"]

AnswerT = TypeVar("AnswerT")


class ProbeSession:
    """`require`: where probes cannot be attached, tests that need them fail instead of being
    skipped. `troubles`: what could not be removed in the end."""

    def __init__(self, *, require: bool) -> None:
        self._require = require
        self._client = HelperClient()
        self._witnesses = WitnessFunctions(self._client)
        self._tests: dict[str, MeasuredTest] = {}
        self.troubles: list[str] = []

    # -- marks ---------------------------------------------------------------------------------

    def prepare(self, item: pytest.Item) -> None:
        """Attach the plans of a test's marks and check what they expect. Skips the test, or fails
        it."""
        self._tests.pop(item.nodeid, None)
        marks = read_marks(item)
        if not isinstance(item, pytest.Function) or _is_of_unittest(item):
            place = f"{item.path}:{(item.location[1] or 0) + 1}"
            text = "the mark probeplan measures test functions, and this is none"
            raise refuse_use(f"{place}: {text}: use the fixture, or a plain function")
        self._tests[item.nodeid] = MeasuredTest(
            self._client, self._witnesses, [(mark, self._use_mark(mark)) for mark in marks]
        )

    def _use_mark(self, mark: PlanMark) -> UsedPlan:
        plan = self._use_plan(mark.source, mark.settings, mark.place)
        self._ask(lambda: self._client.expect(plan, mark.expectations))
        return plan

    def _use_plan(
        self, source: str | Mapping[str, Any], settings: Mapping[str, str], place: SourcePlace
    ) -> UsedPlan:
        return self._ask(lambda: self._client.use_plan(source, settings, place))

    def _ask(self, question: Callable[[], AnswerT]) -> AnswerT:
        """The answer. Skips the test where this host cannot measure, and fails it where something
        is wrong."""
        try:
            return question()
        except Refused as refused:
            text = make_printable_lines(str(refused))
            if refused.by == "host" and not self._require:
                raise pytest.skip.Exception(f"probeplan: {text}") from None
            raise pytest.fail.Exception(text, pytrace=False) from None

    def test_of(self, item: pytest.Item) -> MeasuredTest:
        """A test that was prepared."""
        return self._tests[item.nodeid]

    def require_measured(self, item: pytest.Item) -> None:
        """Fail a test whose function did not run where it is measured."""
        if not self._tests[item.nodeid].was_measured:
            text = "inconclusive: the test was not measured: its function was not called by pytest"
            raise Inconclusive(f"{item.nodeid}: {text}", pytrace=False)

    # -- blocks --------------------------------------------------------------------------------

    def make_opener(self) -> Callable[..., SeenBlock]:
        """What the fixture is. Skips the test where this process may not attach probes."""
        self._ask(self._client.admit)
        return self._open_block

    def _open_block(
        self,
        plan: str | Mapping[str, Any],
        *,
        set: Mapping[str, Any] | None = None,  # noqa: A002  # as in a check
        witness: Callable[[], object] | None = None,
    ) -> SeenBlock:
        """A block to be counted by the probes of `plan`: the name of a shipped plan, the path of
        one relative to the test, or a plan's body. `set`: values of its params. `witness`: a
        function that makes its probes count, called once in a session."""
        place = place_of_caller(sys._getframe(1))
        settings = read_settings(set, f"{place.file}:{place.line}")
        used = self._use_plan(plan, settings, place)
        return SeenBlock(self._client, used, lambda: self._witnesses.prove(used, witness))

    # -- the end -------------------------------------------------------------------------------

    def describe_test(self, item: pytest.Item, call: "pytest.CallInfo[None]") -> dict[str, Any]:
        """What was measured of a test, as plain data."""
        test = self._tests.pop(item.nodeid, None)
        error = call.excinfo.value if call.excinfo is not None else None
        return {
            "inconclusive": isinstance(error, Inconclusive),
            "results": [] if test is None else list(test.results),
        }

    def close(self) -> None:
        """Detach everything."""
        self.troubles += self._client.close()


def _is_of_unittest(item: pytest.Item) -> bool:
    from unittest import TestCase

    owner = getattr(item, "cls", None)
    return owner is not None and issubclass(owner, TestCase)
