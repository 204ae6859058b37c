"""System calls by name, those that libraries have no function for; and requests to io_uring."""

import ctypes
import mmap
import os
import struct

from orchestrator.kernel.syscalls import syscall_numbers

AT_FDCWD = -100
#: include/uapi/linux/io_uring.h
FSYNC, OPENAT, STATX, READ, BIND = 3, 18, 21, 22, 56

_LIBC = ctypes.CDLL(None, use_errno=True)
_SQ_RING, _SQES = 0, 0x10000000  # what is mapped, by offset
_WAIT = 1  # IORING_ENTER_GETEVENTS


def call(name: str, *arguments: object) -> int:
    """The result of a system call, or the negative error, as the kernel returns it."""
    number = syscall_numbers(os.uname().machine)[f"SYS_{name}"]
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = _LIBC.syscall(ctypes.c_long(number), *words)
    return -ctypes.get_errno() if result == -1 else int(result)


class Ring:
    """An io_uring that takes one request at a time."""

    def __init__(self) -> None:
        params = ctypes.create_string_buffer(120)  # struct io_uring_params
        self.fd = call("io_uring_setup", 4, params)
        assert self.fd >= 0, f"io_uring_setup: error {-self.fd}"
        sq, cq = (struct.unpack_from("7I", params, at) for at in (40, 80))  # their offsets
        self._tail, self._array = sq[1], sq[6]
        self._cq_head, self._cqes = cq[0], cq[5]
        size = max(sq[6] + 4 * 4, cq[5] + 8 * 16)
        self._rings = mmap.mmap(self.fd, size, offset=_SQ_RING)
        self._entries = mmap.mmap(self.fd, 4 * 64, offset=_SQES)

    def request(self, opcode: int, fd: int, address: int = 0, length: int = 0) -> int:
        """The result of a request, after it has completed."""
        struct.pack_into("BBHiQQI28x", self._entries, 0, opcode, 0, 0, fd, 0, address, length)
        (tail,) = struct.unpack_from("I", self._rings, self._tail)
        struct.pack_into("I", self._rings, self._array + 4 * (tail % 4), 0)
        struct.pack_into("I", self._rings, self._tail, tail + 1)
        assert call("io_uring_enter", self.fd, 1, 1, _WAIT, 0, 0) == 1
        (head,) = struct.unpack_from("I", self._rings, self._cq_head)
        _, result, _ = struct.unpack_from("QiI", self._rings, self._cqes + 16 * (head % 8))
        struct.pack_into("I", self._rings, self._cq_head, head + 1)
        return int(result)


def address_of(data: "ctypes.Array[ctypes.c_char]") -> int:
    """Where a buffer is."""
    return ctypes.addressof(data)
