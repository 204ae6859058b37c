"""Hosts and their clocks: who is there, who is missing, and whose times can be compared."""

from typing import Any

import pytest

from orchestrator.fleet.census import find_missing
from orchestrator.fleet.host_result import parse_result
from tests.support.fleet import Document, a_result, merged


def unmade(number: int, outcome: str) -> Document:
    """The result of a run that was not made."""
    result = a_result(number)
    kept = ("run_id", "plan", "host", "plan_sha256", "kernel")
    run = {name: result["run"][name] for name in kept}
    run |= {"outcome": outcome, "exit_code": 3, "reason": "not in the shard of 5 %"}
    return {**result, "run": run, "metrics": [], "backend": None, "mechanisms": {}}


def test_hosts_are_counted_by_what_became_of_them() -> None:
    """Totals stand for those of which a run was made; a host with two runs counts once, as the
    worse of them."""
    results = [
        a_result(1),
        a_result(2, complete=False, incomplete_because=["5 records were lost"]),
        a_result(2, run_id="again"),
        a_result(3, complete="unknown"),
        *(unmade(4 + n, outcome) for n, outcome in enumerate(("skipped", "refused", "skipped"))),
        unmade(7, "quarantined"),
        {**unmade(1, "skipped"), "run": {**unmade(1, "skipped")["run"], "run_id": "skip"}},
    ]
    document = merged(results)
    assert document["hosts"] == {
        "all": 7, "complete": 1, "incomplete": 1, "unknown": 1, "skipped": 2, "quarantined": 1,
        "refused": 1,
    }  # fmt: skip
    [group] = document["groups"]
    assert (group["runs"], group["hosts"]["counted"]) == (4, 3)
    assert {(one["state"], one["reason"], one["runs"]) for one in group["reasons"]} == {
        ("incomplete", "… records were lost", 1),
        ("skipped", "not in the shard of … %", 3),
        ("refused", "not in the shard of … %", 1),
        ("quarantined", "not in the shard of … %", 1),
    }


@pytest.mark.parametrize(
    ("expected", "missing"),
    [
        (["host01", "host02"], []),
        (["host01", "host03"], ["host03"]),
        ([f"{1:016x}"], []),
        (["host01.example.com", "host09.example.com"], ["host09.example.com"]),
        (["host01.a.example", "host01.b.example"], ["host01.a.example", "host01.b.example"]),
    ],
)
def test_missing_hosts_are_known_by_name_id_or_short_name(
    expected: list[str], missing: list[str]
) -> None:
    """A short name that two expected hosts have says nothing of either."""
    runs = [parse_result(a_result(number)).run for number in (1, 2)]
    assert find_missing(expected, runs) == missing


def test_an_expected_short_name_is_found_by_its_full_name() -> None:
    run = parse_result(a_result(1, host="host01.example.com")).run
    assert find_missing(["host01", "host02"], [run]) == ["host02"]


def test_expected_hosts_survive_another_merge() -> None:
    document = merged([a_result(1)], expected=["host01", "host02"])
    assert (document["expected"], document["missing"]) == (["host01", "host02"], ["host02"])


def test_shared_identities_are_listed() -> None:
    """Clones have one machine id; two hosts may have one name, and are two."""
    clones = [a_result(1, host_id="a" * 16), a_result(2, host_id="a" * 16)]
    namesakes = [a_result(3, host="localhost"), a_result(4, host="localhost")]
    nameless = [a_result(5, host_id="unknown"), a_result(6, host_id="unknown")]
    document = merged([*clones, *namesakes, *nameless])
    assert document["ids_of_several_names"] == {"a" * 16: ["host01", "host02"]}
    assert document["names_of_several_ids"] == {"localhost": [f"{3:016x}", f"{4:016x}"]}
    assert document["hosts"]["all"] == 5


def clocks(*results: Document) -> dict[str, Any]:
    [group] = merged(results)["groups"]
    return dict(group["clocks"])


def at(number: int, start: str, **clock: Any) -> Document:
    known = {"synchronised": True, "error_ns": 1_000_000, "steps": 0, **clock}
    return a_result(number, armed_at=start, clock=known)


def test_the_spread_is_that_of_synchronised_hosts() -> None:
    found = clocks(
        at(1, "2026-11-27T14:30:00.000000000Z"),
        at(2, "2026-11-27T14:30:02.500000001Z"),
        at(3, "2026-11-27T14:35:00.000000000Z", synchronised=False),
        at(4, "2026-11-27T14:36:00.000000000Z", synchronised="unknown"),
    )
    assert found["spread_ns"] == 2_500_000_001
    assert [run["host"] for run in found["unsynchronised"]] == ["host03"]
    assert found["unknown"] == 1


def test_clocks_that_are_inexact_were_set_or_are_days_off_are_listed() -> None:
    """Inexact: by more than a window; without windows, by more than the run."""
    results = [
        at(1, "2026-11-27T14:30:00.000000000Z"),
        at(2, "2026-11-27T14:30:00.000000000Z", error_ns=3_000_000_000),
        at(3, "2026-11-27T14:30:00.000000000Z", steps=2),
        at(4, "2026-11-25T14:30:00.000000000Z"),
    ]
    found = clocks(*results)
    listed = {name: [r["host"] for r in found[name]] for name in ("inexact", "stepped", "apart")}
    assert listed == {"inexact": ["host02"], "stepped": ["host03"], "apart": ["host04"]}
    for result in results:
        result["settings"]["every_ns"] = 900_000
    assert len(clocks(*results)["inexact"]) == 4
