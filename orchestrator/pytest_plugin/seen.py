"""What a block of a test has counted: figures by attribute, cells, and values of expressions."""

import sys
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import TracebackType
from typing import Any

import pytest

from orchestrator.pytest_plugin.helper_client import Asked, HelperClient, UsedPlan
from orchestrator.pytest_plugin.source_places import SourcePlace, place_of_caller

__all__ = ["Inconclusive", "SeenBlock", "SeenHistogram", "SeenProbe"]


_Failed: Any = pytest.fail.Exception


class Inconclusive(_Failed):  # type: ignore[misc]  # of type Any
    """What was counted proves neither that something happened nor that it did not."""


class SeenBlock:
    """A block that is counted while entered; afterwards, what it has counted. `prove` returns the
    number of the witness's block, None without one."""

    def __init__(
        self, client: HelperClient, plan: UsedPlan, prove: Callable[[], int | None]
    ) -> None:
        self._client, self._plan, self._prove = client, plan, prove
        self._block: int | None = None
        self._witness: int | None = None
        self._began_ns = 0

    def __enter__(self) -> "SeenBlock":
        if self._block is not None or self._client.is_open(self._plan):
            raise RuntimeError(f"a block of the plan {self._plan.name!r} is open, or was entered")
        self._witness = self._prove()
        self._began_ns = self._client.begin([self._plan])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        [self._block] = self._client.end([self._plan], self._began_ns)

    @property
    def _ended(self) -> int:
        if self._block is None:
            raise RuntimeError("the block has not ended: ask after its `with`")
        return self._block

    def value(self, expression: str) -> int | Fraction:
        """The value of an expression of the check language, such as `call.calls[number ==
        SYS_fsync]`; whole numbers are ints. Raises Inconclusive where it is not valid: events were
        lost, or it is 0 and nothing shows that the probe works."""
        return self._read(expression, place_of_caller(sys._getframe(1)))

    def cells(self, metric: str) -> list[dict[str, Any]]:
        """All cells of PROBE.METRIC, each with its `key` (None: of keys that did not fit), its
        `value`, `count`, `sum`, `min` and `max`. Raises Inconclusive as `value` does."""
        owner, _, name = metric.partition(".")
        if name not in self._plan.metrics.get(owner, {}):
            raise KeyError(f"{metric!r}: {_list_names(self._plan)}")
        kind = self._plan.metrics[owner][name]
        counted = metric if kind in ("min", "max") else f"{metric}.count"
        self._read(counted, place_of_caller(sys._getframe(1)))  # are they valid?
        return self._client.cells(self._ended, owner, name)

    def _read(self, expression: str, place: SourcePlace) -> int | Fraction:
        asked = Asked(text=expression, place=place)
        verdict = self._client.read(self._ended, asked, self._witness)
        if verdict["exact"] is None:
            reasons = "; ".join(verdict["reasons"])
            raise Inconclusive(f"{place.file}:{place.line}: inconclusive: {expression}: {reasons}")
        value = Fraction(*verdict["exact"])
        return value.numerator if value.denominator == 1 else value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _look_up(self, name, place_of_caller(sys._getframe(1)), AttributeError)

    def __getitem__(self, name: str) -> Any:
        return _look_up(self, name, place_of_caller(sys._getframe(1)), KeyError)


def _look_up(seen: SeenBlock, name: str, place: SourcePlace, refusal: type[Exception]) -> Any:
    """A probe or span, or the value of a derived figure."""
    plan = seen._plan
    if name in plan.derived:
        return seen._read(name, place)
    if name not in plan.metrics:
        raise refusal(f"{name!r}: {_list_names(plan)}")
    return SeenProbe(seen, name, plan.metrics[name])


class SeenProbe:
    """The figures of one probe or span, by attribute or in brackets."""

    def __init__(self, seen: SeenBlock, owner: str, metrics: Mapping[str, str]) -> None:
        self._seen, self._owner, self._metrics = seen, owner, metrics

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._figure(name, place_of_caller(sys._getframe(1)), AttributeError)

    def __getitem__(self, name: str) -> Any:
        return self._figure(name, place_of_caller(sys._getframe(1)), KeyError)

    def _figure(self, name: str, place: SourcePlace, refusal: type[Exception]) -> Any:
        if name not in self._metrics:
            raise refusal(f"{self._owner}.{name}: {_list_names(self._seen._plan)}")
        if self._metrics[name] == "histogram":
            return SeenHistogram(self._seen, f"{self._owner}.{name}")
        return self._seen._read(f"{self._owner}.{name}", place)


class SeenHistogram:
    """The numbers of a histogram: `count`, `p50` and so on."""

    def __init__(self, seen: SeenBlock, metric: str) -> None:
        self._seen, self._metric = seen, metric

    def __getattr__(self, number: str) -> Any:
        if number.startswith("_"):
            raise AttributeError(number)
        return self._seen._read(f"{self._metric}.{number}", place_of_caller(sys._getframe(1)))

    def __getitem__(self, number: str) -> Any:
        return self._seen._read(f"{self._metric}.{number}", place_of_caller(sys._getframe(1)))


def _list_names(plan: UsedPlan) -> str:
    names = [f"{owner}.{name}" for owner, own in plan.metrics.items() for name in own]
    return f"the plan {plan.name!r} has {', '.join([*names, *plan.derived]) or 'no metrics'}"
