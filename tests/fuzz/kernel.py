"""What is read of a kernel and of binaries: BTF, format files, ELF, loader cache, recordings."""

import lzma
import os
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from orchestrator.binaries import elf
from orchestrator.binaries.elf_image import ElfError
from orchestrator.binaries.ld_cache import cached_paths
from orchestrator.binaries.usdt import parse_arguments, usdt_probes
from orchestrator.kernel.btf import Btf, BtfError
from orchestrator.kernel.btf_blob import HEADER, MAGIC, Blob
from orchestrator.kernel.facts import KernelFacts, load_facts
from orchestrator.kernel.recording import Recording, RecordingError, read_recording, write_recording
from orchestrator.kernel.tracepoints import parse_format
from orchestrator.kernel.tree import RecordedTree
from tests.fuzz.target import Target
from tests.support.btf_blobs import Blob as Handmade
from tests.support.paths import KERNELS, TESTS


@cache
def _facts() -> KernelFacts:
    return load_facts(KERNELS / "6.1.facts.xz")


# ---------------------------------------------------------------- BTF


def check_btf(data: bytes) -> None:
    """Types, or BtfError; sizes are no absurd numbers where there is nothing to hold them."""
    try:
        btf = Btf.from_bytes(data)
    except BtfError:
        return
    names = [name for name in data.decode("latin-1").split("\0")[-60:] if name]
    for type_id in (*range(min(len(btf), 400)), len(btf), (1 << 32) - 1):
        _quietly(btf, type_id, names[:4])
    for name in names:
        for ask in (btf.function, btf.raw_tracepoint, btf.struct, btf.enumerator):
            with suppress(BtfError):
                ask(name)


def _quietly(btf: Btf, type_id: int, names: list[str]) -> None:
    with suppress(BtfError):
        assert btf.type(type_id).size >= 0
    with suppress(BtfError):
        btf.type_name(type_id).encode()
    with suppress(BtfError):
        btf.is_user_pointer(type_id)
    with suppress(BtfError):
        known = btf.member_names(type_id)
        for name in (*known[:3], *names):
            btf.member(type_id, name)


def _real_btf(count: int) -> bytes:
    """The first types of a real kernel: names stand in the order in which they are used."""
    blob = Blob.parse(_facts().tree.read("sys/kernel/btf/vmlinux"))
    words = blob.words[blob.starts[1] : blob.starts[count + 1]]
    names = max(blob.words[blob.starts[number]] for number in range(1, count + 1))
    text = blob.strings[: blob.strings.index(b"\0", names + 400) + 1]
    types = words.tobytes()
    header = HEADER.pack(MAGIC, 1, 0, HEADER.size, 0, len(types), len(types), len(text))
    return header + types + text


def _handmade() -> bytes:
    blob = Handmade()
    number = blob.add(1, "int", 4, 1 << 24 | 32)
    inner = blob.struct_("", 8, ("x", number, 0), ("y", number, 4), flag=1)
    union = blob.add(5, "", 8, 0, inner, 0, vlen=1)
    blob.struct_("s", 16, ("a", number, 0), ("", union, 64))
    blob.add(2, "", blob.add(10, "", blob.add(3, "", 0, number, number, 4)))
    blob.add(12, "f", blob.proto(number, ("a", number), ("", 0)))
    blob.add(8, "btf_trace_e", blob.add(2, "", blob.proto(0, ("", 0), ("", number))))
    blob.add(6, "e", 4, blob.name("A"), 1, blob.name("B"), -1, vlen=2)
    blob.add(19, "big", 8, blob.name("C"), 1, 2, vlen=1)
    blob.add(18, "user", number)
    return blob.bytes()


BTF = Target(
    name="btf",
    check=check_btf,
    seeds=lambda: [_handmade(), _real_btf(12), _real_btf(60), _real_btf(150)],
    words=(b"\xff\xff\xff\xff", b"\0\0\0\x04", b"\x01\0\0\x84", b"\0\0\0\x0d", b"\xff\xff\0\x0d"),
    longest=6000,
)


# ---------------------------------------------------------------- format files


def check_format(data: bytes) -> None:
    """Fields, and never an exception; what is no field is passed over."""
    reported = parse_format("syscalls", "sys_enter_x", data.decode("utf-8", "replace"))
    for field in (*reported.common, *reported.fields):
        assert min(field.offset, field.size, field.count, field.value_size) >= 0
        assert field.element_size >= 0
        assert reported.field(field.name) is not None


def _formats() -> list[bytes]:
    names = _facts().tracepoint_names()[::97]
    texts = [_facts().tree.read(f"sys/kernel/tracing/events/{c}/{e}/format") for c, e in names]
    return [text for text in texts if len(text) < FORMATS.longest]


FORMATS = Target(
    name="formats",
    check=check_format,
    seeds=_formats,
    words=(b"\tfield:", b";\toffset:", b";\tsize:", b";\tsigned:1;\n", b"[", b"]", b"__data_loc ",
           b"__attribute__((", b"))", b"const char *", b"\xc2\xb2", b"char comm[16]"),
    longest=4000,
)  # fmt: skip


# ---------------------------------------------------------------- binaries


def check_elf(data: bytes) -> None:
    """Symbols, build id and probes, or ElfError, without a look outside of the file."""
    parse_arguments(data[:400].decode("latin-1"))
    handle = os.memfd_create("case")
    try:
        os.write(handle, data)
        path = Path(f"/proc/self/fd/{handle}")
        for name in ("work", "puts", "nonesuch", "work@V1"):
            with suppress(ElfError):
                for symbol in elf.find_symbols(path, name, len(data) % 3):
                    symbol.name.encode()
        with suppress(ElfError):
            elf.build_id(path)
        with suppress(ElfError):
            for probe in usdt_probes(path):
                f"{probe.provider}:{probe.name}".encode()
    finally:
        os.close(handle)


def seeds_of_binaries() -> list[bytes]:
    """A small one with a symbol, a note and a probe, and texts of probes' arguments."""
    arguments = [b"-4@%edi 8@-16(%rbp) 4@$5 8@sym+8(%rip)", b"1@%al 2@$0x10 8f@%xmm0 8@010(%rax)"]
    return [lzma.decompress((TESTS / "fuzz" / "seeds" / "elf.xz").read_bytes()), *arguments]


ELF = Target(
    name="elf",
    check=check_elf,
    seeds=seeds_of_binaries,
    words=(b"\xff\xff\xff\xff", b"\xff" * 8, b"@", b"$", b"(%rax)", b"-0x", b"\x03\0\0\0stapsdt\0"),
    longest=4000,
)


def check_ld_cache(data: bytes) -> None:
    """Paths, or none."""
    root = _folder()
    (root / "etc" / "ld.so.cache").write_bytes(data)
    for path in cached_paths(root, "libc.so.6"):
        assert path.encode("utf-8", "surrogateescape") in data


@cache
def _folder() -> Path:
    base = tempfile.TemporaryDirectory(prefix="probeplan-fuzz-")
    _KEPT.append(base)
    (Path(base.name) / "etc").mkdir()
    return Path(base.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def _caches() -> list[bytes]:
    text = b"libc.so.6\0/lib/libc.so.6\0"
    start = 48 + 2 * 24
    entry = b"".join(n.to_bytes(4, "little") for n in (3, start, start + 10, 0)) + bytes(8)
    head = b"glibc-ld.so.cache1.1" + (2).to_bytes(4, "little") + len(text).to_bytes(4, "little")
    return [head.ljust(48, b"\0") + entry * 2 + text]


LD_CACHE = Target(name="ldcache", check=check_ld_cache, seeds=_caches, longest=400)


# ---------------------------------------------------------------- recordings


def check_recording(data: bytes) -> None:
    """Facts, or RecordingError: of the bytes as they are, and as what a sound .xz expands to."""
    for stored in (data, lzma.compress(data, check=lzma.CHECK_NONE, preset=0)):
        try:
            kept = read_recording(stored, "f")
        except RecordingError:
            continue
        _check_facts(KernelFacts(kept, recorded=True, source="f"))


def _check_facts(facts: KernelFacts) -> None:
    assert facts.possible_cpus >= 0
    assert len(facts.online_cpus) >= 0
    facts.feature("bpf")
    assert facts.trimmed in (True, False, None)
    assert facts.build_id is None or bytes.fromhex(facts.build_id)
    for category, event in facts.tracepoint_names()[:5]:
        facts.tracepoint(category, event)
    facts.syscalls()
    for name in (*facts.symbols.names[:5], "vfs_read"):
        facts.symbols.module(name)
        facts.symbols.address(name)
        facts.symbols.traceable(name)
        facts.symbols.blacklisted(name)
        facts.symbols.variants(name)
    with suppress(BtfError):
        _ = facts.btf


def _recordings() -> list[bytes]:
    files: dict[str, bytes | int] = {
        "proc/kallsyms": b"T vfs_read\nt vfs_read.cold\nt ext4_x\t[ext4]\n",
        "sys/kernel/debug/kprobes/blacklist": b"bad_one\n",
        "sys/devices/system/cpu/online": b"0-1\n",
        "sys/devices/system/cpu/possible": b"0-3,8\n",
        "sys/kernel/btf/vmlinux": _handmade(),
        "sys/kernel/notes": b"\4\0\0\0\4\0\0\0\3\0\0\0GNU\0\1\2\3\4",
        "sys/kernel/tracing/README": b"x",
        "sys/kernel/tracing/available_filter_functions": b"vfs_read\n",
        "sys/kernel/tracing/events/a/b/format": b"name: b\nID: 7\nformat:\n\tfield:int x;\t"
        b"offset:8;\tsize:4;\tsigned:1;\n",
    }
    kept = Recording(
        tree=RecordedTree(files), release="6.1", arch="x86_64", page_size=4096, features={}
    )
    made = write_recording(kept, [("a", "b")], "sys/kernel/tracing", 0)
    return [made, lzma.decompress(made)]


RECORDING = Target(
    name="recording",
    check=check_recording,
    seeds=_recordings,
    words=(b'"files":', b"[[", b"]]", b"-1", b"1e999", b"null", b'"release"', b"\n", b"Infinity",
           b"+vfs_x\n", b"-vfs_read\n", b"\t[", b"0-99999999"),
    longest=3000,
)  # fmt: skip

TARGETS = (BTF, FORMATS, ELF, LD_CACHE, RECORDING)
