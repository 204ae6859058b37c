"""Links that attach one program to many functions (BPF_LINK_CREATE): kprobe.multi (5.18, needs
CONFIG_FPROBE) and uprobe.multi (6.6).

Each place has a cookie, which the program reads by bpf_get_attach_cookie. A link ends with the last
copy of its descriptor. Layouts: union bpf_attr and struct bpf_link_info, include/uapi/linux/bpf.h.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Sequence

from orchestrator.kernel.abi import bpf, bpf_call
from orchestrator.kernel.abi.bpf import Trial
from orchestrator.kernel.abi.bpf_call import address_of, call_bpf
from orchestrator.values import dataclass

__all__ = ["TRACE_KPROBE_MULTI", "TRACE_UPROBE_MULTI", "FilePlace", "can_kprobe_multi"]
__all__ += [
    "can_uprobe_multi",
    "can_uprobe_multi_process",
    "link_functions",
    "link_places",
    "read_missed",
]

TRACE_KPROBE_MULTI, TRACE_UPROBE_MULTI = 42, 48  # enum bpf_attach_type
_RETURN = 1  # BPF_F_KPROBE_MULTI_RETURN, BPF_F_UPROBE_MULTI_RETURN
#: A function that the kernel has for its own tests, and that nothing else calls.
_TRIED_FUNCTION = "bpf_fentry_test1"
#: struct bpf_link_info, kprobe_multi, up to its `missed`: type, id, prog_id; addrs, count, flags.
_MISSED_AT = 32
_INFO_BYTES = 40
_NO_PROCESS = (1 << 32) - 1  # -1
_NOT_REPORTED = (1 << 64) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlace:
    """A place in a file: its offset, and that of a USDT semaphore (0: none), in bytes."""

    offset: int
    semaphore: int = 0


def link_functions(
    program: int, symbols: Sequence[str], cookies: Sequence[int], *, returns: bool = False
) -> int:
    """Attach a program that was loaded for TRACE_KPROBE_MULTI to kernel functions, each with its
    cookie; the link's descriptor. All or none. Raises OSError with the kernel's errno."""
    texts = [ctypes.create_string_buffer(symbol.encode()) for symbol in symbols]
    names = _words([ctypes.addressof(text) for text in texts])
    numbers = _words(cookies)
    attributes = struct.pack(
        "=IIIIIIQQQ",
        *(program, 0, TRACE_KPROBE_MULTI, 0),
        *(_RETURN if returns else 0, len(symbols)),
        *(ctypes.addressof(names), 0, ctypes.addressof(numbers)),
    )
    return call_bpf(bpf_call.LINK_CREATE, attributes)


def link_places(  # noqa: PLR0913  # what BPF_LINK_CREATE takes
    program: int,
    path: str,
    places: Sequence[FilePlace],
    cookies: Sequence[int],
    *,
    returns: bool = False,
    process: int = 0,
) -> int:
    """Attach a program that was loaded for TRACE_UPROBE_MULTI to places in the file at `path`, each
    with its cookie, in one process or all (0); the link's descriptor. All or none. Raises OSError
    with the kernel's errno."""
    text = ctypes.create_string_buffer(os.fsencode(path))
    offsets = _words([place.offset for place in places])
    has_semaphores = any(place.semaphore for place in places)
    semaphores = _words([place.semaphore for place in places]) if has_semaphores else None
    numbers = _words(cookies)
    attributes = struct.pack(
        "=IIIIQQQQIIIxxxx",
        *(program, 0, TRACE_UPROBE_MULTI, 0),
        *(address_of(text), ctypes.addressof(offsets)),
        0 if semaphores is None else ctypes.addressof(semaphores),
        *(ctypes.addressof(numbers), len(places), _RETURN if returns else 0, process),
    )
    return call_bpf(bpf_call.LINK_CREATE, attributes)


def read_missed(link: int) -> int | None:
    """How many hits a link of kernel functions has missed, of all functions together; None where
    this kernel does not report it (before 6.7). Raises OSError.

    The kernel fills what it knows into the caller's structure and leaves the rest
    (bpf_link_get_info_by_fd, kernel/bpf/syscall.c): a number that none can reach shows that.
    """
    info = ctypes.create_string_buffer(_INFO_BYTES)
    struct.pack_into("=Q", info, _MISSED_AT, _NOT_REPORTED)
    attributes = bytearray(struct.pack("=IIQ", link, len(info), address_of(info)))
    call_bpf(bpf_call.OBJ_GET_INFO_BY_FD, attributes)
    missed: int = struct.unpack_from("=Q", info, _MISSED_AT)[0]
    return None if missed == _NOT_REPORTED else missed


def can_kprobe_multi() -> Trial:
    """One link for many kernel functions: tried on a function of the kernel's own tests."""

    def attempt(program: int) -> None:
        os.close(link_functions(program, [_TRIED_FUNCTION], [0]))

    return _try_link(TRACE_KPROBE_MULTI, attempt)


def can_uprobe_multi() -> Trial:
    """One link for many places in a file. The kernel is asked to attach to a directory: one that
    has such links refuses that it is no file (EBADF), any other the link (EINVAL)."""

    def attempt(program: int) -> None:
        try:
            os.close(link_places(program, "/", [FilePlace(offset=0)], [0]))
        except OSError as refused:
            if refused.errno != errno.EBADF:
                raise

    return _try_link(TRACE_UPROBE_MULTI, attempt)


def can_uprobe_multi_process() -> Trial:
    """The same link in one process. Before 6.10 ("bpf: Fix multi-uprobe PID filtering logic") it
    was in one thread alone; since then an impossible process is refused (EINVAL) before the
    directory is looked at (EBADF)."""

    def attempt(program: int) -> None:
        try:
            os.close(link_places(program, "/", [FilePlace(offset=0)], [0], process=_NO_PROCESS))
        except OSError as refused:
            if refused.errno != errno.EINVAL:
                raise

    joins = can_uprobe_multi()
    return _try_link(TRACE_UPROBE_MULTI, attempt) if joins.yes else joins


def _try_link(attach_type: int, attempt: Callable[[int], None]) -> Trial:
    def load_and_link() -> None:
        program, _ = bpf.prog_load(
            bpf.KPROBE, bpf.RETURN_0, name="pp_trial", expected_attach_type=attach_type
        )
        try:
            attempt(program)
        finally:
            os.close(program)

    return bpf.run_trial(load_and_link)


def _words(numbers: Sequence[int]) -> "ctypes.Array[ctypes.c_uint64]":
    return (ctypes.c_uint64 * len(numbers))(*numbers)
