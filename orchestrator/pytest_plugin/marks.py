"""What `@pytest.mark.probeplan(…)` says."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from orchestrator.pytest_plugin.helper_client import Asked
from orchestrator.pytest_plugin.source_places import MARK, SourcePlace, find_mark
from orchestrator.values import dataclass

__all__ = ["PlanMark", "read_marks", "read_settings", "refuse_use"]

_FORM = '@pytest.mark.probeplan("PLAN", "PROBE.METRIC == 0", …, set={…}, witness=FUNCTION)'


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMark:
    """A mark of a test: its plan, the plan's params, what is expected, and a function that makes
    the probes count."""

    source: str | Mapping[str, Any]
    settings: Mapping[str, str]
    expectations: Sequence[Asked]
    witness: Callable[[], object] | None
    place: SourcePlace


def read_marks(item: pytest.Item) -> list[PlanMark]:
    """The marks of a test, those nearest to it first. Raises pytest's Failed."""
    return [_read_mark(mark, item) for mark in item.iter_markers(MARK)]


def _read_mark(mark: pytest.Mark, item: pytest.Item) -> PlanMark:
    file, line = str(item.path), (item.location[1] or 0) + 1
    where = f"{file}:{line}"
    source, *texts = mark.args or (None,)
    unknown = sorted(mark.kwargs.keys() - {"set", "witness"})
    if not isinstance(source, str | Mapping) or not source or unknown:
        what = f"has {', '.join(unknown)}" if unknown else "names no plan"
        raise refuse_use(f"{where}: the mark probeplan {what}; write {_FORM}")
    if not texts or not all(isinstance(text, str) for text in texts):
        what = "expects nothing" if not texts else "expects something that is no text"
        raise refuse_use(f"{where}: the mark probeplan {what}; write {_FORM}")
    named = source if isinstance(source, str) else texts[0]
    return PlanMark(
        source=source,
        settings=read_settings(mark.kwargs.get("set"), where),
        expectations=[Asked(text=text, place=find_mark(file, line, text)) for text in texts],
        witness=mark.kwargs.get("witness"),
        place=find_mark(file, line, named),
    )


def read_settings(given: Any, where: str) -> dict[str, str]:
    """The values of a plan's params as `--set` would give them. Raises pytest's Failed."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise refuse_use(f"{where}: `set` is {given!r}: write set={{'NAME': VALUE}}")
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
    }


def refuse_use(text: str) -> BaseException:
    """An error of the test, shown without the plugin's own frames."""
    return pytest.fail.Exception(text, pytrace=False)
