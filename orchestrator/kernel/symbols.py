"""The functions of one kernel: kallsyms, what ftrace can trace, what kprobes refuse.

The files are read when first needed, and searched as bytes: they have a hundred thousand lines, and
a plan uses a handful of names. Recorded files are the same text without addresses.
"""

import fnmatch
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from orchestrator.kernel.answer import Answer
from orchestrator.kernel.kallsyms import (
    TextRanges,
    add_aliases,
    find_address,
    find_aliases,
    find_containing,
    find_text_ranges,
    find_variable,
    function_lines,
    is_function_line,
    symbol_name,
)
from orchestrator.kernel.renames import RENAMES
from orchestrator.kernel.tree import Tree, tracing_path

KALLSYMS = "proc/kallsyms"
FILTER_FUNCTIONS = "available_filter_functions"
_TRACE_ENDS = (b"\n", b" [")
BLACKLIST = "sys/kernel/debug/kprobes/blacklist"

_VARIANT = re.compile(rb"\.(?:isra|constprop|part|cold|llvm|lto_priv|localalias)\b[.\w]*")


class Symbols:
    """Symbol facts of one kernel. Names that are not C identifiers are not found."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._places: dict[tuple[str, ...], dict[bytes, str]] = {}

    def count(self, name: str) -> int:
        """How many functions have this name; kprobes refuse a name that occurs twice."""
        return len(self._modules_of(name))

    def is_function(self, name: str) -> bool:
        """Whether kallsyms has a function of this name."""
        return self.count(name) > 0

    def module(self, name: str) -> str | None:
        """The module of the (first) function of this name; None for the kernel proper."""
        return next(iter(self._modules_of(name)), None)

    def address(self, name: str) -> int | None:
        """Its address; None where it is not a function, is hidden, or was not recorded."""
        at = next(self._find_lines(name), None)
        if at is None:
            return None
        line_start = self._kallsyms.rfind(b"\n", 0, at) + 1
        return int(self._kallsyms[line_start : at - 2] or b"0", 16) or None

    def find_variable(self, name: str) -> int | None:
        """The address of a variable of the kernel proper, of per-CPU ones as the linker has it;
        None where there is none of that name, or it is not listed. 0: addresses are hidden, or
        were not recorded."""
        if not name.isidentifier() or not name.isascii():
            return None
        written = find_variable(self._kallsyms, name.encode(), self._text_ranges)
        if not written:
            return None
        return int(written, 16) if self._text_ranges else 0

    @property
    def has_variables(self) -> bool:
        """Whether variables are listed at all: their kernel has CONFIG_KALLSYMS_ALL."""
        return re.search(rb" [bBdD] \w+\n", self._kallsyms) is not None

    def find_same(self, name: str, others: tuple[str, ...]) -> str | None:
        """Which of `others` is a name of the same address; None where none is, or where addresses
        are hidden or were not recorded. The addresses of `others` are looked up once."""
        if others not in self._places:
            text = self._kallsyms
            self._places[others] = {find_address(text, other.encode()): other for other in others}
        address = find_address(self._kallsyms, name.encode())
        return self._places[others].get(address) if address.strip(b"0") else None

    def names_at(self, name: str, offset: int = 0) -> tuple[str, ...]:
        """All names of the function that contains the byte at `name` + `offset`; () where addresses
        are hidden or were not recorded."""
        if not offset:
            return tuple(map(_decode_name, find_aliases(self._kallsyms, name)))
        address = self.address(name)
        if address is None:
            return ()
        return tuple(map(_decode_name, find_containing(self._kallsyms, address + offset)))

    def traceable(self, name: str) -> Answer:
        """Whether ftrace lists it in available_filter_functions, under this or another name of
        the same address; unknown where that is closed."""
        answer = _is_listed(self._filter_functions, name, _TRACE_ENDS)
        if answer != "no":
            return answer
        others = (other.decode("utf-8", "replace") for other in find_aliases(self._kallsyms, name))
        listed = (_is_listed(self._filter_functions, other, _TRACE_ENDS) for other in others)
        return "yes" if "yes" in listed else "no"

    def blacklisted(self, name: str) -> Answer:
        """Whether kprobes refuse it by their blacklist; unknown where debugfs is closed."""
        return _is_listed(self._blacklist, name, (b"\n",))

    def nearest(self, name: str, n: int = 3) -> tuple[str, ...]:
        """Up to `n` function names that look most like this one, best first."""
        from difflib import get_close_matches  # for errors only

        slack = max(2, len(name) // 3)
        near = [other for other in self.names if abs(len(other) - len(name)) <= slack]
        return tuple(get_close_matches(name, near, n, 0.75))

    def renamed(self, name: str) -> tuple[str, ...]:
        """Functions of this kernel that replaced this name of other kernels.

        From the table of known renames, then compiler variants (`.isra.0`, `.constprop.0`: other
        arguments; `.part.0`, `.cold`: fragments). For hints; never used silently.
        """
        known = [other for other in RENAMES.get(name, ()) if self.is_function(other)]
        return tuple(dict.fromkeys([*known, *self.variants(name)]))

    def variants(self, name: str) -> tuple[str, ...]:
        """Compiler-made variants of a function: `vfs_fsync.cold`, `foo.isra.0`."""
        variants = []
        for match in re.finditer(rb" (%b\.[^\s]+)" % re.escape(name.encode()), self._kallsyms):
            if _VARIANT.match(match[1], len(name.encode())):
                variants.append(match[1].decode("utf-8", "replace"))
        return tuple(dict.fromkeys(variants))

    def glob(self, pattern: str, limit: int) -> tuple[str, ...]:
        """Functions that match a shell pattern (`*`, `?`, `[a-z]`), sorted, at most `limit`."""
        matches = re.compile(fnmatch.translate(pattern)).match
        return tuple(sorted(filter(matches, self.names))[:limit])

    def select_probeable(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of `names` that are one function each, and that neither ftrace nor kprobes are
        known to refuse: as `count`, `traceable` and `blacklisted` say, for many names at once."""
        refused = self._repeated | self._listed(self._blacklist)
        chosen = [name for name in names if name not in refused]
        if self._filter_functions is None:
            return tuple(chosen)
        listed = self._traceable_names
        return tuple(name for name in chosen if name in listed)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All function names, once each; costs about 50 ms when first used."""
        return tuple(map(_decode_name, self._counts))

    @cached_property
    def _counts(self) -> Counter[bytes]:
        """How many functions have each name."""
        return Counter(map(symbol_name, function_lines(self._kallsyms)))

    @cached_property
    def _repeated(self) -> frozenset[str]:
        return frozenset(_decode_name(name) for name, times in self._counts.items() if times > 1)

    @cached_property
    def _traceable_names(self) -> frozenset[str]:
        """The functions that ftrace lists, by all names of their addresses."""
        lines = (self._filter_functions or b"").splitlines()
        listed = {line.partition(b" [")[0] for line in lines}
        return frozenset(map(_decode_name, add_aliases(self._kallsyms, listed)))

    @staticmethod
    def _listed(text: bytes | None) -> frozenset[str]:
        return frozenset(map(_decode_name, (text or b"").splitlines()))

    @cached_property
    def _kallsyms(self) -> bytes:
        return self._read_lines(lambda: self._tree.read(KALLSYMS)) or b""

    @cached_property
    def _text_ranges(self) -> TextRanges:
        return find_text_ranges(self._kallsyms)

    @cached_property
    def _filter_functions(self) -> bytes | None:
        tracing = tracing_path(self._tree)
        return self._read_lines(lambda: self._tree.read(f"{tracing}/{FILTER_FUNCTIONS}"))

    @cached_property
    def _blacklist(self) -> bytes | None:
        """Lines are `0xstart-0xend<TAB>name`, kernel/kprobes.c; addresses are not recorded."""
        text = self._read_lines(lambda: self._tree.read(BLACKLIST))
        return text and re.sub(rb"\n[^\n\t]*\t", b"\n", text)

    @staticmethod
    def _read_lines(read: Callable[[], bytes]) -> bytes | None:
        """The file with a newline before it, so that each line has one on both sides."""
        try:
            return b"\n" + read()
        except OSError:
            return None

    def _modules_of(self, name: str) -> list[str | None]:
        """The module of each function of this name: kallsyms appends `<TAB>[module]`."""
        text, length = self._kallsyms, len(name.encode())
        ends = (text.index(b"\n", at) for at in self._find_lines(name))
        rests = (
            text[at + length : end] for at, end in zip(self._find_lines(name), ends, strict=True)
        )
        return [rest.strip(b"\t []").decode("utf-8", "replace") or None for rest in rests]

    def _find_lines(self, name: str) -> Iterator[int]:
        """Where the names of functions with this name start in kallsyms."""
        text, needle = self._kallsyms, b" " + name.encode()
        if not name or not name.isprintable() or " " in name:
            return
        at = text.find(needle)
        while at >= 0:
            end = at + len(needle)
            line = text[text.rfind(b"\n", 0, at) + 1 : text.find(b"\n", end)]
            if text[end : end + 1] in (b"\n", b"\t") and is_function_line(line, self._text_ranges):
                yield at + 1
            at = text.find(needle, end)


def _decode_name(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _is_listed(text: bytes | None, name: str, ends: tuple[bytes, ...]) -> Answer:
    if text is None:
        return "unknown"
    start = b"\n" + name.encode()
    return "yes" if any(start + end in text for end in ends) else "no"
