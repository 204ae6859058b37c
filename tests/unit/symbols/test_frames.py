"""Frames of stacks, and their names."""

import pytest

from orchestrator.symbols.frames import make_frame


@pytest.mark.parametrize(
    ("symbol", "offset", "module", "name"),
    [
        ("vfs_read", 0x1A, "vmlinux", "vfs_read+0x1a"),
        ("start_this_handle", 0x5C, "jbd2", "start_this_handle+0x5c [jbd2]"),
        ("main", 0x2F, "/usr/bin/app", "main+0x2f (app)"),
        (None, 0, "/usr/bin/app", "0x1000 (app)"),
        (None, 0, "[heap]", "0x1000 ([heap])"),
        (None, 0, None, "0x1000"),
    ],
)
def test_a_frame_shows_symbol_offset_and_module(
    symbol: str | None, offset: int, module: str | None, name: str
) -> None:
    """Kernel modules in brackets, files in parentheses, without their folder."""
    assert make_frame(0x1000, symbol, offset, module).name == name
