"""System calls by name, those that libraries have no function for; and requests to io_uring."""

import ctypes
import mmap
import os
import struct
from collections.abc import Callable
from functools import cache

from orchestrator.kernel.syscalls import syscall_numbers

AT_FDCWD = -100
#: include/uapi/linux/io_uring.h
FSYNC, OPENAT, STATX, READ, BIND = 3, 18, 21, 22, 56

_LIBC = ctypes.CDLL(None, use_errno=True)
_SQ_RING, _SQES = 0, 0x10000000  # what is mapped, by offset
_WAIT = 1  # IORING_ENTER_GETEVENTS


def number_of(name: str) -> int:
    """The number of a system call on this machine. Raises KeyError where it has none."""
    return syscall_numbers(os.uname().machine)[f"SYS_{name}"]


def has_call(name: str) -> bool:
    """Whether this machine has a number for a system call: arm64 has none for those that newer ones
    can do, such as open."""
    return f"SYS_{name}" in syscall_numbers(os.uname().machine)


def call(name: str, *arguments: object) -> int:
    """The result of a system call, or the negative error, as the kernel returns it."""
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = _LIBC.syscall(ctypes.c_long(number_of(name)), *words)
    return -ctypes.get_errno() if result == -1 else int(result)


#: A function of (number, argument) that makes a 32-bit system call from 64-bit code, on x86-64:
#: push rbx; mov eax, edi; mov ebx, esi; xor ecx, ecx; xor edx, edx; int 0x80; cdqe; pop rbx; ret
_INT80 = bytes.fromhex("53 89f8 89f3 31c9 31d2 cd80 4898 5b c3")


def call_32bit(number: int, argument: int = 0) -> int:
    """The result of the 32-bit system call with this number (syscall_32.tbl)."""
    return int(_int80_function()[0](number, argument))


@cache
def _int80_function() -> tuple[Callable[..., int], mmap.mmap]:
    """And the memory that holds it."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(_INT80)
    place = ctypes.addressof(ctypes.c_char.from_buffer(code))
    return ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_int, ctypes.c_int)(place), code


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
