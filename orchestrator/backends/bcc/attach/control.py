"""The words in shared memory by which user space steers the programs of a session."""

from collections.abc import Collection, Iterable, Sequence

from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.handles.maps import Map

__all__ = ["ControlElement"]

_WORD_MASK = (1 << 64) - 1


class ControlElement:
    """Which probes are enabled, until when, and with what sampling. Disarmed at first."""

    def __init__(self, map_layout: layout.MapLayout, control: Map, shared: Map) -> None:
        """Map the `control` and the `shared` element to memory. Raises OSError."""
        self._layout = map_layout
        self._control = memoryview(control.map_memory()).cast("Q")
        self._shared = memoryview(shared.map_memory()).cast("Q")
        self._armed = self._capped = self._released = False
        self._paused: set[int] = set()
        self._removed: set[int] = set()

    def write(self, words: Sequence[int]) -> None:
        """Put the element's first contents there."""
        for index, word in enumerate(words):
            self._control[index] = word

    def is_armed(self) -> bool:
        """Whether events may still be recorded."""
        return self._armed

    def arm(self, deadline_ns: int) -> None:
        """Enable all probes until `deadline_ns` (CLOCK_MONOTONIC)."""
        self._armed = True
        self.extend(deadline_ns)

    def extend(self, deadline_ns: int) -> None:
        """Move the deadline. Probes that were disabled because it had passed are enabled again."""
        if self._is_disabled():
            self._begin_epoch(probe.index for probe in self._layout.program.probes)
        self._control[self._layout.plan_word("deadline")] = deadline_ns
        self._enable()

    def pause(self, probes: Collection[int]) -> None:
        """Switch probes (by index) off: their programs return at once, and count that."""
        self._paused |= set(probes)
        self._enable()

    def resume(self, probes: Collection[int]) -> None:
        """Switch paused probes on again. Calls that were open are not paired: their returns may
        have been missed."""
        self._begin_epoch(probes)
        self._paused -= set(probes)
        self._enable()

    def remove(self, probe: int) -> Collection[int]:
        """Switch a probe off until the end; returns all that were removed so far."""
        self._removed.add(probe)
        self._enable()
        return self._removed

    def words_when_on(self) -> tuple[int, ...]:
        """The element's first words while all probes are on that were not removed."""
        return self._split_bits(self._bits_of_all() & ~self._bits_of(self._removed))

    def set_sampling(self, probe: int, every: int) -> None:
        """Keep one of `every` events. All programs read this word: each CPU then draws a new first
        gap."""
        self._control[self._layout.probe_word(probe, "sample")] = every

    def is_capped(self) -> bool:
        """True once the plan's event cap is reached; after `release`, as it was last seen."""
        program = self._layout.program
        if program.emits and not self._released:
            word = self._layout.emitted_line(None) * layout.LINE_WORDS
            self._capped = self._shared[word] >= program.limits.events
        return self._capped

    def disarm(self) -> None:
        """Disable all probes at once. Does nothing after `release`."""
        self._armed = False
        if not self._released:
            self._write_enabled(0)

    def release(self) -> None:
        """Unmap the memory. Idempotent."""
        self._released = True
        self._control.release()
        self._shared.release()

    def _enable(self) -> None:
        """Set a bit for each probe that is neither paused nor removed, unless all are disarmed."""
        stopped = self._layout.program.limits.at_cap == "stop" and self.is_capped()
        if self._armed and not stopped:
            off = self._bits_of(self._paused | self._removed)
            self._write_enabled(self._bits_of_all() & ~off)

    def _bits_of_all(self) -> int:
        return self._bits_of(probe.index for probe in self._layout.program.probes)

    @staticmethod
    def _bits_of(probes: Iterable[int]) -> int:
        return sum(1 << probe for probe in probes)

    def _split_bits(self, bits: int) -> tuple[int, ...]:
        return tuple(bits >> 64 * word & _WORD_MASK for word in range(self._layout.enabled_words))

    def _is_disabled(self) -> bool:
        return not any(self._control[word] for word in range(self._layout.enabled_words))

    def _begin_epoch(self, probes: Iterable[int]) -> None:
        for probe in probes:
            self._control[self._layout.probe_word(probe, "epoch")] += 1

    def _write_enabled(self, bits: int) -> None:
        for index, word in enumerate(self._split_bits(bits)):
            self._control[index] = word
