"""Maps in the kernel: created, read, written and mapped into memory."""

from __future__ import annotations

import errno
import mmap
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.backends.bcc.design.maps import KINDS, MMAPABLE, MapSpec
from orchestrator.kernel.abi import bpf_map, perf
from orchestrator.values import dataclass

__all__ = ["Map", "create_map", "lift_memlock"]

BATCH = 4096
# Errors of a kernel without BPF_MAP_LOOKUP_BATCH, or of a kind of map without it; 524 is the
# kernel's own ENOTSUPP (include/linux/errno.h).
NO_BATCH = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSPC, 524}


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """A map in the kernel. A per-CPU value is the slots of all CPUs in a row."""

    spec: MapSpec
    fd: int
    mmapable: bool

    @property
    def value_bytes(self) -> int:
        """Bytes of a key's value, of all CPUs."""
        return self.spec.transfer_size(perf.possible_cpus())

    def lookup(self, key: bytes) -> bytes | None:
        """The value of a key, None when it is not there. Raises ValueError for a key of another
        size, OSError."""
        return bpf_map.map_lookup(self.fd, self._check_key(key), self.value_bytes)

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        """Write a value. Raises ValueError for a key or value of another size, OSError (E2BIG when
        the map is full)."""
        if len(value) != self.value_bytes:
            raise ValueError(
                f"map {self.spec.name}: a value has {self.value_bytes} bytes, not {len(value)}"
            )
        bpf_map.map_update(self.fd, self._check_key(key), value, flags)

    def delete(self, key: bytes) -> bool:
        """Delete a key; False when it was not there."""
        return bpf_map.map_delete(self.fd, self._check_key(key))

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys and values, in bulk where the kernel can. Not a snapshot: writers go on."""
        try:
            parts = list(self._read_batches())
        except OSError as refused:
            if refused.errno not in NO_BATCH:
                raise
            yield from self._one_by_one()
            return
        for part in parts:
            yield from self._split_pairs(part)

    def values(self) -> bytes:
        """All values, one after the other. Not a snapshot: writers go on."""
        try:
            size = self.value_bytes
            return b"".join(part.values[: part.count * size] for part in self._read_batches())
        except OSError as refused:
            if refused.errno not in NO_BATCH:
                raise
            return b"".join(value for _, value in self._one_by_one())

    def slots(self, value: bytes) -> list[bytes]:
        """One value per possible CPU, without padding."""
        step, size = self.spec.slot_size, self.spec.value_size
        return [value[at : at + size] for at in range(0, len(value), step)]

    def map_memory(self) -> mmap.mmap:
        """An array's values as shared, writable memory (5.5 and later, with MMAPABLE)."""
        if not self.mmapable:
            raise OSError(errno.EOPNOTSUPP, f"map {self.spec.name} cannot be mapped to memory")
        return mmap.mmap(self.fd, self.mapped_bytes)

    @property
    def mapped_bytes(self) -> int:
        """The size of an array's values in memory: whole pages."""
        size = (self.spec.value_size + 7) // 8 * 8 * self.spec.max_entries
        return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE

    def clear(self) -> None:
        """Delete all keys; an array's values become zero. Raises OSError."""
        is_array = self.spec.kind in ("array", "percpu_array")
        for key, value in list(self.items()):
            if not is_array:
                self.delete(key)
            elif any(value):
                self.update(key, bytes(self.value_bytes))

    def memory_bytes(self) -> int | None:
        """The memory of the map according to the kernel (fdinfo memlock); None when not known."""
        return read_memlock(self.fd)

    def close(self) -> None:
        """Close the descriptor; the map goes with its last user."""
        os.close(self.fd)

    def _check_key(self, key: bytes) -> bytes:
        if len(key) != self.spec.key_size:
            raise ValueError(
                f"map {self.spec.name}: a key has {self.spec.key_size} bytes, not {len(key)}"
            )
        return key

    def _read_batches(self) -> Iterator[bpf_map.Batch]:
        token: bytes | None = None
        while True:
            part = bpf_map.map_lookup_batch(
                self.fd,
                token,
                key_size=self.spec.key_size,
                value_size=self.value_bytes,
                count=min(BATCH, max(self.spec.max_entries, 64)),
            )
            yield part
            token = part.token
            if token is None:
                return

    def _split_pairs(self, part: bpf_map.Batch) -> Iterator[tuple[bytes, bytes]]:
        width, size = self.spec.key_size, self.value_bytes
        for n in range(part.count):
            yield part.keys[n * width : (n + 1) * width], part.values[n * size : (n + 1) * size]

    def _one_by_one(self) -> Iterator[tuple[bytes, bytes]]:
        """Walk by keys, for at most twice the map's size: deletions can restart the walk."""
        key = bpf_map.map_next_key(self.fd, None, self.spec.key_size)
        seen: set[bytes] = set()
        steps = 2 * self.spec.max_entries
        while key is not None and steps > 0:
            value = self.lookup(key)
            if value is not None and key not in seen:
                seen.add(key)
                yield key, value
            key = bpf_map.map_next_key(self.fd, key, self.spec.key_size)
            steps -= 1


def create_map(spec: MapSpec) -> Map:
    """Create the map. If the kernel lacks MMAPABLE, the map is created without it.

    Raises OSError: EPERM without CAP_BPF, E2BIG or ENOMEM when it is too large, EINVAL for a kind
    that the kernel does not have.
    """
    try:
        return Map(
            spec=spec, fd=_call_create(spec, spec.flags), mmapable=bool(spec.flags & MMAPABLE)
        )
    except OSError as refused:
        if refused.errno != errno.EINVAL or not spec.flags & MMAPABLE:
            raise
    return Map(spec=spec, fd=_call_create(spec, spec.flags & ~MMAPABLE), mmapable=False)


def _call_create(spec: MapSpec, flags: int) -> int:
    return lift_memlock(
        lambda: bpf_map.map_create(
            KINDS[spec.kind],
            spec.key_size,
            spec.value_size,
            spec.max_entries,
            flags=flags,
            name=spec.name,
        )
    )


def lift_memlock(attempt: Callable[[], int]) -> int:
    """Try; on EPERM lift RLIMIT_MEMLOCK and retry: before 5.11, BPF memory is charged to it."""
    try:
        return attempt()
    except PermissionError:
        if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
            raise
        try:
            resource.setrlimit(
                resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )
        except (ValueError, OSError):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM)) from None
        return attempt()


def read_memlock(fd: int) -> int | None:
    """The memlock line of the fdinfo of a map or program, in bytes; None when there is none.

    6.1 computes it from the sizes of keys and values, and so gives 0 for a ring (measured; 5.10 and
    6.12 are right).
    """
    for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "memlock":
            return int(value) or None
    return None
