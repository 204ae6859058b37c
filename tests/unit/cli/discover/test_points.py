"""probeplan list."""

import json

import pytest

from orchestrator.cli import main
from tests.support.recorded import recorded

KERNEL = ["--kernel", "debian:6.12"]


def run(*arguments: str) -> int:
    return main(["list", *arguments, *KERNEL])


def test_attach_points_are_printed_one_a_line_and_counted(capsys) -> None:
    assert run("tracepoint:sched:sched_wakeup*", "syscall:openat") == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "tracepoint:sched:sched_wakeup",
        "tracepoint:sched:sched_wakeup_new",
        "syscall:openat",
    ]
    assert printed.err == "3 attach points\n"


def test_a_limit_cuts_and_says_so(capsys) -> None:
    assert run("tracepoint:sched:*", "--limit", "2") == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 2
    assert "of them are beyond --limit 2" in printed.err


def test_what_is_refused_is_counted_and_shown_by_v(capsys) -> None:
    assert run("function:_raw_spin_lock*") == 0
    printed = capsys.readouterr()
    assert "_raw_spin_lock\n" not in printed.out
    assert "cannot be attached to: -v lists them" in printed.err
    assert run("-v", "function:_raw_spin_lock") == 0
    printed = capsys.readouterr()
    assert "  refused: '_raw_spin_lock' is on the list" in printed.out


def test_v_shows_types_names_results_and_hot_marks(capsys) -> None:
    assert run("-v", "tracepoint:skb:kfree_skb", "function:vfs_read") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "attach: tracepoint:skb:kfree_skb" in lines
    reason = next(line for line in lines if "args.reason" in line)
    assert reason.split()[:4] == ["args.reason", "u32", "enum", "skb_drop_reason"]
    assert "SKB_DROP_REASON_NOT_SPECIFIED=2" in reason
    assert reason.endswith(" more")
    assert "  hot: it runs at every packet" in lines
    assert [line.split() for line in lines if line.startswith("  retval")] == [
        ["retval", "s64", "ssize_t"]
    ]


def test_json_has_all_names(capsys) -> None:
    assert run("-v", "tracepoint:skb:kfree_skb", "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kernel"].startswith("6.12.")
    assert (document["found"], document["refused"]) == (1, 0)
    [point] = document["points"]
    assert point["attach"] == "tracepoint:skb:kfree_skb"
    [reason] = [value for value in point["values"] if value["expression"] == "args.reason"]
    assert {"name": "SKB_CONSUMED", "value": 1} in reason["names"]
    assert len(reason["names"]) > 8


def test_without_a_point_the_kinds_are_counted(capsys) -> None:
    assert run() == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "tracepoint:CATEGORY:EVENT" in rows["tracepoint"]


def test_counts_are_json_too(capsys) -> None:
    assert run("--format", "json") == 0
    kinds = {one["kind"]: one for one in json.loads(capsys.readouterr().out)["kinds"]}
    assert kinds["tracepoint"]["count"] == len(recorded("6.12").tracepoint_names())


@pytest.mark.parametrize(
    ("points", "code", "says"),
    [
        (["tracepoint:kvm:*"], 3, "it has no category 'kvm'"),
        (["tracepoint:kvm:*", "syscall:openat"], 3, "it has no category 'kvm'"),
        (["a b"], 2, "is no attach point"),
        (["usdt"], 2, "needs a file"),
    ],
)
def test_exit_codes(points: list[str], code: int, says: str, capsys) -> None:
    assert run(*points) == code
    printed = capsys.readouterr()
    assert says in printed.err
    assert ("syscall:openat" in printed.out) is ("syscall:openat" in points)


def test_what_is_no_recording_is_refused(capsys) -> None:
    assert main(["list", "x", "--kernel", "/dev/null"]) == 2
    assert "probeplan facts" in capsys.readouterr().err


def test_completions_are_printed_for_shells(capsys) -> None:
    assert run("--complete", "tracepoint:sched:sched_wakeup_") == 0
    assert capsys.readouterr().out == "tracepoint:sched:sched_wakeup_new\n"
