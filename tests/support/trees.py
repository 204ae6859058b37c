"""Small made-up systems: a root folder or a tree in memory with the files that a test names."""

from collections.abc import Mapping

from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.feature import Feature
from orchestrator.kernel.recording import Recording
from orchestrator.kernel.tree import RecordedTree

TRACING = "sys/kernel/tracing"
KALLSYMS = b"""\
ffffffff81000000 T _stext
ffffffff81000010 T vfs_read
ffffffff81000020 t init_once
ffffffff81000030 t init_once\t[ext4]
ffffffff81000040 T __kmalloc_noprof
ffffffff81000050 t finish_task_switch.isra.0
ffffffff81000060 t do_work.cold
ffffffff81000070 T __pfx_vfs_read
ffffffff81000080 T exc_int3
ffffffff81000090 T __x64_sys_read
ffffffff810000a0 T vfs_readv
ffffffff810000b0 T freed_after_boot
ffffffff81000100 T _etext
ffffffff82000000 T jiffies
ffffffff82000010 D sysctl_text
ffffffffc0001000 t bpf_prog_1\t[bpf]
ffffffffc0000000 t ext4_sync_file\t[ext4]
"""
FILES: Mapping[str, bytes | int] = {
    "proc/kallsyms": KALLSYMS,
    f"{TRACING}/README": b"tracing mini-HOWTO:\n",
    f"{TRACING}/available_filter_functions": b"vfs_read\n__kmalloc_noprof\n"
    b"finish_task_switch.isra.0\next4_sync_file [ext4]\ninit_once\nexc_int3\n",
    f"{TRACING}/events/sched/sched_switch/format": b"name: sched_switch\nID: 7\nformat:\n"
    b"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
    b'\tfield:pid_t next_pid;\toffset:8;\tsize:4;\tsigned:1;\n\nprint fmt: "%d", REC->next_pid\n',
    "sys/kernel/debug/kprobes/blacklist": b"0xffffffff81000080-0xffffffff81000090\texc_int3\n",
    "sys/devices/system/cpu/possible": b"0-7\n",
    "sys/devices/system/cpu/online": b"1-3,6\n",
}
KPROBES = {"kprobes": Feature(state="yes", detail="made up")}


def facts(
    changes: Mapping[str, bytes | int] | None = None,
    features: Mapping[str, Feature] = KPROBES,
    *,
    recorded: bool = True,
) -> KernelFacts:
    """Facts of a made-up kernel: FILES with some replaced; a number is the errno of reading."""
    files = {**FILES, **(changes or {})}
    kept = Recording(
        tree=RecordedTree(files),
        release="6.0-made-up",
        arch="x86_64",
        page_size=4096,
        features=features,
    )
    return KernelFacts(kept, recorded=recorded, source="a test")
