"""Checks of kernel functions, in a kernel that has kprobes."""

import pytest

from tests.support.guest_cases import CaseResult
from tests.support.product import Ran

CHECK = """
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: syncs, summary: for tests}
plan:
  probes:
    sync: {attach: "kprobe:vfs_fsync_range", metrics: {calls: {count: true}}}
workload:
  setup: [[touch, a, b, c]]
  run: [sync, a, b, c]
  repeats: 2
expect:
  exact: sync.calls == 3
  no-more: sync.calls <= baseline
"""


@pytest.mark.usual_kernel  # the rule is about the kernel's name
@pytest.mark.guest("tests.guest.check.cases:check", text=CHECK, recorded_on=["5.10", "6.12", "7.3"])
def test_a_kernel_function_is_counted_exactly_and_compared_within_a_series(
    guest: CaseResult,
) -> None:
    """What the kernel does for a program is no regression of the program on another kernel."""
    result = guest.result()
    assert result["code"] == 4, result["errors"]
    ran = Ran.of(result["lines"])
    exact, no_more = ran.of_kind("check.verdict")
    assert (exact["expectation"], exact["verdict"]) == ("exact", "ok")
    assert [one["values"] for one in exact["series"]] == [[3, 3]]
    assert (no_more["expectation"], no_more["verdict"]) == ("no-more", "inconclusive")
    [reason] = no_more["reasons"]
    assert "no baseline for x86_64, kernel 6.1 (the nearest is of x86_64, kernel 6.12)" in reason
    assert "--update new" in reason
    assert result["left"] == []
