"""What the bytes of one form mean: addresses, buffers, paths; and what numbers stand for."""

import socket
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from orchestrator.compile.expressions.types import ROOTED
from orchestrator.compile.program import Presentation
from orchestrator.output.text import from_kernel

if TYPE_CHECKING:  # it imports numpy, which not every run needs
    from orchestrator.symbols.kernel_symbols import KernelSymbols

__all__ = ["COUNTED", "STANDS_FOR", "TEXTS", "strings_of", "used"]


def used(raw: bytes) -> bytes:
    """The bytes of a buffer, strings or a path that are in use: a 32-bit word says how many."""
    return raw[4 : 4 + (int.from_bytes(raw[:4], "little") & ~ROOTED)]


def strings_of(raw: bytes) -> list[bytes]:
    """Strings one behind the other, each with its NUL but for a last one that was cut."""
    text = used(raw)
    return text.removesuffix(b"\0").split(b"\0") if text else []


def _quoted(raw: bytes) -> str:
    """As one would type them: what holds a blank or the like stands in quotes."""
    from shlex import quote  # few plans ask for arguments

    return " ".join(quote(from_kernel(text)) for text in strings_of(raw))


def _path(raw: bytes) -> str:
    names = "/".join(map(from_kernel, reversed(strings_of(raw))))
    return f"/{names}" if int.from_bytes(raw[:4], "little") & ROOTED else names


def _ip(raw: bytes) -> str:
    """By its version word; what a failed read leaves behind is nobody's."""
    match int.from_bytes(raw[:4], "little"):
        case 4:
            return socket.inet_ntop(socket.AF_INET, raw[4:8])
        case 6:
            return socket.inet_ntop(socket.AF_INET6, raw[4:20])
    return ""


def _endpoint(raw: bytes) -> str:
    """ADDRESS:PORT, [ADDRESS]:PORT, or unix:PATH, where `@` begins an abstract name."""
    family, port, address = (
        int.from_bytes(raw[:2], "little"),
        int.from_bytes(raw[2:4], "little"),
        raw[4:],
    )
    match family:
        case socket.AF_INET:
            return f"{socket.inet_ntop(family, address[:4])}:{port}"
        case socket.AF_INET6:
            return f"[{socket.inet_ntop(family, address[:16])}]:{port}"
        case socket.AF_UNIX:
            abstract = address[:1] == b"\0" and address[1:2] != b"\0"
            return "unix:" + ("@" + from_kernel(address[1:]) if abstract else from_kernel(address))
    return ""


def _flags(number: int, shown: Presentation) -> str:
    from orchestrator.kernel.constants import flag_names  # few plans show flags

    return "|".join(flag_names(shown.prefix, number)) or "0"


def _symbol(number: int, _shown: Presentation) -> str:
    ((frame,),) = _kernel().frames([[number]])
    return frame.name


@cache
def _kernel() -> "KernelSymbols":
    from orchestrator.symbols.kernel_symbols import KernelSymbols  # 60 ms, when one is shown

    return KernelSymbols.live()


def _device(number: int, _shown: Presentation) -> str:
    from orchestrator.kernel.abi.devices import device_name  # few plans show devices

    return device_name(number)


#: Forms that begin with a 32-bit word which counts the bytes in use.
COUNTED = frozenset({"bytes", "strings", "path"})
#: The text of a value, by its form.
TEXTS: Mapping[str, Callable[[bytes], str]] = {
    "string": from_kernel,
    "ipv4": lambda raw: socket.inet_ntop(socket.AF_INET, raw),  # network order, as the kernel's
    "ipv6": lambda raw: socket.inet_ntop(socket.AF_INET6, raw),
    "ip": _ip,
    "bytes": lambda raw: used(raw).hex(),
    "strings": _quoted,
    "path": _path,
    "endpoint": _endpoint,
}
#: The text of a number, by what it stands for (Presentation.form).
STANDS_FOR: Mapping[str, Callable[[int, Presentation], str]] = {
    "flags": _flags,
    "symbol": _symbol,
    "device": _device,
}
