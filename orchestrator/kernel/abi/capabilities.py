"""This thread's capabilities (capabilities(7)): reads, restricts and drops them."""

import ctypes
import os
import struct

__all__ = ["BITS", "drop_capabilities", "held_capabilities", "use_capabilities"]

#: The capabilities that this program uses. Source: include/uapi/linux/capability.h.
BITS = {
    "CAP_DAC_OVERRIDE": 1,
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_KILL": 5,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYSLOG": 34,
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
    "CAP_CHECKPOINT_RESTORE": 40,
}
_VERSION_3 = 0x20080522  # _LINUX_CAPABILITY_VERSION_3, the same file: two words a set
_PR_CAPBSET_DROP, _LAST = 24, 63  # include/uapi/linux/prctl.h

_libc = ctypes.CDLL(None, use_errno=True)


def held_capabilities() -> int:
    """The effective set, as a mask of bits."""
    return _read_sets()[0]


def drop_capabilities(keep: int, aside: int = 0) -> None:
    """Drop all capabilities outside of the mask `keep` from all sets, permanently: a program that
    this thread executes later gets no more either, not even as root. `aside`: what stays permitted,
    without effect until it is used. Raises OSError."""
    effective, permitted, inheritable = _read_sets()
    for bit in range(_LAST + 1):
        if not keep >> bit & 1:
            _libc.prctl(_PR_CAPBSET_DROP, bit, 0, 0, 0)  # refused without CAP_SETPCAP: as it is
    _write_sets(effective & keep, permitted & (keep | aside), inheritable & keep)


def use_capabilities(mask: int) -> None:
    """Make the permitted part of `mask` the effective set. Raises OSError."""
    _, permitted, inheritable = _read_sets()
    _write_sets(permitted & mask, permitted, inheritable)


def _read_sets() -> tuple[int, int, int]:
    data = ctypes.create_string_buffer(24)
    _check_result(_libc.capget(_make_header(), data))
    words = struct.unpack("=6I", data.raw)
    effective, permitted, inheritable = (words[i] | words[i + 3] << 32 for i in range(3))
    return effective, permitted, inheritable


def _write_sets(*sets: int) -> None:
    low, high = [mask & 0xFFFFFFFF for mask in sets], [mask >> 32 for mask in sets]
    _check_result(_libc.capset(_make_header(), struct.pack("=6I", *low, *high)))


def _make_header() -> bytes:
    return struct.pack("=Ii", _VERSION_3, 0)


def _check_result(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
