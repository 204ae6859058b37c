"""Resolves kernel addresses to symbols, in bulk: /proc/kallsyms as sorted arrays.

Readers need CAP_SYSLOG to see addresses (kernel.kptr_restrict); for others all are 0.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orchestrator.symbols.frames import Frame, KernelFunction, make_frame

__all__ = ["KernelSymbols"]

_ADDRESS_DIGITS = 16
_TYPE_AT, _NAME_AT = 17, 19  # `ffffffff81000000 T _text`
_CODE = np.frombuffer(b"tTwW", dtype=np.uint8)
_FARTHEST = 1 << 20  # no function is as large: farther is a hole between sections or modules
_HEX = np.full(256, 0xFF, dtype=np.uint8)
for _digit in range(16):
    _HEX[ord(f"{_digit:x}")] = _digit


class KernelSymbols:
    """The symbols of code in `kallsyms`, the text of /proc/kallsyms."""

    def __init__(self, kallsyms: bytes) -> None:
        text = np.frombuffer(kallsyms, dtype=np.uint8)
        ends = np.flatnonzero(text == ord("\n"))
        starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)[: len(ends)]
        whole = ends - starts > _NAME_AT
        starts, ends = starts[whole], ends[whole]
        code = np.isin(text[starts + _TYPE_AT], _CODE)
        starts, ends = starts[code], ends[code]
        addresses = _parse_addresses(text, starts)
        self._text = kallsyms
        # Of several names for one address the first in the file, as the kernel itself prints it
        # (kernel/kallsyms.c, get_symbol_pos).
        self._addresses, first = np.unique(addresses, return_index=True)
        self._starts, self._ends = starts[first] + _NAME_AT, ends[first]
        self._known: dict[tuple[int, bool], Frame] = {}
        self._functions: dict[KernelFunction, Frame | None] = {}

    @classmethod
    def live(cls, path: Path = Path("/proc/kallsyms")) -> "KernelSymbols":
        """This machine's symbols; none where they cannot be read."""
        try:
            return cls(path.read_bytes())
        except OSError:
            return cls(b"")

    @cached_property
    def available(self) -> bool:
        """Whether addresses are known."""
        return len(self._addresses) > 1

    def addresses(self) -> list[int]:
        """The start addresses of functions, ascending."""
        return [int(address) for address in self._addresses]

    def frames(self, stacks: Sequence[Sequence[int]]) -> list[tuple[Frame, ...]]:
        """The frames of some stacks, each address looked up once. All but a stack's first address
        are return addresses: the call precedes them."""
        wanted = {(address, bool(at)) for stack in stacks for at, address in enumerate(stack)}
        self._look_up([place for place in wanted if place not in self._known])
        known = self._known
        return [
            tuple([known[address, bool(at)] for at, address in enumerate(stack)])
            for stack in stacks
        ]

    def function(self, function: KernelFunction) -> Frame | None:
        """The start of a function, looked up once; None where it is not known."""
        if function not in self._functions:
            at = self._find_function(function)
            self._functions[function] = None if at is None else self.frames([(at,)])[0][0]
        return self._functions[function]

    def _find_function(self, function: KernelFunction) -> int | None:
        """The address of the first function of this name, as the kernel finds it for a trampoline
        (kallsyms_lookup_name); None where it is not there, or hidden."""
        end = "" if function.module == "vmlinux" else f"\t[{function.module}]"
        needle = f" {function.symbol}{end}\n".encode()
        at = self._text.find(needle)
        while at >= 0:
            line_start = at + 1 - _NAME_AT
            if self._text[line_start + _TYPE_AT] in _CODE:
                return int(self._text[line_start : line_start + _ADDRESS_DIGITS], 16) or None
            at = self._text.find(needle, at + 1)
        return None

    def _look_up(self, places: Sequence[tuple[int, bool]]) -> None:
        if not places:
            return
        if not self.available:
            self._known |= {place: make_frame(place[0]) for place in places}
            return
        addresses = np.array([address for address, _ in places], dtype=np.uint64)
        sought = addresses - np.array([back for _, back in places], dtype=np.uint64)
        at = np.searchsorted(self._addresses, sought, side="right") - 1
        begins = self._addresses[np.maximum(at, 0)]
        is_known = (at >= 0) & (sought - begins < _FARTHEST)
        offsets = (addresses - begins).tolist()
        for place, index, offset, known in zip(
            places, at.tolist(), offsets, is_known.tolist(), strict=True
        ):
            self._known[place] = (
                self._frame(place[0], index, offset) if known else make_frame(place[0])
            )

    def _frame(self, address: int, index: int, offset: int) -> Frame:
        line = self._text[self._starts[index] : self._ends[index]].decode("ascii", "replace")
        name, _, module = line.partition("\t")
        return make_frame(address, name, offset, module.strip("[]") or "vmlinux")


def _parse_addresses(
    text: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint64]:
    """The fixed-width hexadecimal numbers at `starts`."""
    numbers = np.zeros(len(starts), dtype=np.uint64)
    for digit in range(_ADDRESS_DIGITS):
        numbers = numbers << np.uint64(4) | _HEX[text[starts + digit]].astype(np.uint64)
    return numbers
