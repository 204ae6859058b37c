"""Stacks read from their map, each once."""

import struct
import sys
from collections.abc import Collection, Iterable, Sequence

from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.handles.maps import Map
from orchestrator.backends.protocol import StackCounts
from orchestrator.compile.program import Hook
from orchestrator.symbols.frames import KernelFunction, Stack

_ONLY = struct.pack("=I", 0)


class StackReader:
    """The map of stacks, and its counters. `hooks`: those of the program that takes them."""

    def __init__(self, stacks: Map, counts: Map, hooks: Iterable[Hook]) -> None:
        self._stacks, self._counts = stacks, counts
        self._depth = (stacks.spec.value_size - layout.STACK_HEAD_BYTES) // layout.WORD
        self._seen: set[bytes] = set()
        self._places = {
            layout.stack_place(hook): KernelFunction(hook.symbol, hook.module or "vmlinux")
            for hook in hooks
        }

    def counts(self) -> StackCounts:
        """The counters as of now."""
        value = self._counts.lookup(_ONLY) or bytes(len(layout.STACK_WORDS) * layout.WORD)
        words = struct.unpack(f"={len(layout.STACK_WORDS)}Q", value)
        return StackCounts(**dict(zip(layout.STACK_WORDS, words, strict=True)))

    def read_new(self, numbers: Collection[int] | None = None) -> Sequence[Stack]:
        """The stacks that were not read before, with these numbers or all. For all, the map is
        searched only when it has grown; stacks are never deleted from it."""
        stacks = self._read_unseen() if numbers is None else self._read_numbered(numbers)
        self._seen |= stacks.keys()
        return [self._parse(key, value) for key, value in stacks.items()]

    def _read_unseen(self) -> dict[bytes, bytes]:
        if self.counts().kept == len(self._seen):
            return {}
        return {key: value for key, value in self._stacks.items() if key not in self._seen}

    def _read_numbered(self, numbers: Collection[int]) -> dict[bytes, bytes]:
        keys = {number.to_bytes(layout.WORD, sys.byteorder) for number in numbers} - self._seen
        entries = ((key, self._stacks.lookup(key)) for key in keys)
        return {key: value for key, value in entries if value is not None}

    def _parse(self, key: bytes, value: bytes) -> Stack:
        user, shown, owner, *addresses = struct.unpack(f"=HHI{self._depth}Q", value)
        end = addresses.index(0) if 0 in addresses else self._depth
        return Stack(
            id=int.from_bytes(key, sys.byteorder),
            space="user" if user else "kernel",
            pid=owner if user else 0,
            addresses=tuple(addresses[:end]),
            cut=end >= self._depth - 1,
            shown=shown,
            probed=None if user else self._places.get(owner),
        )
