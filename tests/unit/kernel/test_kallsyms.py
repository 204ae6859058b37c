"""Lines of /proc/kallsyms."""

from orchestrator.kernel.kallsyms import (
    add_aliases,
    find_aliases,
    find_containing,
    find_text_ranges,
    function_lines,
    symbol_name,
)

LINES = b"""
ffffffff81000000 T _stext
ffffffff81000010 T __x64_sys_read
ffffffff81000010 t __do_sys_read
ffffffff81000020 T __pfx_vfs_read
ffffffff81000030 T vfs_read
ffffffff81100000 T _etext
ffffffff82000000 T init_task
ffffffffc0000000 t ext4_sync_file\t[ext4]
ffffffffc1000000 t bpf_prog_12\t[bpf]
"""


def names(text: bytes) -> set[bytes]:
    """The functions in a text."""
    return set(map(symbol_name, function_lines(text)))


def test_functions_are_told_from_data_by_their_address() -> None:
    """7.3 gives some data the type T; padding and programs made at run time are no functions."""
    assert names(LINES) >= {b"vfs_read", b"__x64_sys_read", b"ext4_sync_file"}
    assert not names(LINES) & {b"init_task", b"__pfx_vfs_read", b"bpf_prog_12"}


def test_without_addresses_types_decide() -> None:
    """As in recordings, and for readers without CAP_SYSLOG."""
    assert find_text_ranges(b"\n0000000000000000 T _stext\n0000000000000000 T _etext\n") == ()
    assert b"init_task" in names(b"T init_task\nT vfs_read\n")


def test_other_names_of_an_address_are_found() -> None:
    """ftrace lists a function under one of its names."""
    assert find_aliases(LINES, "__x64_sys_read") == (b"__do_sys_read",)
    assert find_aliases(LINES, "vfs_read") == ()
    assert add_aliases(LINES, {b"__do_sys_read"}) == {b"__do_sys_read", b"__x64_sys_read"}


def test_an_address_is_in_the_function_that_begins_last_before_it() -> None:
    """All names that the function has; nothing is before the first."""
    lines = (
        b"\nffffffff81000100 T first\nffffffff81000200 t second\nffffffff81000200 T alias"
        b"\nffffffff81000300 D data\n"
    )
    assert find_containing(lines, 0xFFFFFFFF810001FF) == (b"first",)
    assert set(find_containing(lines, 0xFFFFFFFF81000200)) == {b"second", b"alias"}
    assert set(find_containing(lines, 0xFFFFFFFF81000310)) == {b"second", b"alias"}
    assert find_containing(lines, 0x100) == ()
