"""The kernel's list of kprobes: debugfs kprobes/list.

Lines (kernel/kprobes.c, report_probe): ADDRESS, then k or r, SYMBOL+0xOFFSET, the module if there
is one, and [GONE], [DISABLED], [OPTIMIZED], [FTRACE]. Hidden addresses do not hide the symbol.
"""

import re
from collections.abc import Mapping
from pathlib import Path

__all__ = ["AFTER_ENDBR", "FLAGS", "kprobe_states", "parse_list"]

#: Where functions begin with ENDBR64, the kernel moves a probe of the function behind it
#: (arch/x86/kernel/kprobes/core.c, arch_adjust_kprobe_addr).
AFTER_ENDBR = "+0x4"
FLAGS = ("GONE", "DISABLED", "OPTIMIZED", "FTRACE")
_LIST = Path("/sys/kernel/debug/kprobes/list")
_LINE = re.compile(
    r"^\S+\s+(?P<kind>[kr])\s+(?P<place>\S+)(?P<rest>.*)$",
    re.MULTILINE,
)


def kprobe_states() -> Mapping[str, frozenset[str]] | None:
    """By place (SYMBOL, or SYMBOL+0xOFFSET inside of it), the flags of all probes there, of
    any owner; None where debugfs has no such list or this user may not read it."""
    try:
        return parse_list(_LIST.read_text(errors="replace"))
    except OSError:
        return None


def parse_list(text: str) -> Mapping[str, frozenset[str]]:
    """The flags by place, from the file's text."""
    states: dict[str, frozenset[str]] = {}
    for line in _LINE.finditer(text):
        place = line["place"].removesuffix("+0x0")
        flags = frozenset(flag for flag in FLAGS if f"[{flag}]" in line["rest"])
        states[place] = states.get(place, frozenset()) | flags
    return states
