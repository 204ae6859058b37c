"""What a shell offers for the beginning of an attach point."""

from pathlib import Path

import pytest

from orchestrator.discovery.prefixes import complete_point
from tests.support.bcc_runs import build
from tests.support.paths import WORKLOADS
from tests.support.recorded import recorded


@pytest.mark.parametrize(
    ("word", "offered"),
    [
        ("usd", ("usdt:",)),
        ("f", ("fentry:", "fexit:", "function:")),
        ("tracepoint:sched:sched_swit", ("tracepoint:sched:sched_switch",)),
        (
            "tracepoint:sched:sched_wakeup",
            ("tracepoint:sched:sched_wakeup", "tracepoint:sched:sched_wakeup_new"),
        ),
        ("syscall:openat", ("syscall:openat", "syscall:openat2")),
        ("function:vfs_readl", ("function:vfs_readlink",)),
        ("function:_raw_spin_lock_bh", ()),
        ("tracepoint:*", ()),
        ("nosuch:", ()),
        ("function:", ()),
        ("uprobe:/nonexistent:", ()),
    ],
)
def test_a_word_is_completed_part_by_part(word: str, offered: tuple[str, ...]) -> None:
    found = complete_point(word, recorded("6.1"))
    assert found[: len(offered)] == offered
    assert all(text.startswith(word) for text in found)


def test_a_category_that_alone_fits_is_followed_by_its_events() -> None:
    facts = recorded("6.1")
    assert "tracepoint:sched:sched_switch" in complete_point("tracepoint:sche", facts)
    assert "tracepoint:sched:" in complete_point("tracepoint:s", facts)


def test_paths_lead_to_the_names_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "a b").touch()
    program = build(WORKLOADS / "texts.c", tmp_path / "program")
    facts = recorded("6.1")
    assert set(complete_point(f"usdt:{tmp_path}/", facts)) == {
        f"usdt:{tmp_path}/inner/",
        f"usdt:{program}:",
    }
    assert complete_point(f"uprobe:{program}:gi", facts) == (f"uprobe:{program}:give",)
    assert f"usdt:{program}:texts:glob_one" in complete_point(f"usdt:{tmp_path}/pro", facts)
