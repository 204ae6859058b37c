"""Switches attached probes by a write to memory: pytest's process makes no system call for it."""

import mmap
import os

__all__ = ["Gate"]


class Gate:
    """The switch of one plan's probes, shut at first. `descriptor`: as in backends.protocol's
    ProbeSwitch; it is closed."""

    def __init__(self, descriptor: int, size: int) -> None:
        try:
            self._words = memoryview(mmap.mmap(descriptor, size)).cast("Q")
        finally:
            os.close(descriptor)
        self._on: tuple[int, ...] = ()
        self._is_ours = True
        os.register_at_fork(after_in_child=self._leave)

    def _leave(self) -> None:
        """In a child, the probes are its parent's to switch."""
        self._is_ours = False

    def prepare(self, words: tuple[int, ...]) -> None:
        """What the words are while the probes are on."""
        self._on = words

    def open(self) -> None:
        """Switch the probes on."""
        if self._is_ours:
            for index, word in enumerate(self._on):
                self._words[index] = word

    def shut(self) -> None:
        """Switch the probes off."""
        if self._is_ours:
            for index in range(len(self._on)):
                self._words[index] = 0
