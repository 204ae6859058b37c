"""Programs loaded into the kernel: placeholders become maps, refusals carry the verifier's log."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Mapping
from functools import partial

from orchestrator.backends.bcc.handles.maps import lift_memlock
from orchestrator.kernel.abi import bpf

__all__ = ["LoadError", "load_program", "patch_maps"]

LD_IMM64 = 0x18  # BPF_LD | BPF_DW | BPF_IMM, two instructions wide
PSEUDO_MAP_FD = 1
FIRST_LOG_BYTES = 1 << 16
LAST_LOG_BYTES = 1 << 24


class LoadError(Exception):
    """The kernel refused a program: its `errno`, and the verifier's `log` ("" without one)."""

    def __init__(self, code: int, verifier_log: str, *, name: str = "") -> None:
        self.errno = code
        self.log = verifier_log
        last = verifier_log.strip().splitlines()[-2:]
        reason = "; ".join([os.strerror(code), *last])
        super().__init__(f"the kernel refused program {name!r}: {reason}")


def load_program(  # noqa: PLR0913 - what BPF_PROG_LOAD takes
    insns: bytes,
    prog_type: int,
    *,
    name: str,
    maps: Mapping[int, int],
    expected_attach_type: int = 0,
    attach_btf_id: int = 0,
    attach_btf_fd: int = 0,
    license: str = "GPL",  # noqa: A002 - bpf(2) calls it so
) -> int:
    """Load instructions, with map placeholders replaced by descriptors; return the descriptor.

    Raises LoadError. The log is made only after a refusal, since making it slows the verifier down.
    """
    load = partial(
        bpf.prog_load,
        prog_type,
        patch_maps(insns, maps),
        name=name,
        license_text=license,
        expected_attach_type=expected_attach_type,
        attach_btf_id=attach_btf_id,
        attach_btf_fd=attach_btf_fd,
    )
    try:
        return lift_memlock(lambda: load()[0])
    except OSError as refused:
        code = refused.errno or errno.EINVAL
    size = FIRST_LOG_BYTES
    while True:
        try:
            return load(log_bytes=size)[0]
        except bpf.VerifierError as refused:
            if refused.errno != errno.ENOSPC or size >= LAST_LOG_BYTES:
                raise LoadError(code, refused.log, name=name) from None
            size *= 8


def patch_maps(insns: bytes, maps: Mapping[int, int]) -> bytes:
    """Replace the placeholder in each BPF_PSEUDO_MAP_FD load by the descriptor of its map.

    Raises ValueError for a placeholder without a map: it would be taken for an unrelated
    descriptor.
    """
    if len(insns) % 8:
        raise ValueError(f"{len(insns)} bytes are not a whole number of instructions")
    code, opcodes, number = bytearray(insns), insns[::8], 0
    while (number := opcodes.find(LD_IMM64, number)) >= 0:
        at = number * 8
        if code[at + 1] >> 4 == PSEUDO_MAP_FD:
            placeholder: int = struct.unpack_from("=i", code, at + 4)[0]
            if placeholder not in maps:
                raise ValueError(f"there is no map for placeholder {placeholder}")
            struct.pack_into("=i", code, at + 4, maps[placeholder])
        number += 2
    return bytes(code)
