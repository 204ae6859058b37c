"""Maps by bpf(2): one function per command. Descriptors are close-on-exec, as the kernel makes
them.

Every failure is an OSError with the kernel's errno.
"""

from __future__ import annotations

import ctypes
import struct

from orchestrator.kernel.abi import bpf_call
from orchestrator.kernel.abi.bpf_call import address_of, call_bpf, name_field
from orchestrator.values import dataclass


def map_create(  # noqa: PLR0913 - what BPF_MAP_CREATE takes
    kind: int, key_size: int, value_size: int, max_entries: int, *, flags: int = 0, name: str = ""
) -> int:
    """Create a map (enum bpf_map_type) and return its descriptor."""
    head = struct.pack("=7I", kind, key_size, value_size, max_entries, flags, 0, 0)
    return call_bpf(bpf_call.MAP_CREATE, head + struct.pack("=16s", name_field(name)))


def map_lookup(fd: int, key: bytes, value_size: int) -> bytes | None:
    """Return the value's bytes (all CPUs' for a per-CPU map), or None when there is no such key."""
    keyed = ctypes.create_string_buffer(key, len(key))
    value = ctypes.create_string_buffer(value_size)
    try:
        call_bpf(
            bpf_call.MAP_LOOKUP,
            struct.pack("=IxxxxQQQ", fd, address_of(keyed), address_of(value), 0),
        )
    except FileNotFoundError:
        return None
    return value.raw


def map_update(fd: int, key: bytes, value: bytes, flags: int = 0) -> None:
    """Set the value of `key`; `flags` as in enum BPF_ANY, BPF_NOEXIST, BPF_EXIST."""
    keyed = ctypes.create_string_buffer(key, len(key))
    new = ctypes.create_string_buffer(value, len(value))
    call_bpf(
        bpf_call.MAP_UPDATE, struct.pack("=IxxxxQQQ", fd, address_of(keyed), address_of(new), flags)
    )


def map_delete(fd: int, key: bytes) -> bool:
    """Delete `key`; False when it was not there."""
    keyed = ctypes.create_string_buffer(key, len(key))
    try:
        call_bpf(bpf_call.MAP_DELETE, struct.pack("=IxxxxQQQ", fd, address_of(keyed), 0, 0))
    except FileNotFoundError:
        return False
    return True


def map_next_key(fd: int, key: bytes | None, key_size: int) -> bytes | None:
    """The key after `key` (the first for None), or None at the end.

    A key that is gone starts the walk again from the first (kernel/bpf/hashtab.c, get_next_key).
    """
    keyed = None if key is None else ctypes.create_string_buffer(key, len(key))
    following = ctypes.create_string_buffer(key_size)
    try:
        call_bpf(
            bpf_call.MAP_NEXT_KEY,
            struct.pack("=IxxxxQQQ", fd, address_of(keyed), address_of(following), 0),
        )
    except FileNotFoundError:
        return None
    return following.raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Part of a map: `count` keys and values one after the other; `token` continues, None ends."""

    keys: bytes
    values: bytes
    count: int
    token: bytes | None


def map_lookup_batch(
    fd: int, token: bytes | None, *, key_size: int, value_size: int, count: int
) -> Batch:
    """Read up to `count` entries after `token` (5.6 and later; EINVAL or ENOTSUPP elsewhere).

    ENOSPC means that one hash bucket holds more than `count` entries.
    """
    before = None if token is None else ctypes.create_string_buffer(token, len(token))
    after = ctypes.create_string_buffer(max(key_size, 4))
    keys = ctypes.create_string_buffer(key_size * count)
    values = ctypes.create_string_buffer(value_size * count)
    where = (address_of(before), address_of(after), address_of(keys), address_of(values))
    attributes = bytearray(struct.pack("=QQQQIIQQ", *where, count, fd, 0, 0))
    ended = False
    try:
        call_bpf(bpf_call.MAP_LOOKUP_BATCH, attributes)
    except FileNotFoundError:  # marks the last part; its count is valid
        ended = True
    entries: int = struct.unpack_from("=I", attributes, 32)[0]
    return Batch(
        keys=keys.raw[: entries * key_size],
        values=values.raw[: entries * value_size],
        count=entries,
        token=None if ended else after.raw,
    )
