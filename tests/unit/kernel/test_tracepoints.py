"""Tracepoint formats: made-up ones for each kind of field, and all of this kernel's."""

import pytest

from orchestrator.kernel.facts import KernelFacts, live_facts
from orchestrator.kernel.tracepoints import TraceField, parse_format
from tests.support.trees import facts


def field(decl: str, size: int = 8, signed: str = "\tsigned:0;", event: str = "e") -> TraceField:
    text = f"name: {event}\nID: 9\nformat:\n\tfield:{decl};\toffset:16;\tsize:{size};{signed}\n"
    (found,) = parse_format("syscalls" if "sys_" in event else "c", event, text).fields
    assert found.offset == 16
    return found


@pytest.mark.parametrize(
    ("decl", "size", "name", "kind", "count"),
    [
        ("u64 addr", 8, "addr", "int", 0),
        ("bool on", 1, "on", "int", 0),
        ("enum zone_type zone", 4, "zone", "int", 0),
        ("const void * ptr", 8, "ptr", "pointer", 0),
        ("const void* ptr", 8, "ptr", "pointer", 0),
        ("const char *const * argv", 8, "argv", "pointer", 0),
        ("char comm[16]", 16, "comm", "string", 16),
        ("char comm[TASK_COMM_LEN]", 16, "comm", "string", 16),
        ("char buf[]", 0, "buf", "string", 0),
        ("__u8 saddr[4]", 4, "saddr", "array", 4),
        ("unsigned long args[6]", 48, "args", "array", 6),
        ("u8 table[2][8]", 16, "table", "array", 16),
        ("struct timespec64 ts", 16, "ts", "array", 16),
        ("__data_loc char[] name", 4, "name", "data_loc", 0),
        ("__rel_loc char[] name", 4, "name", "rel_loc", 0),
        ("__data_loc u32[] list", 4, "list", "dynamic", 0),
    ],
)
def test_kinds_of_fields(decl: str, size: int, name: str, kind: str, count: int) -> None:
    found = field(decl, size)
    assert (found.name, found.kind, found.count, found.size) == (name, kind, count, size)


def test_elements_of_an_array_have_their_size() -> None:
    assert field("unsigned long args[6]", 48).element_size == 8
    assert field("char comm[16]", 16).element_size == 1


def test_a_syscalls_slot_is_wider_than_its_value() -> None:
    """`int dfd` is in 8 unsigned bytes, of which 4 signed ones were given."""
    dfd = field("int dfd", event="sys_enter_openat")
    assert (dfd.size, dfd.signed, dfd.value_size, dfd.value_signed) == (8, False, 4, True)
    count = field("size_t count", event="sys_enter_read")
    assert (count.value_size, count.value_signed) == (8, False)
    assert field("umode_t mode", event="sys_enter_openat").value_size == 2


def test_syscall_pointers_are_user_pointers_and_others_only_by_tag() -> None:
    assert field("const char * filename", event="sys_enter_openat").user_pointer
    assert not field("const char * filename").user_pointer
    assert field('void __attribute__((btf_type_tag("user"))) * buf').user_pointer
    assert not field("int dfd", event="sys_enter_openat").user_pointer


def test_a_format_without_signedness_counts_as_unsigned() -> None:
    assert not field("int old", 4, signed="").signed


@pytest.mark.root
def test_all_live_formats_are_read_without_overlaps(live: KernelFacts) -> None:
    """But for dynamic events, which others may remove meanwhile."""
    names = live.tracepoint_names()
    assert len(names) > 500
    for category, event in names:
        tracepoint = live.tracepoint(category, event)
        if tracepoint is None:
            assert (category, event) not in live_facts().tracepoint_names()
            continue
        assert tracepoint.id
        end = 0
        for found in (*tracepoint.common, *tracepoint.fields):
            assert found.name
            assert found.offset >= end, (category, event, found)
            end = found.offset + found.size


def test_tracepoints_that_are_not_there_are_none() -> None:
    made_up = facts()
    assert made_up.tracepoint("sched", "sched_switch") is not None
    for category, event in [("sched", "x"), ("x", "x"), ("..", "sched"), ("", ""), ("a/b", "c")]:
        assert made_up.tracepoint(category, event) is None


def test_fields_are_found_by_name_the_common_ones_too() -> None:
    tracepoint = facts().tracepoint("sched", "sched_switch")
    assert tracepoint is not None
    assert tracepoint.id == 7
    pid, common = tracepoint.field("next_pid"), tracepoint.field("common_pid")
    assert pid in tracepoint.fields
    assert common in tracepoint.common
    assert tracepoint.field("absent") is None
