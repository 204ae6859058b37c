"""The table at the end of a session."""

from orchestrator.pytest_plugin.summary import SummaryTable


def result(that: str, value: str, verdict: str) -> dict[str, str]:
    return {"plan": "fsync", "that": that, "value": value, "bound": "== 0", "verdict": verdict}


def test_tests_with_one_expectation_share_a_row() -> None:
    table = SummaryTable()
    table.add([result("sync.calls == 0", "0", "ok"), result("ring.requests == 0", "0", "ok")])
    table.add([result("sync.calls == 0", "2", "fail")])
    table.add([result("sync.calls == 0", "", "inconclusive")])
    assert [line.split("  ") for line in table.lines()][1:] == [
        line.split("  ")
        for line in (
            "fsync  sync.calls == 0     0, 2   == 0   3      1 ok, 1 FAIL, 1 inconclusive",
            "fsync  ring.requests == 0  0      == 0   1      ok",
        )
    ]


def test_nothing_measured_is_no_table() -> None:
    assert list(SummaryTable().lines()) == []


def test_many_values_are_cut() -> None:
    table = SummaryTable()
    for number in range(9):
        table.add([result("sync.calls == 0", str(number), "fail")])
    assert "0, 1, 2, …" in list(table.lines())[1]
