"""Texts for the bytes of one form (addresses, buffers, paths) and for numbers that stand for
something (flags, symbols, devices)."""

import os
import socket
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from orchestrator.compile.expressions.types import ROOTED
from orchestrator.compile.program import Presentation
from orchestrator.output.text import text_from_bytes, text_from_kernel

if TYPE_CHECKING:  # not every run needs them
    from orchestrator.kernel.containers.container_names import Container
    from orchestrator.plan.expression.linear_pattern import LinearPattern
    from orchestrator.symbols.kernel_symbols import KernelSymbols

__all__ = ["AMBIGUOUS", "LENGTH_PREFIXED", "NUMBER_TEXTS", "TEXTS", "describe_container"]
__all__ += ["name_container"]
__all__ += ["split_strings", "used_bytes"]


#: RFC 4291, 2.5.5.2: what an IPv4 address in IPv6 begins with.
_IPV4_MAPPED = bytes(10) + b"\xff\xff"


_MOST_ERRNO = 4095  # MAX_ERRNO, include/linux/err.h


def used_bytes(raw: bytes) -> bytes:
    """The bytes in use of a buffer, strings or a path: a leading 32-bit word has their number."""
    return raw[4 : 4 + (int.from_bytes(raw[:4], "little") & ~ROOTED)]


def split_strings(raw: bytes) -> list[bytes]:
    """Consecutive strings, each ended by NUL except a last one that was truncated."""
    text = used_bytes(raw)
    return text.removesuffix(b"\0").split(b"\0") if text else []


def _quote_strings(raw: bytes) -> str:
    """As one would type them in a shell: quoted where necessary."""
    from shlex import quote  # lazy: few plans record arguments

    return " ".join(quote(text_from_kernel(text)) for text in split_strings(raw))


def _format_path(raw: bytes) -> str:
    names = "/".join(map(text_from_kernel, reversed(split_strings(raw))))
    return f"/{names}" if int.from_bytes(raw[:4], "little") & ROOTED else names


def _format_ip(raw: bytes) -> str:
    """Decided by its version word; "" for the bytes that a failed read leaves."""
    match int.from_bytes(raw[:4], "little"):
        case 4:
            return _format_ipv4(raw[4:8])
        case 6:
            return _format_ipv6(raw[4:20])
    return ""


def _format_ipv4(raw: bytes) -> str:
    """Four bytes in network order, as the kernel has them."""
    return socket.inet_ntop(socket.AF_INET, raw)


def _format_ipv6(raw: bytes) -> str:
    """Sixteen bytes in network order. An IPv4 address that a socket for both versions holds as
    ::ffff:192.0.2.1 is shown as 192.0.2.1: the packets are IPv4's, and so the same address is one
    text however the socket was opened."""
    if raw.startswith(_IPV4_MAPPED):
        return _format_ipv4(raw[len(_IPV4_MAPPED) : 16])
    return socket.inet_ntop(socket.AF_INET6, raw)


def _format_endpoint(raw: bytes) -> str:
    """ADDRESS:PORT, [ADDRESS]:PORT, or unix:PATH, where `@` begins an abstract name."""
    family, port, address = (
        int.from_bytes(raw[:2], "little"),
        int.from_bytes(raw[2:4], "little"),
        raw[4:],
    )
    match family:
        case socket.AF_INET:
            return f"{_format_ipv4(address[:4])}:{port}"
        case socket.AF_INET6:
            shown = _format_ipv6(address[:16])
            return f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"
        case socket.AF_UNIX:
            abstract = address[:1] == b"\0" and address[1:2] != b"\0"
            return "unix:" + (
                "@" + text_from_kernel(address[1:]) if abstract else text_from_kernel(address)
            )
    return ""


def _format_flags(number: int, shown: Presentation) -> str:
    from orchestrator.kernel.constants import flag_names  # lazy: few plans show flags

    return "|".join(flag_names(shown.prefix, number, os.uname().machine)) or "0"


def _format_bits(number: int, shown: Presentation) -> str:
    """The names of the bits that are set, in the order of the table, and the others as a number, as
    the kernel prints them (trace_print_flags_seq in kernel/trace/trace_output.c)."""
    left, names = number, []
    for mask, name in shown.names.items():
        if mask and left & mask == mask:
            names.append(name)
            left &= ~mask
    if left or not number:
        names.append(shown.names.get(0, "0") if not number else shown.otherwise or hex(left))
    return "|".join(names)


def _name_error(number: int, _shown: Presentation) -> str | None:
    """A negative error by its name, or by its number where it has none; None for another number:
    a field is a text or null, and the number itself is a field of another name."""
    from orchestrator.kernel.constants import errno_name  # lazy: not every plan shows errors

    if not -_MOST_ERRNO <= number < 0:
        return None
    return errno_name(number) or f"errno {-number}"


def _find_symbol(number: int, _shown: Presentation) -> str:
    ((frame,),) = _kernel_symbols().frames([[number]])
    return frame.name


@cache
def _kernel_symbols() -> "KernelSymbols":
    from orchestrator.symbols.kernel_symbols import (
        KernelSymbols,  # lazy: 60 ms, only if one is shown
    )

    return KernelSymbols.live()


def _find_device(number: int, _shown: Presentation) -> str:
    from orchestrator.kernel.abi.devices import device_name  # lazy: few plans show devices

    return device_name(number)


#: The most characters of a cgroup's name that are shown.
LONGEST_CGROUP = 512


def _name_cgroup(number: int, shown: Presentation) -> str:
    """Its path, or what the pattern finds in it; of one that was never seen its number. A path in
    which the pattern finds nothing is shown as a whole."""
    from orchestrator.kernel.abi.cgroup_names import shared_cgroup_names  # lazy: few plans

    path = shared_cgroup_names().find_name(number)
    if path is None:
        return f"unknown ({number})"
    text = text_from_kernel(os.fsencode(path))[:LONGEST_CGROUP]
    found = _pattern(shown.prefix).find_group(text) if shown.prefix else None
    return text if found is None else found


@cache
def _pattern(text: str) -> "LinearPattern":
    from orchestrator.plan.expression.linear_pattern import LinearPattern

    return LinearPattern(text)


def _find_container(number: int) -> "Container | str | None":
    from orchestrator.kernel.containers.container_names import (
        shared_container_names,  # lazy: few plans
    )

    return shared_container_names().find_container(number)


def _name_container(number: int, _shown: Presentation) -> str | None:
    """The container of a cgroup in a few words; None for a cgroup of none."""
    found = _find_container(number)
    if found is None or isinstance(found, str):
        return found and f"{found} ({number})"
    return text_from_kernel(os.fsencode(found.text))[:LONGEST_CGROUP]


def describe_container(number: int) -> "dict[str, str | None] | str | None":
    """What records say of the container of a cgroup: its facts; `unknown`; None for none."""
    found = _find_container(number)
    if found is None or isinstance(found, str):
        return found
    texts = {
        name: text and text_from_kernel(os.fsencode(text)) for name, text in found.facts.items()
    }
    return {name: text and text[:LONGEST_CGROUP] for name, text in texts.items()}


#: As many digits of a container's id as runtimes show.
_SHORT_ID = 12


def name_container(facts: Mapping[str, str | None]) -> str:
    """The facts that a record has of a container, in a few words: POD/NAME (ID), or RUNTIME ID. A
    name that a user's own runtime keeps is marked: it may be any."""
    full, runtime = facts.get("id") or "", facts.get("runtime") or "container"
    if facts.get("name_from") == "cgroup":
        return f"{runtime} {full}"
    name = "/".join(filter(None, (facts.get("pod"), facts.get("name"))))
    whose = " of a user" if facts.get("name_from") == "user" else ""
    return f"{name} ({full[:_SHORT_ID]}){whose}" if name else f"{runtime} {full[:_SHORT_ID]}"


#: Forms of which different bytes can have one text: an IPv4 address is also one in IPv6.
AMBIGUOUS = frozenset({"ip", "ipv6", "endpoint"})
#: Forms that begin with a 32-bit word which counts the bytes in use.
LENGTH_PREFIXED = frozenset({"bytes", "text", "strings", "path"})
#: The text of a value, by its form.
TEXTS: Mapping[str, Callable[[bytes], str]] = {
    "string": text_from_kernel,
    "ipv4": _format_ipv4,
    "ipv6": _format_ipv6,
    "ip": _format_ip,
    "bytes": lambda raw: used_bytes(raw).hex(),
    "text": lambda raw: text_from_bytes(used_bytes(raw)),
    "strings": _quote_strings,
    "path": _format_path,
    "endpoint": _format_endpoint,
}
#: The text of a number, by what it stands for (Presentation.form).
NUMBER_TEXTS: Mapping[str, Callable[[int, Presentation], str | None]] = {
    "errno": _name_error,
    "flags": _format_flags,
    "bits": _format_bits,
    "symbol": _find_symbol,
    "device": _find_device,
    "cgroup": _name_cgroup,
    "container": _name_container,
}
