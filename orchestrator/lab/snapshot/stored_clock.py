"""The clock of a stored machine, set to the one of several values that it may have.

A machine that stops itself does so after an exact instruction, but its clock may go on: where QEMU
finds the CPU stopped before it has noted that the machine is, it takes it for idle, and moves the
clock to where the next timer ends (accel/tcg/icount-common.c, icount_start_warp_timer), which may
end then. Which comes first depends on the host. So the clock is set to there in any case.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.lab.errors import LabError

__all__ = ["settle_clock"]

# migration/savevm.c: a section of a device, and one of its parts.
_SECTION, _PART = b"\x04", b"\x05"
_TAIL = 32 << 20  # of the file, in which the devices are; memory comes before them
_LONGEST_NS = 1_000_000_000  # between two ticks of a kernel that is not idle; usually 4 ms
_INT64 = 8


def settle_clock(file: int, shift: int) -> int:
    """Move the clock of the machine that is stored in `file` to where its CPU's timer ends. `shift`
    as in QEMU's option icount. Returns by how much (ns). Raises LabError where the file is not as
    expected."""
    try:
        return _settle(file, shift)
    except (LookupError, TypeError, ValueError) as error:
        raise LabError(
            f"this QEMU stores a machine in another way than known here ({error!r}): use the one "
            "of Debian 12 or 13"
        ) from None


def _settle(file: int, shift: int) -> int:
    start = max(0, os.fstat(file).st_size - _TAIL)
    tail = os.pread(file, _TAIL, start)
    devices = {one["name"]: one for one in reversed(_read_description(tail)["devices"])}
    apic = _find_section(tail, "apic", devices["apic"]["version"])
    # A timer that has ended meanwhile has no end any more (hw/intc/apic_common.c, apic_next_timer);
    # its interrupt waits, as it would if it ended when the machine goes on.
    ends_ns = _read_int64(tail, apic + _find_field(devices["apic"], "timer_expiry"))
    if has_ended := ends_ns == -1:
        ends_ns = _read_int64(tail, apic + _find_field(devices["apic"], "next_time"))
    clock = next(
        one for one in devices["timer"]["subsections"] if one["vmsd_name"] == "timer/icount"
    )
    part = _find_part(tail, "timer/icount", clock["version"])
    bias_at = part + _find_field(clock, "qemu_icount_bias")
    counted = _read_int64(tail, part + _find_field(clock, "qemu_icount"))
    moved_ns = ends_ns - (_read_int64(tail, bias_at) + (counted << shift))
    if not (-_LONGEST_NS if has_ended else 0) <= moved_ns <= _LONGEST_NS:
        raise ValueError(f"the next timer ends in {moved_ns} ns")
    bias_ns = ends_ns - (counted << shift)
    os.pwrite(file, bias_ns.to_bytes(_INT64, "big", signed=True), start + bias_at)
    return moved_ns


def _read_description(tail: bytes) -> Mapping[str, Any]:
    """What QEMU says at the end about all before."""
    for found in reversed([one.start() for one in re.finditer(rb"\x06....\{", tail, re.DOTALL)]):
        length = int.from_bytes(tail[found + 1 : found + 5], "big")
        if found + 5 + length == len(tail):
            data: Mapping[str, Any] = json.loads(tail[found + 5 :])
            return data
    raise ValueError("no description")


def _find_section(tail: bytes, name: str, version: int) -> int:
    """Where the fields of the first device of that name begin."""
    head = _SECTION + b"...." + _spell(name) + re.escape(bytes(4) + version.to_bytes(4, "big"))
    return _find_only(tail, head, name)


def _find_part(tail: bytes, name: str, version: int) -> int:
    return _find_only(tail, _PART + _spell(name) + re.escape(version.to_bytes(4, "big")), name)


def _spell(name: str) -> bytes:
    return re.escape(bytes([len(name)]) + name.encode())


def _find_only(tail: bytes, pattern: bytes, name: str) -> int:
    found = list(re.finditer(pattern, tail, re.DOTALL))
    if len(found) != 1:
        raise LookupError(f"{len(found)} times {name}")
    return found[0].end()


def _find_field(described: Mapping[str, Any], name: str) -> int:
    """How many bytes are before it. Raises LookupError."""
    at = 0
    for field, size in _list_fields(described):
        if field == name:
            return at
        at += size
    raise LookupError(name)


def _list_fields(described: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for field in described["fields"]:
        yield field["name"], field["size"] * field.get("array_len", 1)


def _read_int64(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + _INT64], "big", signed=True)
