"""Which events a kernel can miss without counting it."""

from dataclasses import replace

import pytest

from orchestrator.backends.bcc.design.misses import only_tasks_cause
from orchestrator.kernel.tracepoints import Tracepoint


def tracepoint(category: str, event: str) -> Tracepoint:
    return Tracepoint(category=category, event=event, id=1, common=(), fields=())


@pytest.mark.parametrize(
    ("category", "event", "known"),
    [
        ("syscalls", "sys_enter_read", True),
        ("raw_syscalls", "sys_exit", True),
        ("sched", "sched_switch", True),
        ("exceptions", "page_fault_user", True),
        ("sched", "sched_wakeup", False),
        ("exceptions", "page_fault_kernel", False),
        ("kmem", "kmalloc", False),
        ("kmem", "sched_switch", False),
    ],
)
def test_only_what_tasks_do_themselves_is_never_missed(
    category: str, event: str, known: bool
) -> None:
    """Handlers and interrupts wake tasks, allocate memory and fault in the kernel; they make no
    system calls and do not sleep."""
    assert only_tasks_cause(tracepoint(category, event)) is known
    assert only_tasks_cause(replace(tracepoint(category, event), id=None)) is known
