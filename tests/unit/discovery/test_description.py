"""What is known at an attach point."""

import pytest

from orchestrator.discovery.description import Described, assume_rights, describe_point
from orchestrator.discovery.query import parse_query
from orchestrator.discovery.search import find_by_query
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.feature import Feature
from tests.support.recorded import recorded
from tests.support.trees import facts as made_up


def describe(text: str, facts: KernelFacts | None = None) -> Described:
    facts = facts or recorded("6.1")
    [found] = find_by_query(parse_query(text), facts).points
    return describe_point(found, facts)


def values(point: Described) -> dict[str, tuple[str, str]]:
    return {value.expression: (str(value.type), value.ctype) for value in point.values}


def test_a_tracepoint_has_its_fields_with_their_types() -> None:
    point = describe("tracepoint:sched:sched_wakeup")
    assert values(point)["args.comm"] == ("string[16]", "char[16]")
    assert values(point)["args.pid"] == ("s32", "pid_t")
    assert (point.result, point.paired) == (None, False)
    assert "context switch" in point.hot


def test_a_function_has_its_arguments_as_c_has_them() -> None:
    point = describe("function:vfs_read")
    assert values(point) == {
        "args.file": ("kernel pointer", "struct file *"),
        "args.buf": ("kernel pointer", "char *"),
        "args.count": ("u64", "size_t"),
        "args.pos": ("kernel pointer", "loff_t *"),
    }
    assert point.paired
    assert point.result is not None
    assert (str(point.result.type), point.result.ctype) == ("s64", "ssize_t")


def test_a_system_call_has_arguments_and_a_result() -> None:
    point = describe("syscall:openat")
    assert values(point)["args.filename"] == ("user pointer", "const char *")
    assert point.result is not None


def test_an_enum_has_its_names() -> None:
    reason = next(
        value
        for value in describe("tracepoint:skb:kfree_skb", recorded("6.12")).values
        if value.expression == "args.reason"
    )
    assert ("SKB_DROP_REASON_NOT_SPECIFIED", 2) in reason.names


def test_a_name_that_python_owns_is_written_as_a_plan_has_to() -> None:
    text = b'ID: 7\nformat:\n\tfield:int from;\toffset:8;\tsize:4;\tsigned:1;\n\nprint fmt: ""\n'
    kernel = made_up({"sys/kernel/tracing/events/sched/sched_switch/format": text})
    assert list(values(describe("tracepoint:sched:sched_switch", kernel))) == ["args.from_"]


def test_a_table_of_the_tracepoint_goes_before_the_enum() -> None:
    text = (
        b"ID: 7\nformat:\n\tfield:int how;\toffset:8;\tsize:4;\tsigned:1;\n\n"
        b'print fmt: "%s", __print_symbolic(REC->how, { 1, "fast" }, { 2, "slow" })\n'
    )
    kernel = made_up({"sys/kernel/tracing/events/sched/sched_switch/format": text})
    [how] = describe("tracepoint:sched:sched_switch", kernel).values
    assert how.names == (("fast", 1), ("slow", 2))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("function:_raw_spin_lock", "must not be probed"),
        ("kprobe:exc_int3", "must not be probed"),
    ],
)
def test_what_cannot_be_attached_to_has_the_reason(text: str, reason: str) -> None:
    point = describe(text)
    assert point.refusal is not None
    assert reason in point.refusal.message


def test_what_there_is_depends_on_no_ones_rights() -> None:
    lacking = {
        name: Feature(state="no", detail="")
        for name in ("cap_sys_admin", "cap_bpf", "cap_perfmon", "lockdown")
    }
    kprobes = {"kprobes": Feature(state="unknown", detail="closed")}
    kernel = made_up(features={**lacking, **kprobes}, recorded=False)
    assert describe("function:vfs_read", kernel).refusal is not None
    assert describe("function:vfs_read", assume_rights(kernel)).refusal is None
