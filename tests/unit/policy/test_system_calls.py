"""A system call is recognised by every name that it has."""

import re

import pytest

from orchestrator.policy.kinds import event_of_function, kinds_given
from orchestrator.policy.system_calls import (
    EVERY_CALL,
    calls_of_event,
    calls_of_function,
    names_of_calls,
)
from tests.support.recorded import recorded


@pytest.mark.parametrize(
    "symbol",
    [
        *("__x64_sys_read", "__ia32_sys_read", "__ia32_compat_sys_read", "__arm64_sys_read"),
        *("__arm64_compat_sys_read", "__se_sys_read", "__do_sys_read", "__se_compat_sys_read"),
        *("ksys_read", "__sys_read", "do_sys_read", "sys_read", "compat_sys_read"),
        *("__do_sys_read.isra.0", "__riscv_sys_read", "__s390x_sys_read"),
        "__arm64_compat_sys_aarch32_read",
    ],
)
def test_functions_named_after_a_call_are_on_its_way(symbol: str) -> None:
    assert "read" in calls_of_function(symbol)


@pytest.mark.parametrize(
    "symbol", ["vfs_read", "read", "ksysread", "sysfs_emit", "__sysctl_head", "sys"]
)
def test_other_functions_are_not(symbol: str) -> None:
    assert calls_of_function(symbol) == ()


@pytest.mark.parametrize(
    "symbol",
    [
        *("do_syscall_64", "x64_sys_call", "invoke_syscall", "el0_svc", "__secure_computing"),
        *("do_el0_svc", "do_el0_svc_compat", "el0_svc_common.constprop.0", "el0_svc_compat"),
        *("el0t_64_sync_handler", "el0t_32_sync"),
        *("syscall_trace_enter", "__audit_syscall_exit", "perf_syscall_enter"),
        *("syscall_exit_to_user_mode", "do_int80_syscall_32"),
    ],
)
def test_the_common_way_sees_every_call(symbol: str) -> None:
    assert calls_of_function(symbol) == (EVERY_CALL,)


def test_events_see_their_call_and_the_raw_ones_every_call() -> None:
    assert calls_of_event("syscalls", "sys_exit_read") == ("read",)
    assert calls_of_event("raw_syscalls", "sys_enter") == (EVERY_CALL,)
    assert calls_of_event("", "sys_exit") == (EVERY_CALL,)
    assert calls_of_event("sched", "sys_enter") == calls_of_event("", "sched_switch") == ()


def test_names_cover_events_entry_points_and_shared_functions() -> None:
    names = names_of_calls(("openat",), ())
    assert {"openat", "syscalls:sys_enter_openat", "__x64_sys_openat", "do_sys_openat2"} <= {*names}
    assert "newstat" in names_of_calls(("stat",), ())
    assert "__arm64_sys_fadvise64_64" in names_of_calls(("fadvise64",), ())
    assert "__arm64_sys_arm64_personality" in names_of_calls(("personality",), ())
    every = names_of_calls((EVERY_CALL,), ("read", "write"))
    assert {"read", "write", "__x64_sys_write"} <= {*every}
    assert EVERY_CALL not in every


def test_functions_of_events_and_the_kinds_that_a_kind_is_as_good_as() -> None:
    assert event_of_function("__traceiter_sched_switch") == "sched_switch"
    assert event_of_function("vfs_read") == ""
    assert set(kinds_given("function", "vfs_read")) == {
        *("function", "entry", "kprobe", "fentry", "kretprobe", "fexit")
    }
    assert kinds_given("uprobe", "libc.so.6:malloc") == ("uprobe",)
    assert kinds_given("profile", "99hz") == ("profile",)


@pytest.mark.parametrize("kernel", ["6.1-arm64", "6.12-arm64"])
def test_each_entry_point_of_a_recorded_arm64_kernel_is_on_the_way_of_its_call(kernel: str) -> None:
    """Every function that the kernel's own wrapper makes is known for a system call's."""
    symbols = recorded(kernel).symbols.names
    wrappers = [name for name in symbols if re.match(r"__arm64_(compat_)?sys_(?!ni_syscall)", name)]
    assert len(wrappers) > 300
    assert [name for name in wrappers if not calls_of_function(name)] == []
