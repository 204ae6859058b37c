"""The document of a merge: read back whole, or refused."""

import copy
import json
import random
from typing import Any

import pytest

from orchestrator.fleet.document import merge_document, merge_from_document, render_document
from orchestrator.fleet.merging import Merge
from orchestrator.fleet.reading import UnreadFile
from orchestrator.fleet.report import describe_merge
from tests.support.fleet import a_result, merged
from tests.unit.fleet.test_host_result import damage, list_places


def test_a_document_is_json_with_a_line_for_each_run() -> None:
    document = merged([a_result(1), a_result(2)])
    text = "".join(render_document(document))
    assert json.loads(text) == json.loads(json.dumps(document))
    assert text.startswith('{"format":"probeplan-merge/1",\n')
    assert text.count('\n{"run_id":') == 2


def test_a_later_version_or_half_a_document_is_not_read() -> None:
    document = merged([a_result(1)])
    for changed, reason in (
        ({**document, "format": "probeplan-merge/2"}, "newer"),
        ({name: value for name, value in document.items() if name != "runs"}, "foreign"),
        ({**document, "runs": [{}]}, "foreign"),
    ):
        with pytest.raises(UnreadFile) as refused:
            merge_from_document(changed)
        assert refused.value.reason == reason


def test_whatever_is_damaged_is_either_read_or_refused() -> None:
    """As results: no other error, and what is read can be described."""
    whole = json.loads("".join(render_document(merged([a_result(1), a_result(2)]))))
    chance = random.Random(1)  # noqa: S311 - repeatable
    places = [place for place in list_places(whole) if "buckets" not in place]
    others: list[Any] = [None, True, -1, 1 << 70, 1.5, "", "x" * 9, [], [["a"]], {}, {"a": {}}]
    refused = 0
    for _ in range(400):
        damaged = damage(copy.deepcopy(whole), *chance.choice(places), value=chance.choice(others))
        try:
            merge = merge_from_document(damaged)
        except UnreadFile:
            refused += 1
            continue
        made = Merge()
        made.absorb(merge, "merged.json")
        assert list(describe_merge(merge_document(made), by_kernel=True))
    assert refused > 100
