"""What is known of events that the kernel did not show us."""

from pathlib import Path

import pytest

from orchestrator.accounting.count import Count
from tests.support.bcc_runs import balanced, run

COUNT = "metrics: {n: {count: true}}"
FIELD = "emit: {a: args.call_site}"  # a field of the record: no raw tracepoint will do


@pytest.mark.parametrize(
    ("attach", "use", "missed"),
    [
        ("tracepoint:syscalls:sys_enter_getppid", COUNT, 0),
        ("rawtracepoint:sys_enter", COUNT, 0),
        ("syscall:getppid", COUNT, 0),
        ("tracepoint:kmem:kmalloc", FIELD, 0),  # a witness counts those in handlers
    ],
)
def test_misses_are_known_where_the_kernel_counts_all_there_can_be(
    load: Path, attach: str, use: str, missed: Count
) -> None:
    """A system call's probe misses nothing, and says so; so does one with a witness."""
    made = run(f"probes: {{p: {{attach: '{attach}', {use}}}}}", [str(load), "getppid", "500"])
    balanced(made)
    assert {side.kernel_missed for side in made.counts.sides} == {missed}
