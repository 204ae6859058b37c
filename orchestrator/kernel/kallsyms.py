"""Lines of /proc/kallsyms: `ADDRESS TYPE NAME`, and `<TAB>[MODULE]` for a module's.

Types are nm(1)'s: t, T, w, W are in the text section, or weak. That alone does not make a
function: 7.3 gives some data the type T (measured: jiffies, init_task), so that addresses decide
where they are known. Recordings hold the same lines without addresses, functions only.
"""

import re
from collections.abc import Iterator

TextRanges = tuple[tuple[bytes, bytes], ...]
"""Ranges of addresses, as fixed-width hexadecimal, that hold the kernel's code; () is unknown."""

_TEXT_TYPES = (b"t", b"T", b"w", b"W")
#: Per-CPU data by its offset (a, A), data without a first value, data, read-only data, weak ones.
_DATA_TYPES = frozenset(b"aAbBdDrRvV")
# Padding in front of functions, for call thunks and control-flow integrity: not functions.
_NOT_FUNCTIONS = (b"__pfx_", b"__cfi_")
# Code made at run time: loaded BPF programs, and ftrace's and kprobes' own trampolines.
_NOT_MODULES = (b"[bpf]", b"[__builtin__ftrace]", b"[__builtin__kprobes]")
_RANGES = ((b"_stext", b"_etext"), (b"_sinittext", b"_einittext"))  # include/asm-generic/sections.h

_CODE_LINE = re.compile(rb"\n([0-9a-f]{16}) [tTwW] ")


def find_text_ranges(kallsyms: bytes) -> TextRanges:
    """The address ranges of code, by the linker's symbols; () where addresses are hidden or not
    kept."""
    ranges = [
        (find_address(kallsyms, first), find_address(kallsyms, end)) for first, end in _RANGES
    ]
    return tuple((first, end) for first, end in ranges if first.strip(b"0") and end.strip(b"0"))


def is_function_line(line: bytes, bounds: TextRanges) -> bool:
    """Whether the line is a function's; a module's type is trusted, since its range is unknown."""
    words = line.split()
    if len(words) < 2 or words[-1] in _NOT_MODULES:
        return False
    in_module = b"\t" in line
    words = [word for word in words if not word.startswith(b"[")]
    kind, name = words[-2:] if len(words) > 1 else (b"", b"")
    if kind not in _TEXT_TYPES or name.startswith(_NOT_FUNCTIONS):
        return False
    if len(words) == 2 or in_module or not bounds:
        return True
    return any(first <= words[0] < end for first, end in bounds)


def function_lines(kallsyms: bytes) -> Iterator[bytes]:
    """The lines that are functions, without their newlines."""
    bounds = find_text_ranges(kallsyms)
    return (line for line in kallsyms.split(b"\n") if is_function_line(line, bounds))


def symbol_name(line: bytes) -> bytes:
    """The name in a line."""
    words = line.split()
    return words[-2] if words[-1].startswith(b"[") else words[-1]


def find_aliases(kallsyms: bytes, name: str) -> tuple[bytes, ...]:
    """Other names of the same address: `__x64_sys_getppid` and `__do_sys_getppid` are one function,
    and ftrace lists it under one of them. () where addresses are hidden or were not recorded."""
    address = find_address(kallsyms, name.encode())
    if not address.strip(b"0") or b" " in address:
        return ()
    names = re.findall(rb"\n%b \w ([^\n\t]+)" % re.escape(address), kallsyms)
    return tuple(other for other in names if other != name.encode())


def find_containing(kallsyms: bytes, address: int) -> tuple[bytes, ...]:
    """The names of the function that begins last before `address`, or at it."""
    target = b"%016x" % address
    starts = (match[1] for match in _CODE_LINE.finditer(kallsyms))
    best = max((start for start in starts if start <= target), default=b"")
    if not best.strip(b"0"):
        return ()
    return tuple(re.findall(rb"\n%b [tTwW] ([^\n\t]+)" % best, kallsyms))


def add_aliases(kallsyms: bytes, names: set[bytes]) -> set[bytes]:
    """`names` and all other names of their addresses."""
    at: dict[bytes, list[bytes]] = {}
    for line in function_lines(kallsyms):
        words = line.split()
        if len(words) > 2 and words[0].strip(b"0"):
            at.setdefault(words[0], []).append(symbol_name(line))
    alike = (group for group in at.values() if len(group) > 1 and not names.isdisjoint(group))
    return names.union(*alike)


def find_address(kallsyms: bytes, name: bytes) -> bytes:
    """The address of a symbol of the kernel proper, as it is written; b"" where there is none."""
    at = kallsyms.find(b" " + name + b"\n")
    start = kallsyms.rfind(b"\n", 0, at) + 1 if at >= 0 else 0
    return kallsyms[start : at - 2] if at >= 0 else b""


def find_variable(kallsyms: bytes, name: bytes, bounds: TextRanges) -> bytes:
    """The address of a variable of the kernel proper, as it is written; b"" where there is none of
    that name, or a function has it, by where code is. Kernels built without CONFIG_KALLSYMS_ALL
    list hardly any."""
    at = kallsyms.find(b" " + name + b"\n")
    if at < 0:
        return b""
    start = kallsyms.rfind(b"\n", 0, at) + 1
    line, address = kallsyms[start : at + 1 + len(name)], kallsyms[start : at - 2]
    is_data = kallsyms[at - 1] in _DATA_TYPES or (bounds and not is_function_line(line, bounds))
    return address if is_data else b""
