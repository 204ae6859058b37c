"""Reading a result: all of it, or a reason why not; damaged ones add nothing."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.fleet.host_result import parse_result
from orchestrator.fleet.reading import UnreadFile
from orchestrator.fleet.report import describe_merge
from tests.support.fake_backend import Script, program
from tests.support.fake_runs import Ran
from tests.support.fleet import a_result, merged, only_metric
from tests.support.results import checked_result, result_validator


def test_what_tests_take_for_results_are_valid() -> None:
    for backend in ("bcc", "tracefs"):
        result_validator().validate(a_result(backend=backend))


def test_results_of_runs_are_read_whole(tmp_path: Path) -> None:
    """Of the fake backend, one of which sampled: host, settings and counts."""
    results = []
    for sample in (1, 10):
        out = tmp_path / f"{sample}"
        Ran(tmp_path).go(Script(batches=[[1, 2, 3]]), program(sample=sample), out=out)
        results.append(checked_result(out))
    metric = only_metric(merged(results))
    assert (metric["runs"], metric["hosts"], metric["estimated_runs"]) == (2, 1, 1)
    [cell] = metric["cells"]
    assert (cell["key"], cell["value"]) == ({"comm": "cat"}, 6)


def damage(result: dict[str, Any], *path: Any, value: Any) -> dict[str, Any]:
    place = result
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return result


HISTOGRAM = ("metrics", 0, "cells", 0)


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ((*HISTOGRAM, "count"), 5, "do not add up to its count, 5"),
        ((*HISTOGRAM, "count"), "5", "'5' is no count"),
        ((*HISTOGRAM, "count"), True, "True is no count"),
        ((*HISTOGRAM, "buckets", 0, 0), 450, "are not those of log"),
        ((*HISTOGRAM, "buckets", 0, 1), -1, "negative"),
        ((*HISTOGRAM, "buckets", 0, 1), 1.0, "whole numbers"),
        ((*HISTOGRAM, "buckets", 0), [447], "index"),
        ((*HISTOGRAM, "below"), None, "None is no count"),
        (("metrics", 0, "layout"), "log(8)", "'log"),
        (("metrics", 0, "kind"), "median", "of the kind 'median'"),
        (("metrics", 0, "probe"), 5, "5 is no text"),
        (("metrics", 0), 5, "subscriptable"),
        (("run", "duration_ns"), -5, "-5 is no whole number"),
        (("run", "complete"), 1, "`complete` is 1"),
        (("run", "armed_at"), "today", "`armed_at` is 'today'"),
        (("run", "host"), "x" * 5000, "is no text"),
        (("settings",), [], "`settings` is no object"),
    ],
)
def test_a_damaged_result_says_what_is_wrong(path: tuple[Any, ...], value: Any, why: str) -> None:
    with pytest.raises(UnreadFile, match=why) as refused:
        parse_result(damage(a_result(metric="latency"), *path, value=value))
    assert refused.value.reason == "foreign"


@pytest.mark.parametrize("name", ["run_id", "plan_sha256", "host", "outcome", "kernel"])
def test_a_result_that_lacks_a_field_is_none(name: str) -> None:
    result = a_result()
    del result["run"][name]
    with pytest.raises(UnreadFile, match=f"it lacks '{name}'"):
        parse_result(result)


def test_other_documents_and_later_versions_are_told_apart() -> None:
    for document, reason in (
        ({"kind": "ProbePlan"}, "foreign"),
        ({"format": "other/1"}, "foreign"),
        ({"run": [], "metrics": []}, "foreign"),
        ({**a_result(), "format": "probeplan-result/2"}, "newer"),
    ):
        with pytest.raises(UnreadFile) as refused:
            parse_result(document)
        assert refused.value.reason == reason


def test_cells_of_hashed_keys_are_one() -> None:
    """Their salts differ from run to run: the same file has another digest on each host."""
    results = []
    for number in (1, 2):
        result = a_result(number, metric="calls")
        [metric] = result["metrics"]
        metric["cells"] = [
            {"key": {"file": f"sha256:{number}{digit}{'0' * 14}"}, "other": False, "value": value}
            for digit, value in (("a", 5), ("b", 7))
        ]
        metric["hashed"] = ["file"]
        results.append(result)
    [cell] = only_metric(merged(results))["cells"]
    assert (cell["key"], cell["redacted"]) == ({"file": "redacted"}, True)
    assert (cell["value"], cell["runs"]) == (24, 2)


def test_other_names_of_a_redacted_key_stay_apart_and_a_file_of_that_name_is_another() -> None:
    hashed, plain = a_result(1, metric="calls"), a_result(2, metric="calls")
    hashed["metrics"][0] |= {
        "hashed": ["file"],
        "cells": [
            {"key": {"comm": comm, "file": f"sha256:{'0' * 15}{n}"}, "other": False, "value": n}
            for n, comm in enumerate(("a", "b", "b"), 1)
        ],
    }
    plain["metrics"][0]["cells"] = [
        {"key": {"file": "redacted", "comm": "b"}, "other": False, "value": 9}
    ]
    cells = only_metric(merged([hashed, plain]))["cells"]
    found = {(cell["key"]["comm"], cell["redacted"]): cell["value"] for cell in cells}
    assert found == {("a", True): 1, ("b", True): 5, ("b", False): 9}


def old(result: dict[str, Any]) -> dict[str, Any]:
    """As an earlier version wrote it."""
    kept = ("run", "metrics", "figures", "warnings", "outstanding", "stopped", "limits")
    for metric in result["metrics"]:
        for name in ("layout", "hashed", "estimated"):
            del metric[name]
    return {name: result[name] for name in (*kept, "startup_ms", "signatures")}


def test_results_of_earlier_versions_whose_cells_were_cut_give_at_least() -> None:
    result = old(a_result(metric="calls"))
    result["metrics"][0] |= {"cells": result["metrics"][0]["cells"][:2], "cells_omitted": 5}
    document = merged([result, old(a_result(2, metric="calls"))])
    metric = only_metric(document)
    assert (metric["at_least"], metric["cut_runs"], metric["runs"]) == (True, 1, 2)
    [group] = document["groups"]
    assert group["settings"] is None
    assert metric["by_kernel"][0]["mechanisms"] == "perf tracepoint", "from the ledger"


def test_an_old_histogram_is_known_by_how_exact_it_is() -> None:
    result = old(a_result())
    layouts = {
        metric["metric"]: metric["layout"]
        for metric in merged([result])["groups"][0]["metrics"]
        if metric["kind"] == "histogram"
    }
    assert layouts == {"latency": "log(16)", "sizes": "linear steps of 512"}


def test_a_digest_in_an_old_result_is_known_by_its_form() -> None:
    result = old(a_result(metric="calls"))
    result["metrics"][0]["cells"] = [
        {"key": {"comm": text}, "other": False, "value": 1}
        for text in (f"sha256:{'a' * 16}", f"sha256:{'b' * 16}", f"sha256:{'b' * 15}")
    ]
    cells = only_metric(merged([result]))["cells"]
    assert [(cell["key"]["comm"], cell["value"]) for cell in cells] == [
        ("redacted", 2),
        (f"sha256:{'b' * 15}", 1),
    ]


def list_places(document: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for name, value in items:
        yield (*place, name)
        if isinstance(value, (dict, list)):
            yield from list_places(value, (*place, name))


def test_whatever_is_damaged_is_either_read_or_refused() -> None:
    """Any value anywhere is replaced, or taken away: no other error, and what is read can be
    described and merged again."""
    chance = random.Random(1)  # noqa: S311 - repeatable
    places = [place for place in list_places(a_result()) if "ledger" not in place]
    others: list[Any] = [
        None,
        True,
        -1,
        1 << 70,
        1.5,
        "",
        "x" * 9,
        [],
        [["a"]],
        {},
        {"a": {}},
        "\x1b[31m",
    ]
    reasons = Counter[str]()
    for _ in range(600):
        result, place = a_result(), chance.choice(places)
        damage(result, *place, value=chance.choice(others))
        try:
            parse_result(result)
        except UnreadFile as why:
            reasons[why.reason] += 1
            continue
        document = merged([result, a_result(2)])
        assert list(describe_merge(document, by_kernel=True))
    assert reasons["foreign"] > 200
