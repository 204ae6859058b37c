"""Paths and buffers at a kernel function, by trampolines and by dynamic events."""

from typing import Any

import pytest

from orchestrator.accounting.count import at_least
from tests.guest.bcc.test_mechanisms import EVENTS, LIMITS, case
from tests.support.guest_cases import CaseResult

PLAN = (
    LIMITS
    + """
probes:
  p:
    attach: function:vfs_read
    where: args.count == 4093
    let: {file: path(args.file)}
    emit: {file: file, inside: path(args.file.f_path.dentry), got: "buf(user(args.buf), retval)"}
    metrics: {n: {count: true, by: [file]}}
"""
)
READS = ["load", "read", "50"]


def check(found: Any) -> None:
    """Fifty reads of /dev/zero, but those that the kernel says it passed over: its path through the
    mount of /dev, its name in that file system, and 256 zeroes of the 4093."""
    missed = sum(at_least(side["kernel_missed"]) for side in found["sides"].values())
    assert 50 - missed <= found["recorded"] <= 50
    for record in found["records"]:
        counted, file = record["file"][:4], record["file"][4:].split("\0")
        assert ord(counted[3]) == 0x80 or counted[3] == "\ufffd"  # the root was reached
        assert file[:2] == ["zero", "dev"]
        assert record["inside"][4:].split("\0")[0] == "zero"
        assert record["got"].strip("\0") in ("\x01", "\0\x01", "")
        assert record["truncated"] == ["got"]


@case("path-event", PLAN, READS, EVENTS)
def test_a_path_at_a_functions_return_by_a_dynamic_event(guest: CaseResult) -> None:
    """With the file's address from a register at the entry."""
    check(guest.result())


@case("path-fentry", PLAN, READS, [])
def test_a_path_at_a_functions_return_by_a_trampoline(guest: CaseResult) -> None:
    """With the file's address from the trampoline's context."""
    check(guest.result())


@pytest.mark.guest("tests.guest.bcc.captured:load", prepare="tests.guest.bcc.captured:prepare")
def test_loops_over_memory_are_accepted_by_the_kernel(guest: CaseResult) -> None:
    """The verifier takes each program, several loops of the largest sizes in one."""
    assert guest.result() == {}
