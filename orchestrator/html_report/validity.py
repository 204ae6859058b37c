"""Whether a document is a whole result: then the page can be made of it."""

from collections.abc import Mapping
from typing import Any

from orchestrator.accounting.vocabulary import UNMADE_OUTCOMES
from orchestrator.fleet.host_result import parse_result
from orchestrator.fleet.reading import UnreadFile, expect_whole
from orchestrator.plan.document.schema import load_schema

__all__ = ["check_document"]

_SCHEMA = "result-v1.schema.json"
_MERGE = "probeplan-merge/"


def check_document(document: dict[str, Any]) -> None:
    """Raises UnreadFile for what is no result, or not a whole one."""
    form = document.get("format")
    if isinstance(form, str) and form.startswith(_MERGE):
        raise UnreadFile("foreign", "it is a merge of results, and reports are about runs")
    parse_result(document)
    if form is None:
        raise UnreadFile("foreign", "it was written before results had a `format`")
    _check_rest(document)
    if document["run"]["outcome"] not in UNMADE_OUTCOMES:
        with expect_whole("result"):
            for metric in document["metrics"]:
                _check_metric(metric)


def _check_rest(document: Mapping[str, Any]) -> None:
    """Everything but the metrics' cells, of which there may be many, by the schema."""
    from jsonschema import Draft202012Validator  # 50 ms

    metrics = [{**metric, "cells": []} for metric in document["metrics"]]
    outline = {**document, "metrics": metrics}
    fault = next(Draft202012Validator(load_schema(_SCHEMA)).iter_errors(outline), None)
    if fault is not None:
        raise UnreadFile(
            "foreign", f"it is no whole result: {fault.json_path}: {fault.message:.200}"
        )


def _check_metric(metric: Mapping[str, Any]) -> None:
    """What the page shows of cells, apart from what `parse_result` has looked at. Raises
    LookupError or TypeError."""
    names = _FIELDS[metric["kind"]]
    for cell in metric["cells"]:
        if not isinstance(cell["key"], dict) or not isinstance(cell["other"], bool):
            raise TypeError("a cell has no key")
        for name in names:
            _check_number(cell[name])
        if metric["kind"] == "histogram":
            for value in cell["percentiles"].values():
                _check_number(value)
            for edge, count in cell["buckets"]:
                _check_number(edge)
                _check_number(count)


#: By kind of metric: the numbers of its cells.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "count": ("value",),
    "sum": ("value", "count"),
    "min": ("value",),
    "max": ("value",),
    "avg": ("value", "sum", "count"),
    "histogram": ("count", "below", "above"),
}


def _check_number(value: Any) -> None:
    if value is not None and type(value) not in (int, float):
        raise TypeError(f"{value!r:.40} is no number")
