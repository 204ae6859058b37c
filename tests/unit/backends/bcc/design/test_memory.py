"""What the maps of a program take of the kernel's memory."""

from dataclasses import replace

import pytest

from orchestrator.backends import backend
from orchestrator.backends.bcc.design import memory
from orchestrator.backends.bcc.design.maps import MMAPABLE, MapSpec
from tests.support.bcc_maps import recorded_program
from tests.support.recorded import recorded

PLAN = """
probes:
  read:
    attach: function:vfs_read
    emit: {wanted: args.count, got: retval, took: elapsed}
    metrics:
      calls: {count: true, by: [comm]}
      latency: {histogram: elapsed}
"""


def test_memory_grows_with_what_is_asked() -> None:
    """More keys take more; the ring is a power of two of pages, at most half of the budget."""
    facts = recorded("6.1")
    program = recorded_program(PLAN)
    small = backend("bcc").emit(program, facts)
    spec = replace(program.probes[0].metrics[0], keys=100_000)
    more = replace(program.probes[0], metrics=(spec, program.probes[0].metrics[1]))
    large = backend("bcc").emit(replace(program, probes=(more,)), facts)
    purpose = "metric read.calls"
    assert large.memory[purpose] > 5 * small.memory[purpose]
    assert sum(small.memory.values()) <= program.limits.memory
    ring = small.detail.ring_bytes  # type: ignore[attr-defined]  # bcc's Detail
    assert ring & (ring - 1) == 0
    assert 1 << 16 <= ring <= program.limits.memory // 2


def spec(kind: str, **sizes: int) -> MapSpec:
    """A map with 4 bytes of key."""
    return MapSpec(name="m", kind=kind, key_size=4, **sizes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        (spec("array", value_size=12, max_entries=3), 3 * 16),
        (spec("array", value_size=12, max_entries=3, flags=MMAPABLE), 4096),
        (spec("percpu_array", value_size=12, max_entries=3), (16 * 4 + 8) * 3),
        (spec("ringbuf", value_size=0, max_entries=65536), 65536 + 3 * 4096),
        (spec("hash", value_size=12, max_entries=5), (48 + 8 + 16) * (5 + 4) + 16 * 8),
    ],
)
def test_a_map_takes_what_the_kernel_allocates(asked: MapSpec, taken: int) -> None:
    """On four CPUs: values on whole words, whole pages where they are mapped to memory, one spare
    element a CPU in a hash, whose buckets are a power of two."""
    assert memory.map_bytes(asked, 4) == taken


def test_a_ring_holds_no_more_than_all_allowed_records() -> None:
    """1,000 records of 100 bytes need 128 KB, however much memory there is; 0 without records."""
    program = recorded_program(PLAN)
    limits = replace(program.limits, memory=1 << 30, events=1000)
    program = replace(program, limits=limits)
    enough = 1000 * (program.record_size + memory.RECORD_HEADER_BYTES)
    size = memory.ring_bytes(program, [])
    assert size // 2 < enough <= size
    silent = replace(program, probes=tuple(replace(p, emit=None) for p in program.probes))
    assert memory.ring_bytes(silent, []) == 0


def test_a_ring_takes_what_other_maps_leave() -> None:
    """A power of two that fits, at most half of it all, and at least the smallest."""
    program = recorded_program(PLAN)
    limits = replace(program.limits, memory=3 << 20, events=1 << 30)
    assert memory.ring_bytes(replace(program, limits=limits), []) == 1 << 20
    limits = replace(program.limits, memory=1 << 20, events=1 << 30)
    program = replace(program, limits=limits)
    assert memory.ring_bytes(program, []) == 1 << 19
    assert memory.ring_bytes(program, [(1 << 20) - (1 << 18) - 3 * 4096]) == 1 << 18
    assert memory.ring_bytes(program, [1 << 20]) == memory.SMALLEST_RING
