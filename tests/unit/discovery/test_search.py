"""Attach points that a query names: the same that plans' globs match."""

import re
from pathlib import Path

import pytest

from orchestrator.compile.points import find_points
from orchestrator.discovery.query import parse_query
from orchestrator.discovery.search import (
    Search,
    explain_nothing_found,
    find_by_query,
    make_item,
)
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.recording import Recording
from orchestrator.kernel.tree import RecordedTree
from orchestrator.plan.naming.perf_events import PERF_EVENTS
from tests.support.bcc_runs import build
from tests.support.paths import WORKLOADS
from tests.support.recorded import recorded
from tests.support.trees import KALLSYMS


def search(text: str, facts: KernelFacts | None = None) -> Search:
    return find_by_query(parse_query(text), facts or recorded("6.1"))


def texts(found: Search) -> list[str]:
    return [point.text for point in found.points]


def why_nothing(text: str, facts: KernelFacts | None = None) -> str:
    facts = facts or recorded("6.1")
    query = parse_query(text)
    found = find_by_query(query, facts)
    assert found.points == []
    return str(explain_nothing_found(query, facts, found))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with three USDT probes and the functions give, take and main."""
    return build(WORKLOADS / "texts.c", tmp_path_factory.mktemp("texts") / "texts")


@pytest.mark.parametrize(
    "text",
    [
        "tracepoint:sched:sched_wakeup*",
        "tracepoint:*:sched_wakeup_n?w",
        "rawtracepoint:sched_wakeup*",
        "syscall:preadv*",
        "function:vfs_re*",
        "fexit:vfs_re*",
    ],
)
def test_what_is_listed_is_what_a_glob_in_a_plan_attaches_to(text: str) -> None:
    facts = recorded("6.1")
    kind, _, target = text.partition(":")
    points = find_points(make_item(kind, target), facts, 1000)
    listed = [point.text for point in search(text).points if not point.refused]
    assert listed == [point.label for point in points] != []


def test_a_name_without_a_kind_is_looked_up_among_all() -> None:
    assert texts(search("sched_switch")) == [
        "tracepoint:sched:sched_switch",
        "rawtracepoint:sched_switch",
    ]
    assert texts(search("openat")) == ["syscall:openat"]
    assert texts(search("tcp_v4_connect")) == ["function:tcp_v4_connect"]


def test_a_category_may_be_named_alone() -> None:
    assert texts(search("tracepoint:tcp")) == texts(search("tcp:*")) != []


def test_raw_tracepoints_without_an_event_of_their_name_are_listed() -> None:
    assert texts(search("rawtracepoint:pelt_cfs_tp")) == ["rawtracepoint:pelt_cfs_tp"]


def test_functions_that_cannot_be_probed_are_marked() -> None:
    refused = {point.target for point in search("function:_raw_spin_*lock").points if point.refused}
    assert {"_raw_spin_lock", "_raw_spin_unlock"} <= refused
    assert not any(point.refused for point in search("function:vfs_read").points)


def test_a_kernel_without_kprobes_says_so_and_lists_the_other_kinds() -> None:
    found = search("*openat2", recorded("6.18-no-kprobes"))
    assert "syscall:openat2" in texts(found)
    [problem] = found.problems
    assert "cannot probe functions" in problem.message
    assert "cannot probe functions" in why_nothing("function:x", recorded("6.18-no-kprobes"))


def test_names_of_a_file_are_found_by_kind_and_by_file(program: Path) -> None:
    usdt, functions = (
        [f"usdt:{program}:texts:{name}" for name in ("glob_one", "glob_two")],
        [f"ufunction:{program}:give"],
    )
    assert texts(search(f"usdt:{program}:glob_*")) == usdt
    assert texts(search(f"usdt:{program}:texts:glob_*")) == usdt
    assert texts(search(f"{program}:g?ive")) == []
    assert texts(search(f"{program}:gi*")) == functions
    assert set(functions + usdt) < set(texts(search(str(program))))


def test_hostile_names_in_a_file_are_counted_and_not_listed(program: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile"
    content = program.read_bytes()
    assert b"\0give\0" in content
    assert b"glob_one\0" in content
    content = content.replace(b"\0give\0", b"\0\x1b[2J\0").replace(b"glob_one\0", b"::error\x07\0")
    hostile.write_bytes(content)
    found = search(str(hostile))
    assert found.unspelled == 2
    assert all(text.isprintable() and "error" not in text for text in texts(found))


def test_timers_show_how_they_are_written() -> None:
    assert texts(search("profile")) == ["profile:99hz"]
    assert texts(search("profile:49hz")) == ["profile:49hz"]
    assert texts(search("interval:20ms")) == ["interval:20ms"]


def test_events_that_are_counted_are_listed_by_name() -> None:
    assert texts(search("perf:*-faults"))[-2:] == ["perf:minor-faults", "perf:page-faults"]
    assert texts(search("perf:cache-misses/5k")) == ["perf:cache-misses/5k"]
    assert len(texts(search("perf"))) == len(PERF_EVENTS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tracepoint:kvm:kvm_exit", "no category 'kvm'.*\n  hint: .*modprobe kvm; "),
        ("tracepoint:nosuch:*", "no category 'nosuch'.*\n  hint: is the module loaded"),
        ("tracepoint:sched:sched_swich", "hint: did you mean 'sched:sched_switch'"),
        ("syscal:openat", "hint: did you mean 'syscall'"),
        ("function:vfs_raed", "hint: did you mean function:vfs_read"),
        ("syscall:penat", "names contain it: probeplan list 'syscall:\\*penat\\*'"),
        ("/nonexistent:x", "no such file"),
        ("usdt:/bin/true", "found no usdt in /bin/true"),
    ],
)
def test_nothing_found_is_explained(text: str, reason: str) -> None:
    assert re.search(reason, why_nothing(text)), why_nothing(text)


@pytest.mark.parametrize("text", ["tracepoint:a:b", "syscall:read", "tracepoint"])
def test_without_tracefs_what_there_is_is_unknown(text: str) -> None:
    """And not absent: this user may only be unable to see it."""
    closed = KernelFacts(
        Recording(
            tree=RecordedTree({"proc/kallsyms": KALLSYMS}),
            release="6.0",
            arch="x86_64",
            page_size=4096,
            features={},
        ),
        recorded=False,
        source="a test",
    )
    reason = why_nothing(text, closed)
    assert "is not known: no tracepoints can be seen" in reason
    assert "are you root" in reason
    assert "known by their types, and" in why_nothing("rawtracepoint:x", closed)
