"""Maps of the bcc backend that are Python dictionaries, and programs for recorded kernels."""

import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.backends.bcc.design import layout, memory
from orchestrator.backends.bcc.design.maps import MapSpec
from orchestrator.compile.program import Program
from tests.support.bcc_runs import program_of
from tests.support.recorded import recorded

CPUS = 2


def recorded_program(plan: str, kernel: str = "6.1") -> Program:
    """The program of a plan without its first lines, for a recorded kernel."""
    return program_of(plan, recorded(kernel))


@dataclass
class FakeMap:
    """handles.maps.Map of a machine with CPUS possible CPUs. Arrays start with zeros."""

    spec: MapSpec
    contents: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def value_bytes(self) -> int:
        return self.spec.transfer_size(CPUS)

    def lookup(self, key: bytes) -> bytes | None:
        zeros = bytes(self.value_bytes) if "array" in self.spec.kind else None
        return self.contents.get(key, zeros)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        yield from self.contents.items()

    def values(self) -> bytes:
        return b"".join(self.contents.values())

    def slots(self, value: bytes) -> list[bytes]:
        size = self.spec.value_size
        return [value[at : at + size] for at in range(0, len(value), self.spec.slot_size)]

    def update(self, key: bytes, value: bytes) -> None:
        self.contents[key] = value

    def delete(self, key: bytes) -> bool:
        return self.contents.pop(key, None) is not None

    def put_words(self, element: int, words: Mapping[int, int], cpu: int = 0) -> None:
        """Set u64 words (by index) of an array's element, of one CPU."""
        key = struct.pack("=I", element)
        value = bytearray(self.lookup(key) or b"")
        for word, number in words.items():
            struct.pack_into("=Q", value, cpu * self.spec.slot_size + word * 8, number)
        self.contents[key] = bytes(value)


class MemoryMap:
    """A map of one element of u64 words that can be mapped to memory."""

    def __init__(self, size: int) -> None:
        self.memory = mmap.mmap(-1, size)

    def map_memory(self) -> mmap.mmap:
        return self.memory

    def word(self, index: int) -> int:
        return int.from_bytes(self.memory[8 * index : 8 * index + 8], "little")

    def put(self, index: int, word: int) -> None:
        self.memory[8 * index : 8 * index + 8] = word.to_bytes(8, "little")


def fake_maps(program: Program) -> tuple[layout.MapLayout, dict[int, FakeMap]]:
    """The layout of a program, and its maps by placeholder."""
    map_layout = layout.MapLayout(program)
    specs = memory.map_specs(map_layout)
    return map_layout, {placeholder: FakeMap(spec) for placeholder, spec in specs.items()}
