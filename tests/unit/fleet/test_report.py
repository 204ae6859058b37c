"""The text of a merge: what a reader has to know is in it, and nothing that commands a terminal."""

import re

from orchestrator.fleet.report import describe_merge
from tests.support.fleet import a_result, merged


def text(*results: dict, by_kernel: bool = False, expected: tuple[str, ...] = ()) -> str:
    return "\n".join(describe_merge(merged(results, expected), by_kernel=by_kernel))


def test_totals_say_how_many_hosts_they_stand_for() -> None:
    shown = text(a_result(1, metric="calls"), a_result(2, metric="calls"))
    assert "2 hosts: 2 complete" in shown
    assert "plan fleet-reads (8826ff7f6ee6), least 0, duration 2 s: 2 runs on 2 hosts" in shown
    assert "read.calls (count), on 2 hosts\n" in shown


def test_missing_hosts_and_bounds_are_named() -> None:
    lossy = a_result(2, complete=False, incomplete_because=["read: 5 updates were lost"])
    sampled = a_result(3)
    for metric in sampled["metrics"]:
        metric["estimated"] = True
    shown = text(a_result(1), lossy, sampled, expected=("host01", "host09"))
    assert "missing: 1 of 2 expected hosts: host09" in shown
    assert "incomplete: 1 run: read: … updates were lost (host02)" in shown
    assert "at least: 1 run lost data; an estimate: 1 run sampled" in shown


def test_settings_that_tell_groups_of_a_plan_apart_are_shown() -> None:
    """And no others of the many limits."""
    other = a_result(2)
    other["settings"]["limits"]["events"]["value"] = 7
    shown = text(a_result(1), other)
    assert "least 0, duration 2 s, events 10,000: 1 run" in shown
    assert "least 0, duration 2 s, events 7: 1 run" in shown


def test_of_many_groups_those_with_most_runs_are_shown() -> None:
    """As where every host has another target."""
    results = [a_result(n, metric="bytes") for n in range(30)]
    for number, result in enumerate(results[:25]):
        result["settings"]["target"] = {"pid": [number]}
    shown = text(*results)
    assert shown.count("plan fleet-reads") == 20
    assert shown.index("5 runs on 5 hosts") < shown.index("target pid")
    assert "and 6 groups more, of other plans or settings" in shown


def test_kernels_are_a_table_of_their_own() -> None:
    shown = text(a_result(1), a_result(2, backend="tracefs"), by_kernel=True)
    assert re.search(r"6\.12\.40-amd64 5b1f6e0c x86_64 +perf tracepoint +1 ", shown)
    assert "6.1.0-28-amd64 0c9d8a7b x86_64" in shown
    assert "per s and CPU" in shown


def test_many_cells_and_hosts_are_cut_short_with_their_number() -> None:
    result = a_result(1, metric="calls")
    cell = result["metrics"][0]["cells"][0]
    result["metrics"][0]["cells"] = [
        {**cell, "key": {"comm": f"task{number}"}} for number in range(25)
    ]
    assert "and 5 cells more" in text(result)


def test_names_of_hosts_and_keys_do_not_command_a_terminal() -> None:
    result = a_result(1, host="\x1b[2J", complete=False, incomplete_because=["\x1b[31m"])
    result["metrics"][0]["cells"][0]["key"] = {"comm": "\x1b[31m"}
    shown = text(result, a_result(1, run_id="other", host="a\nb"), expected=("\r",))
    assert "\x1b" not in shown
    assert "\r" not in shown
    assert "\\x1b[31m" in shown


def test_an_outlier_is_named_once_a_probe() -> None:
    """Each metric of a probe counts the same events."""
    results = [a_result(number, duration_ns=2_000_000_000) for number in range(10)]
    results[3]["run"]["duration_ns"] //= 4
    shown = text(*results)
    assert shown.count("host03: events per second and CPU") == 2, "events, and those of one size"
    assert "4 times as much" in shown
