from typing import Any

import pytest

from orchestrator.fleet.reading import UnreadFile
from orchestrator.html_report.validity import check_document
from tests.support.report_runs import recorded_document


def _set(document: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    place: Any = document
    for name in parents:
        place = place[int(name) if isinstance(place, list) else name]
    place[int(last) if isinstance(place, list) else last] = value


def test_a_recorded_result_is_whole() -> None:
    check_document(recorded_document())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("format", "probeplan-merge/1"),
        ("format", "probeplan-result/2"),
        ("format", None),
        ("run.ledger", {}),
        ("run.outcome", "napping"),
        ("settings.limits", []),
        ("warnings", [{}]),
        ("metrics.0.cells.0.value", "many"),
        ("metrics.0.cells.0.key", []),
        ("metrics.5.cells.0.percentiles", {"p50": "x"}),
        ("metrics.5.layout", "spiral"),
        ("metrics.0.probe", 7),
    ],
)
def test_a_damaged_result_is_refused(path: str, value: Any) -> None:
    document = recorded_document()
    _set(document, path, value)
    with pytest.raises(UnreadFile):
        check_document(document)
