"""A gate writes the words that switch probes, and nothing else."""

import mmap
import os
import struct

from orchestrator.pytest_plugin.gate import Gate


def shared_memory() -> int:
    descriptor = os.memfd_create("gate")
    os.ftruncate(descriptor, mmap.PAGESIZE)
    os.pwrite(descriptor, struct.pack("=3Q", 0, 0, 77), 0)
    return descriptor


def words(descriptor: int) -> tuple[int, ...]:
    return struct.unpack("=3Q", os.pread(descriptor, 24, 0))


def test_a_gate_writes_its_words_and_no_others() -> None:
    memory = shared_memory()
    gate = Gate(os.dup(memory), mmap.PAGESIZE)
    gate.open()
    assert words(memory) == (0, 0, 77)
    gate.prepare((2**64 - 1, 5))
    assert words(memory) == (0, 0, 77)
    gate.open()
    assert words(memory) == (2**64 - 1, 5, 77)
    gate.shut()
    assert words(memory) == (0, 0, 77)
    os.close(memory)


def test_a_child_switches_nothing() -> None:
    memory = shared_memory()
    gate = Gate(os.dup(memory), mmap.PAGESIZE)
    gate.prepare((1,))
    gate.open()
    child = os.fork()
    if not child:
        gate.shut()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert words(memory) == (1, 0, 77)
    os.close(memory)
