"""Stacks in keys are the functions of their frames, the same in each process and build."""

import pytest

from orchestrator.run.standing.stack_names import name_function
from orchestrator.symbols.frames import make_frame


@pytest.mark.parametrize(
    ("symbol", "offset", "module", "name"),
    [
        ("vfs_read", 0x1A, "vmlinux", "vfs_read"),
        ("start_this_handle", 0x5C, "jbd2", "start_this_handle [jbd2]"),
        ("main", 0x2F, "/opt/app", "main (app)"),
        (None, 0, "/opt/app", "? (app)"),
        ("__vdso_time", 1, "[vdso]", "__vdso_time ([vdso])"),
        (None, 0, None, "?"),
        ("operator+0x", 3, "/opt/a b", "operator+0x (a b)"),
    ],
)
def test_a_frame_is_its_function_without_a_place(
    symbol: str | None, offset: int, module: str | None, name: str
) -> None:
    assert name_function(make_frame(0x7F0011223344, symbol, offset, module)) == name
