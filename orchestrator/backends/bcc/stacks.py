"""Stacks on their way out of the kernel: each is read once."""

import struct
from collections.abc import Sequence

from orchestrator.backends.bcc import layout
from orchestrator.backends.bcc.maps import Map
from orchestrator.backends.protocol import StackCounts
from orchestrator.symbols.frames import Stack

_ONLY = struct.pack("=I", 0)


class StackReader:
    """The map of stacks, and what was counted beside it."""

    def __init__(self, stacks: Map, counts: Map) -> None:
        self._stacks, self._counts = stacks, counts
        self._depth = (stacks.spec.value_size - layout.STACK_HEAD_BYTES) // layout.WORD
        self._seen: set[bytes] = set()

    def counts(self) -> StackCounts:
        """As of now."""
        value = self._counts.lookup(_ONLY) or bytes(len(layout.STACK_WORDS) * layout.WORD)
        words = struct.unpack(f"={len(layout.STACK_WORDS)}Q", value)
        return StackCounts(**dict(zip(layout.STACK_WORDS, words, strict=True)))

    def new(self) -> Sequence[Stack]:
        """Those that were not there at the last look. The map is gone through only when there are
        some; it only ever grows."""
        if self.counts().kept == len(self._seen):
            return ()
        found = [(key, value) for key, value in self._stacks.items() if key not in self._seen]
        self._seen |= {key for key, _ in found}
        return [self._stack(key, value) for key, value in found]

    def _stack(self, key: bytes, value: bytes) -> Stack:
        user, tgid, *addresses = struct.unpack(f"=II{self._depth}Q", value)
        end = addresses.index(0) if 0 in addresses else self._depth
        return Stack(
            id=int.from_bytes(key, "little"),
            space="user" if user else "kernel",
            pid=tgid,
            addresses=tuple(addresses[:end]),
            cut=end >= self._depth - 1,
        )
