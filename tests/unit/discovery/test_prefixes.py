"""What a shell offers for the beginning of an attach point."""

import pytest

from orchestrator.discovery.prefixes import complete_point
from tests.support.recorded import recorded


@pytest.mark.parametrize(
    ("word", "offered"),
    [
        ("usd", ("usdt:",)),
        ("f", ("function:", "fentry:", "fexit:")),
        ("tracepoint:sche", ("tracepoint:sched:",)),
        (
            "tracepoint:sched:sched_wakeup",
            ("tracepoint:sched:sched_wakeup", "tracepoint:sched:sched_wakeup_new"),
        ),
        ("syscall:openat", ("syscall:openat", "syscall:openat2")),
        ("function:vfs_readl", ("function:vfs_readlink",)),
        ("function:_raw_spin_lock_bh", ()),
        ("tracepoint:*", ()),
        ("nosuch:", ()),
        ("usdt:/bin/tr", ()),
        ("uprobe:/nonexistent:", ()),
    ],
)
def test_a_word_is_completed_part_by_part(word: str, offered: tuple[str, ...]) -> None:
    assert complete_point(word, recorded("6.1")) == offered
