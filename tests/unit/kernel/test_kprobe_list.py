"""debugfs kprobes/list, in the forms that kernel/kprobes.c (report_probe) writes."""

from orchestrator.kernel.kprobe_list import parse_list

TEXT = """\
ffffffff81234560  k  vfs_read+0x0    [OPTIMIZED]
ffffffff81234560  k  vfs_read+0x0
ffffffff81345670  r  do_sys_openat2+0x0    [DISABLED][FTRACE]
ffffffffc0123450  k  ext4_file_open+0x0  ext4 [FTRACE]
0000000000000000  k  old_function+0x0  gone_module [GONE]
ffffffff81234567  k  vfs_read+0x7
"""


def test_each_place_has_the_flags_of_all_probes_there() -> None:
    assert parse_list(TEXT) == {
        "vfs_read": frozenset({"OPTIMIZED"}),
        "do_sys_openat2": frozenset({"DISABLED", "FTRACE"}),
        "ext4_file_open": frozenset({"FTRACE"}),
        "old_function": frozenset({"GONE"}),
        "vfs_read+0x7": frozenset(),
    }


def test_an_empty_list_is_no_probes() -> None:
    assert parse_list("") == {}
