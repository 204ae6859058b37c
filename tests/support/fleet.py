"""Results of a fleet, made of two real ones by changing what a test is about."""

import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.fleet import real_results
from orchestrator.fleet.document import merge_document, merge_from_document, render_document
from orchestrator.fleet.host_result import parse_result
from orchestrator.fleet.merging import Merge

Document = dict[str, Any]


def a_result(number: int = 1, *, backend: str = "bcc", **changes: Any) -> Document:
    """The result of host number `number`. `changes`: fields of the result, or of its run; `metric`:
    the only metric that it keeps."""
    result: Document = copy.deepcopy(dict(real_results()[backend]))
    result["host_id"] = f"{number:016x}"
    result["run"] |= {"host": f"host{number:02}", "run_id": f"{number:014x}"}
    if metric := changes.pop("metric", None):
        result["metrics"] = [one for one in result["metrics"] if one["metric"] == metric]
    for name, value in changes.items():
        target = result if name in result else result["run"]
        assert name in target, name
        target[name] = value
    return result


def merged(results: Iterable[Document], expected: Iterable[str] = ()) -> Document:
    """The document of their merge, which has to be that of its merge."""
    merge = Merge(expected=set(expected))
    for number, result in enumerate(results):
        merge.add_result(parse_result(result), f"{number}.json")
    document = merge_document(merge)
    text = "".join(render_document(document))
    again = merge_document(merge_from_document(json.loads(text)))
    assert "".join(render_document(again)) == text
    return document


def only_metric(document: Document) -> Document:
    """The metric of a merge with one group of one metric."""
    [group] = document["groups"]
    [metric] = group["metrics"]
    return dict(metric)


def write_results(folder: Path, results: Iterable[Document]) -> Path:
    """Each as HOST/RUN/result.json below the folder."""
    for result in results:
        run = result["run"]
        path = folder / run["host"] / run["run_id"] / "result.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result))
    return folder
