"""The BTF objects of the running kernel: its own and one for each module that has types."""

import ctypes
import errno
import os
import struct

from orchestrator.kernel.abi import bpf_call
from orchestrator.kernel.abi.bpf_call import address_of, call_bpf

__all__ = ["open_module_btf"]

_NAME_BYTES = 64  # MODULE_NAME_LEN is less
_INFO = struct.Struct("=QIIQII")  # struct bpf_btf_info, include/uapi/linux/bpf.h


def open_module_btf(module: str) -> int:
    """A descriptor of the module's BTF. Raises OSError: ENOENT where no loaded module of that name
    has one, EPERM without the privilege."""
    number = 0
    while True:
        attributes = bytearray(struct.pack("=III", number, 0, 0))
        call_bpf(bpf_call.BTF_GET_NEXT_ID, attributes)  # ENOENT after the last one
        number = struct.unpack_from("=I", attributes, 4)[0]
        try:
            descriptor = call_bpf(bpf_call.BTF_GET_FD_BY_ID, struct.pack("=III", number, 0, 0))
        except OSError as error:
            if error.errno != errno.ENOENT:  # that one has gone since
                raise
            continue
        if _name_of(descriptor) == module:
            return descriptor
        os.close(descriptor)


def _name_of(descriptor: int) -> str:
    """The name of the kernel's or a module's BTF; "" for that of a program."""
    name = ctypes.create_string_buffer(_NAME_BYTES)
    info = ctypes.create_string_buffer(_INFO.pack(0, 0, 0, address_of(name), len(name), 0))
    attributes = struct.pack("=IIQ", descriptor, _INFO.size, address_of(info))
    call_bpf(bpf_call.OBJ_GET_INFO_BY_FD, attributes)
    is_kernels = _INFO.unpack_from(info.raw)[5]
    return name.value.decode(errors="replace") if is_kernels else ""
