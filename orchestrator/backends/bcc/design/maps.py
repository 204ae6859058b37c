"""The maps that a program asks for, as bpf(2) takes them."""

from typing import Final, Literal

from orchestrator.values import dataclass

__all__ = ["KINDS", "MMAPABLE", "NO_PREALLOC", "MapKind", "MapSpec"]

MapKind = Literal[
    "hash",
    "array",
    "prog_array",
    "perf_event_array",
    "percpu_hash",
    "percpu_array",
    "stack_trace",
    "cgroup_array",
    "lru_hash",
    "ringbuf",
]
# enum bpf_map_type, include/uapi/linux/bpf.h
KINDS: Final[dict[MapKind, int]] = {
    "hash": 1,
    "array": 2,
    "prog_array": 3,
    "perf_event_array": 4,
    "percpu_hash": 5,
    "percpu_array": 6,
    "stack_trace": 7,
    "cgroup_array": 8,
    "lru_hash": 9,
    "ringbuf": 27,
}
NO_PREALLOC: Final = 1
MMAPABLE: Final = 1 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSpec:
    """A map that a program needs, with the flags of BPF_MAP_CREATE. Sizes are in bytes, also
    max_entries of a ring.

    MMAPABLE in `flags` is a wish: handles.maps.Map.mmapable reports whether the kernel granted it.
    """

    name: str
    kind: MapKind
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0

    @property
    def per_cpu(self) -> bool:
        """Whether each possible CPU has its own value of a key."""
        return self.kind.startswith("percpu_")

    @property
    def slot_size(self) -> int:
        """Bytes of one CPU's value, or of the only one, as lookups return them."""
        return (self.value_size + 7) // 8 * 8 if self.per_cpu else self.value_size

    def transfer_size(self, cpus: int) -> int:
        """Bytes of a key's whole value on a machine with `cpus` possible CPUs."""
        return self.slot_size * cpus if self.per_cpu else self.slot_size
