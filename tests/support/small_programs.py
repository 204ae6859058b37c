"""32-bit programs for x86-64, written byte by byte: no compiler for them is needed."""

import platform
import struct
import subprocess
from pathlib import Path

import pytest

_BASE, _HEADS = 0x10000, 52 + 32
#: mov eax, 64 (getppid); int 0x80; mov eax, 1 (exit); xor ebx, ebx; int 0x80
_CALL_AND_EXIT = bytes.fromhex("b840000000 cd80 b801000000 31db cd80")


def build_32_bit_program(path: Path, becomes: str = "") -> Path:
    """One that calls getppid and ends, or that executes the program `becomes`."""
    if platform.machine() != "x86_64":
        pytest.skip("this machine lacks the code of x86")
    code = _execute(becomes.encode()) if becomes else _CALL_AND_EXIT
    _write_program(path, code)
    return path


def require_it_runs(program: Path) -> None:
    """Skip the test on a kernel that does not run 32-bit programs."""
    try:
        subprocess.run([program], check=True)
    except OSError:
        pytest.skip("this kernel lacks 32-bit programs")


def _execute(program: bytes) -> bytes:
    """mov eax, 11 (execve); mov ebx, PATH; mov ecx, ARGV; xor edx, edx; int 0x80; and its data."""
    size = 5 + 5 + 5 + 2 + 2
    name = _BASE + _HEADS + size
    words = name + len(program) + 1
    code = struct.pack("<BIBIBI", 0xB8, 11, 0xBB, name, 0xB9, words) + bytes.fromhex("31d2 cd80")
    return code + program + b"\0" + struct.pack("<2I", name, 0)


def _write_program(path: Path, code: bytes) -> None:
    """elf(5): one segment, which holds the whole file."""
    size = _HEADS + len(code)
    head = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, 3, 1, _BASE + _HEADS, 52, 0,
                       0, 52, 32, 1, 0, 0, 0)  # fmt: skip
    segment = struct.pack("<8I", 1, 0, _BASE, _BASE, size, size, 5, 0x1000)
    path.write_bytes(head + segment + code)
    path.chmod(0o755)
