"""Make a BTF blob smaller without changing any type's id, for the recordings kept here.

Left out: what macros generate, and functions and structures of subsystems that no plan of ours
probes. What is dropped leaves a placeholder of three words in its place, so that ids stay those
of the kernel (attaching asks for them) and xz reduces the rest to nothing.
"""

import re
from array import array
from collections.abc import Iterator

from orchestrator.kernel.btf_blob import (
    DATASEC,
    DECL_TAG,
    FUNC,
    FUNC_PROTO,
    FWD,
    HEADER,
    MAGIC,
    PTR,
    STRUCT,
    TYPEDEF,
    VAR,
    Blob,
    kind_of,
    vlen_of,
)

# Functions that macros make for each tracepoint and syscall; no one probes them by name.
# `__traceiter_` and `__bpf_trace_` stay: they report a raw tracepoint's arguments.
_GENERATED = re.compile(
    rb"(?:trace_event_raw_event_|trace_event_get_offsets_|trace_raw_output_|perf_trace_"
    rb"|__probestub_|__do_trace_|__ia32_|__se_|__do_sys_|trace_event_raw_init_"
    rb"|trace_event_fields_|trace_event_raw_|trace_event_data_offsets_|__pfx_|__cfi_)"
)
_FAR_SUBSYSTEMS = re.compile(
    rb"_*(?:acpi|agp|amd|apei|apic|ata|btrfs|cper|cpuhp|dca|devm|dmi|drm|dw|edac|efi|erofs|fb|gpio"
    rb"|hid|hpet|i2c|i8042|ima|input|intel|iommu|iosf|ipmi|kvm|led|mce|mei|mtrr|nfs|nvmem|of|pci"
    rb"|pcie|phy|pinctrl|pm|pnp|ps2|ptp|pwm|regmap|regulator|rpm|rtc|sata|scsi|sd|serial|serial8250"
    rb"|devlink|mptcp|cxl|aa|spi|hv|tpm|damon|netlbl|rust|scx|audit|ethtool|ethnl|tcf"
    rb"|nft|nf|nfqnl|xt|ebt|ZSTD|HUF|br|fuse|ovl|xfrm|clk|bfq|xlog|vxlan|quirk|virtnet|netdev"
    rb"|snd|thermal|tty|uart|uncore|usb|uv|vc|vga|vgacon|vmx|vt|wmi|x86|xen|xfs|xhci"
    rb"|crypto|selinux|apparmor|tomoyo|smack|security|snbep|skx|snr|spr|hswep|bdx|icx|adl|knl)_"
)
_PLACEHOLDER = (0, FWD << 24, 0)
_NAMED_EACH = {4: 3, 5: 3, 6: 2, 13: 2, 19: 3}  # words of a member, parameter or enumerator


def trim(data: bytes) -> bytes:
    """The blob without variables, sections, far functions and unused parameter lists.

    Not for a module's split blob: see `trim_module`. Raises BtfError for bytes that are not BTF.
    """
    blob = Blob.parse(data)
    return _rewrite(blob, 1, _Strings(blob, bytearray(b"\0")))


def trim_module(data: bytes, base: bytes) -> bytes:
    """A module's split blob, which counts its ids and strings from those of `base`, on top of what
    is left of the base by `trim`. Raises BtfError."""
    whole = Blob.parse(base)
    first_string = len(Blob.parse(trim(base)).strings)
    blob = Blob.parse(data, whole)
    return _rewrite(blob, len(whole), _Strings(blob, bytearray(), first_string))


def _rewrite(blob: Blob, first_id: int, strings: "_Strings") -> bytes:
    words = array("I")
    wanted = _wanted_prototypes(blob)
    for type_id in range(first_id, len(blob)):
        words.extend(_record(blob, type_id, type_id in wanted, strings))
    types, text = words.tobytes(), bytes(strings.text) or b"\0"
    header = HEADER.pack(MAGIC, 1, 0, HEADER.size, 0, len(types), len(types), len(text))
    return header + types + text


class _Strings:
    """A new string section that holds what is used, in the order of use; `first`: the offset of its
    first byte."""

    def __init__(self, blob: Blob, text: bytearray, first: int = 0) -> None:
        self._old = blob
        self._new = {0: 0}
        self.text, self._first = text, first

    def moved(self, offset: int) -> int:
        if offset not in self._new:
            self._new[offset] = self._first + len(self.text)
            end = self._old.strings.index(b"\0", offset)
            self.text += self._old.strings[offset : end + 1]
        return self._new[offset]


def _dropped(blob: Blob, type_id: int) -> bool:
    start = blob.starts[type_id]
    kind = kind_of(blob.words[start + 1])
    if kind in (FUNC, STRUCT):
        name = blob.words[start]
        return any(p.match(blob.strings, name) for p in (_GENERATED, _FAR_SUBSYSTEMS))
    return kind in (VAR, DATASEC, DECL_TAG)


def _wanted_prototypes(blob: Blob) -> set[int]:
    """Prototypes whose parameters are asked for: functions' and tracepoints'."""
    wanted = set()
    for type_id in range(1, len(blob)):
        start = blob.starts[type_id]
        kind, target = kind_of(blob.words[start + 1]), blob.words[start + 2]
        if kind == FUNC and not _dropped(blob, type_id):
            wanted.add(target)
        elif kind == TYPEDEF and blob.strings.startswith(b"btf_trace_", blob.words[start]):
            pointer = blob.starts[target]
            if kind_of(blob.words[pointer + 1]) == PTR:
                wanted.add(blob.words[pointer + 2])
    return wanted


def _record(blob: Blob, type_id: int, wanted: bool, strings: _Strings) -> Iterator[int]:
    words, start = blob.words, blob.starts[type_id]
    if _dropped(blob, type_id):
        yield from _PLACEHOLDER
        return
    info = words[start + 1]
    kind, count = kind_of(info), vlen_of(info)
    yield strings.moved(words[start])
    if kind == FUNC_PROTO and not wanted:
        info, count = FUNC_PROTO << 24, 0
    yield info
    yield words[start + 2]
    each = _NAMED_EACH.get(kind)
    if each is None:
        end = blob.starts[type_id + 1] if type_id + 1 < len(blob) else len(words)
        yield from words[start + 3 : end]
        return
    for at in range(start + 3, start + 3 + each * count, each):
        yield strings.moved(words[at])
        yield from words[at + 1 : at + each]
