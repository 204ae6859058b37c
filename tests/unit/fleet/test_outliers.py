"""Hosts that stand out: all that were planted, and no others."""

import math
from pathlib import Path

import pytest

from bench.fleet import write_fleet
from orchestrator.fleet.document import merge_document
from orchestrator.fleet.reading import list_inputs
from orchestrator.fleet.run_merge import merge_files
from tests.support.fleet import Document, a_result, merged, only_metric


def outliers(results: list[Document]) -> list[tuple[str, str]]:
    found = only_metric(merged(results))["outliers"]
    return [(one["host"], one["figure"]) for one in found]


def with_latency(number: int, edge: int, count: int = 200, **changes: object) -> Document:
    """A host all of whose events are in one bucket."""
    result = a_result(number, metric="latency", **changes)
    [cell] = result["metrics"][0]["cells"]
    cell |= {"buckets": [[edge, count]], "count": count}
    return result


#: Upper edges of neighbouring buckets, and of one that is an octave above.
USUAL, NEXT, DOUBLE = 1087, 1151, 2175


def test_equal_hosts_and_neighbouring_buckets_are_no_outliers() -> None:
    """Their deviation is zero, and that of buckets is not: the floor is one bucket."""
    assert outliers([with_latency(n, USUAL) for n in range(20)]) == []
    assert outliers([with_latency(n, NEXT if n == 7 else USUAL) for n in range(20)]) == []


def test_a_host_twice_as_slow_as_equal_ones_is_an_outlier() -> None:
    results = [with_latency(n, DOUBLE if n == 7 else USUAL) for n in range(20)]
    assert outliers(results) == [("host07", "p50")]


def test_percentiles_of_few_events_are_not_judged() -> None:
    """p50 from 100 events on, p99 from 1,000."""

    def with_slow(count: int) -> list[Document]:
        return [
            with_latency(n, DOUBLE if n == 7 else USUAL, count if n == 7 else 5000)
            for n in range(20)
        ]

    assert ("host07", "p50") not in outliers(with_slow(99))
    assert ("host07", "p50") in outliers(with_slow(100))
    assert ("host07", "p99") not in outliers(with_slow(999))
    assert ("host07", "p99") in outliers(with_slow(1000))


def test_small_numbers_are_one_bucket_apart() -> None:
    """Queue lengths of 1 and 2 are neighbouring buckets, although one is twice the other."""
    assert outliers([with_latency(n, 2 if n == 7 else 1) for n in range(20)]) == []
    assert outliers([with_latency(n, 0 if n == 7 else 1) for n in range(20)]) == []


def test_a_rate_is_of_a_second_and_a_cpu() -> None:
    """Twice the events on twice the CPUs, or in twice the time, are as many."""

    def host(number: int, value: int, cpus: int = 4, seconds: int = 10) -> Document:
        result = a_result(number, metric="calls", cpus=cpus, duration_ns=seconds * 10**9)
        result["metrics"][0]["cells"] = [{"key": {}, "other": False, "value": value}]
        return result

    usual = [host(n, 10_000 + n) for n in range(20)]
    assert outliers([*usual, host(20, 20_000, cpus=8), host(21, 5_000, seconds=5)]) == []
    assert outliers([*usual, host(20, 20_000)]) == [("host20", "rate")]
    assert outliers([*usual, host(20, 0)]) == [("host20", "rate")]
    rare = [host(n, n % 3) for n in range(20)]
    assert outliers(rare) == [], "a few events are chance"
    assert outliers([*rare, host(20, 5_000)]) == [("host20", "rate")]


def with_rate(number: int, value: float) -> Document:
    result = a_result(number, metric="calls")
    result["metrics"][0]["cells"] = [{"key": {}, "other": False, "value": round(value)}]
    return result


def test_rates_are_judged_by_five_deviations_and_at_least_by_five_buckets() -> None:
    """Of equal rates a fifth more is none; where rates differ by a fifth up and down (a deviation
    of 0.2 in logarithms, 0.297 of a normal distribution), the bound is a factor of 4.4."""
    equal = [with_rate(number, 10_000) for number in range(20)]
    assert outliers([*equal, with_rate(20, 12_000)]) == []
    assert outliers([*equal, with_rate(20, 14_000)]) == [("host20", "rate")]
    spread = [with_rate(n, 10_000 * math.exp(0.2 * (n % 3 - 1))) for n in range(21)]
    assert outliers([*spread, with_rate(21, 35_000)]) == []
    assert outliers([*spread, with_rate(21, 70_000)]) == [("host21", "rate")]


def test_a_host_is_compared_with_those_of_its_kernel() -> None:
    """Half of the hosts have a kernel on which everything takes twice as long: no outliers. A
    single host of a third one is compared with all."""
    fast = [with_latency(n, USUAL) for n in range(20)]
    slow = [with_latency(20 + n, DOUBLE, kernel="6.1.0-40-amd64") for n in range(20)]
    assert outliers([*fast, *slow]) == []
    [found] = only_metric(merged([*fast, *slow, with_latency(50, DOUBLE)]))["outliers"]
    assert (found["host"], found["of_kernel"], found["compared"]) == ("host50", True, 21)
    [found] = only_metric(merged([*fast, with_latency(50, DOUBLE, kernel="7.0.0-amd64")]))[
        "outliers"
    ]
    assert (found["host"], found["of_kernel"], found["compared"]) == ("host50", False, 21)


def test_few_hosts_are_not_enough_to_say_what_is_usual() -> None:
    assert outliers([with_latency(1, DOUBLE), *(with_latency(n, USUAL) for n in (2, 3, 4))]) == []


@pytest.mark.parametrize("seed", [1, 2])
def test_planted_outliers_are_found_and_no_others(tmp_path: Path, seed: int) -> None:
    """On the fleet of the benchmark, smaller: hosts differ by an eighth in latency, and by their
    CPUs, kernels and backends."""
    planted = write_fleet(tmp_path, 120, seed)
    [group] = merge_document(merge_files(list_inputs([str(tmp_path)])))["groups"]
    [latency] = [metric for metric in group["metrics"] if metric["metric"] == "latency"]
    for figure in ("p50", "p99"):
        found = {one["host"] for one in latency["outliers"] if one["figure"] == figure}
        assert found == planted.outliers
