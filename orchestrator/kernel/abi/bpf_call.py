"""The system call bpf(2).

Numbers and layouts (enum bpf_cmd, union bpf_attr: include/uapi/linux/bpf.h) are UAPI: an attribute
shorter than the kernel's is valid, and missing fields count as zero.
"""

from __future__ import annotations

import ctypes
import errno
import os

SYSCALL = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "s390x": 351, "ppc64le": 361}
MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, MAP_DELETE, MAP_NEXT_KEY, PROG_LOAD = range(6)
OBJ_GET_INFO_BY_FD, RAW_TRACEPOINT_OPEN = 15, 17
BTF_GET_FD_BY_ID, BTF_GET_NEXT_ID = 19, 23
MAP_LOOKUP_BATCH, LINK_CREATE, ENABLE_STATS, ITER_CREATE = 24, 28, 32, 33
NAME_BYTES = 15  # BPF_OBJ_NAME_LEN with its closing zero

_libc = ctypes.CDLL(None, use_errno=True)


def call_bpf(command: int, attributes: bytes | bytearray) -> int:
    """Do bpf(command, attributes). A bytearray receives what the kernel writes back, failed or not.

    Raises OSError with the kernel's errno, ENOSYS on an unknown architecture.
    """
    number = SYSCALL.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, f"bpf(2) has no known number on {os.uname().machine}")
    buffer = ctypes.create_string_buffer(bytes(attributes), len(attributes))
    result: int = _libc.syscall(number, command, buffer, len(attributes))
    if isinstance(attributes, bytearray):
        attributes[:] = buffer.raw
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def address_of(buffer: ctypes.Array[ctypes.c_char] | None) -> int:
    """The address of a buffer, 0 for None."""
    return 0 if buffer is None else ctypes.addressof(buffer)


def name_field(name: str) -> bytes:
    """Up to 15 of the characters that the kernel allows in object names: [A-Za-z0-9_.]."""
    allowed = "".join(c if (c.isascii() and c.isalnum()) or c in "_." else "_" for c in name)
    return allowed.encode()[:NAME_BYTES]
